"""The pictures of a report."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tf_symconv.plotting import plot_kernels
from tf_symconv.training._model import convolutions
from tf_symconv.training._settings import PLAIN, SYMMETRIC

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {SYMMETRIC: "#1f5fbf", PLAIN: "#d9772b"}
INK = "#222933"
_GRID = "#e3e7ec"
_WIDTH_INCHES = 9.6
_LAYERS = 2
_MAX_FILTERS = 16
_MAX_CHANNELS = 2


def curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw loss and accuracy by epoch, both models in one picture."""
    figure = Figure(figsize=(_WIDTH_INCHES, 3.6), dpi=144, layout="constrained", facecolor="white")
    loss, accuracy = figure.subplots(1, 2)
    for role, history in histories.items():
        epochs = np.arange(1, len(history) + 1)
        mark = "o" if len(history) == 1 else None  # one point makes no line
        for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
            values = [epoch[name] for epoch in history]
            held_out = [epoch[f"val_{name}"] for epoch in history]
            line = {"color": _COLOURS[role], "marker": mark, "markersize": 4}
            axes.plot(
                epochs, values, linewidth=1.1, linestyle=(0, (3, 2)), alpha=0.75, label=f"{role}, training", **line
            )
            axes.plot(epochs, held_out, linewidth=1.9, label=f"{role}, validation", **line)
    loss.set_yscale("log")
    dress(loss, "Loss (cross-entropy)", "epoch")
    dress(accuracy, "Accuracy", "epoch")
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    accuracy.legend(loc="lower right", fontsize=8, frameon=False, labelcolor=INK)
    return figure


def dress(axes: "Axes", title: str, across: str) -> None:
    """Give a picture of curves its title, the name of what runs across, and the looks of all pictures."""
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel(across, fontsize=9, color=INK)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=8, colors=INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color("#9aa3ad")


def kernels(before: keras.Model, after: keras.Model) -> Figure:
    """Draw kernels of the first two convolutions, before and after training, one above the other.

    The scale of a layer is the same before and after.
    """
    pictures = []
    for first, last in list(zip(convolutions(before), convolutions(after), strict=True))[:_LAYERS]:
        pair = [np.asarray(layer.kernel)[..., :_MAX_CHANNELS, :_MAX_FILTERS] for layer in (first, last)]
        limit = float(max(np.abs(kernel).max() for kernel in pair))
        shape = " x ".join(map(str, first.kernel.shape))
        for kernel, when in zip(pair, ("before", "after"), strict=True):
            pictures.append((kernel, f"{first.name} ({shape}) {when} training", limit))
    height, width, _, columns = pictures[0][0].shape
    rows = [kernel.shape[-2] * height / width + 0.45 for kernel, _, _ in pictures]  # in widths of a kernel
    kernel_inches = _WIDTH_INCHES / max(columns, 8)
    figure = Figure(
        figsize=(_WIDTH_INCHES, kernel_inches * sum(rows)), dpi=144, layout="constrained", facecolor="white"
    )
    parts = figure.subfigures(len(pictures), 1, height_ratios=rows, squeeze=False)[:, 0]
    for part, (kernel, title, limit) in zip(parts, pictures, strict=True):
        plot_kernels(kernel, max_channels=_MAX_CHANNELS, title=title, limit=limit, figure=part)
    return figure
