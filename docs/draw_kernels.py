"""Draw docs/images/kernels.png: kernels of several symmetries beside plain ones. Run: python docs/draw_kernels.py."""

from pathlib import Path

import keras
import tensorflow as tf
from matplotlib.figure import Figure

from tf_symconv.layers import SymmetricConv2D
from tf_symconv.plotting import plot_kernels

FILTERS = 5
SIZE = 7


def _symmetric(title: str, symmetry: str, parity: str = "even") -> tuple[str, keras.layers.Layer]:
    return title, SymmetricConv2D(FILTERS, SIZE, symmetry=symmetry, parity=parity)


def draw() -> Figure:
    """Return the picture: one group per layer, with its free weights."""
    keras.utils.set_random_seed(4)
    rows = [
        [("plain Conv2D", keras.layers.Conv2D(FILTERS, SIZE)), _symmetric("mirrored: hv", "hv")],
        [_symmetric("rotated: c4", "c4"), _symmetric("rotated and mirrored: d4", "d4")],
        [_symmetric("circular", "circular"), _symmetric("mirrored with odd parity: h", "h", "odd")],
    ]
    figure = Figure(figsize=(7.8, 3.5), dpi=144, layout="constrained", facecolor="white")
    parts = figure.subfigures(len(rows), len(rows[0]), wspace=0.03, hspace=0.04)
    for row, layers in enumerate(rows):
        for column, (title, layer) in enumerate(layers):
            layer.build((None, SIZE, SIZE, 1))
            weights = tf.size(layer.trainable_variables[0]) // FILTERS
            plot_kernels(layer, title=f"{title} ({weights} free weights each)", figure=parts[row, column])
    return figure


if __name__ == "__main__":
    draw().savefig(Path(__file__).parent / "images" / "kernels.png")
