"""Draw the pictures of docs/concepts.md. Run: python -m docs.draw_concepts."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from tf_symconv import kernels, layers
from tf_symconv.models import equivariance
from tf_symconv.plotting import plot_equivariance, plot_kernels, plot_orbits

IMAGES = Path(__file__).parent / "images"


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=144, layout="constrained", facecolor="white")


def words() -> Figure:
    """Show a latent, the cells that its weights fill, and the kernel."""
    layer = layers.SymmetricConv2D(1, 5, symmetry="hv")
    layer.build((None, 9, 9, 1))
    kernel = np.asarray(layer.kernel)
    limit = float(np.abs(kernel).max())
    figure = _figure(7.2, 2.55)
    latent, orbits, full = figure.subfigures(1, 3, width_ratios=(3.6, 5, 5), wspace=0.04)
    plot_kernels(np.asarray(layer.latent), title="latent: 9 free weights", limit=limit, figure=latent)
    plot_orbits(layer, title="kernel map: which weight goes where", figure=orbits)
    plot_kernels(kernel, title="kernel: 25 weights, mirrored", limit=limit, figure=full)
    return figure


def structures() -> Figure:
    """Show the cells that the structures of a kernel tie."""
    shown = [
        ('"h"', "h"),
        ('"hv"', "hv"),
        ('"h", odd parity', kernels.Mirror("h", "odd")),
        ('"c4"', "c4"),
        ('"d4"', "d4"),
        ('"diag"', "diag"),
        ('"circular"', "circular"),
        ('Circular("linear")', kernels.Circular("linear")),
        ('Circular("exact")', kernels.Circular("exact")),
        ("Tile((5, 1))", kernels.Tile((5, 1))),
        ("a Pattern", kernels.Pattern("AABCC/AABCC/DDEFF/GGHII/GGHII")),
        ("a Pattern with zeros", kernels.Pattern("..A../.BAB./AACAA/.BAB./..A..")),
    ]
    figure = _figure(8.4, 6.9)
    parts = figure.subfigures(3, 4, wspace=0.02, hspace=0.03)
    for part, (title, structure) in zip(parts.flat, shown, strict=True):
        weights = kernels.get(structure).latent_shape((5, 5, 1, 1))
        plot_orbits(structure, (5, 5, 1, 1), title=f"{title}: {np.prod(weights)}", figure=part)
    return figure


def bank() -> Figure:
    """Show a flip bank: one orbit of four, a pair, two free filters."""
    title = 'FlipBank({"h": 2, "hv": 4}) of 8 filters: 36 free weights of 72'
    return plot_orbits(kernels.FlipBank({"hv": 4, "h": 2}), (3, 3, 1, 8), title=title)  # pyright: ignore


def lift() -> Figure:
    """Show the filters of a first group convolution: one, in all orientations."""
    title = "GroupLift: one filter in the four orientations of c4"
    return plot_orbits(kernels.GroupLift("c4"), (3, 3, 1, 4), title=title)  # pyright: ignore


def group() -> Figure:
    """Show the filters of a group convolution: turned, and their planes permuted."""
    layer = layers.GroupConv2D(4, 3, padding="same", group="c4", input_group="c4", name="c4")
    layer.build((None, 8, 8, 4))
    title = "GroupConv2D, c4 to c4: one group channel in, one out. Rows are input planes, columns output planes"
    return plot_orbits(layer, title=title)  # pyright: ignore


def trap() -> Figure:
    """Show where a model that looks equivariant stops to be it."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.GroupConv2D(16, 3, padding="same", group="c4", activation="relu", name="lift"),
            layers.GroupConv2D(16, 3, padding="same", group="c4", input_group="c4", activation="relu", name="turn"),
            layers.GroupConv2D(
                16, 2, padding="same", group="c4", input_group="c4", equivariance="relaxed", name="even kernel"
            ),
            layers.GroupPooling(group="c4", name="pool"),
            keras.layers.GlobalAveragePooling2D(name="mean"),
        ]
    )
    samples = np.random.default_rng(0).normal(size=(4, 28, 28, 1))
    return plot_equivariance(equivariance.report(model, "c4", samples))  # pyright: ignore


PICTURES: dict[str, Callable[[], Figure]] = {
    "words": words,
    "structures": structures,
    "flip_bank": bank,
    "group_lift": lift,
    "group": group,
    "equivariance": trap,
}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        keras.utils.set_random_seed(5)
        draw().savefig(IMAGES / f"{name}.png")
