"""Pictures of how equivariant a model is, layer by layer."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_symconv.plotting._figure import INK, PALE_INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from tf_symconv.models.equivariance import Report

_ROW_INCHES = 0.3
_MOST_INCHES = 14.0  # of all rows; more layers than these hold stand closer
_COLOURS = ("#1f5fbf", "#d9772b", "#2a8c5a", "#9b3fb5", "#b5243c", "#6b7280", "#0f8fa8")
_MARKS = ("o", "s", "^", "D", "v", "P", "X")
_BAD = "#b5243c"


def plot_equivariance(
    report: "Report", *, title: str | None = None, figure: "Figure | SubFigure | None" = None
) -> "Figure | SubFigure":
    """Draw what :func:`tf_symconv.models.equivariance.report` measured: one row a layer, one mark an element.

    The scale is logarithmic. Errors of zero stand at the left edge, infinite ones at the right edge; rows of layers
    that could not be measured say so. The dashed line is the tolerance, and the names of layers beyond it are red: the
    first of these is the cause.

    Args:
        report: What ``models.equivariance.report`` returned.
        title: What to write above; by default the verdict of the report.
        figure: A ``matplotlib`` Figure or SubFigure to draw into; by default a new Figure of fitting size.

    Returns:
        The figure drawn into.

    Raises:
        TypeError: If ``report`` is something else.
        ValueError: If it holds no layer.
        ImportError: If matplotlib is not installed.

    Example:
        >>> import keras, numpy as np
        >>> from tf_symconv.layers import GroupConv2D
        >>> from tf_symconv.models import equivariance
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 1)),
        ...     GroupConv2D(8, 3, padding="same", group="c4", name="lift"),
        ...     keras.layers.Conv2D(8, 3, padding="same", name="ordinary"),
        ... ])
        >>> result = equivariance.report(model, "c4", np.random.default_rng(0).normal(size=(2, 8, 8, 1)))
        >>> axes = plot_equivariance(result).axes[0]
        >>> axes.get_xscale(), [label.get_text() for label in axes.get_yticklabels()]
        ('log', ['lift', 'ordinary'])
    """
    if not all(hasattr(report, name) for name in ("layers", "elements", "tolerance")):
        raise TypeError(
            f"report must be what models.equivariance.report returned. Received: {type(report).__name__} {report!r}"
        )
    if not report.layers:
        raise ValueError("report must hold at least one layer. Received: a report without layers")
    errors = np.array([layer.errors[1:] for layer in report.layers], float)
    low, high = _range(errors, report.tolerance)
    title = str(report).splitlines()[-1] if title is None else title
    if figure is None:
        rows = min(_ROW_INCHES * len(report.layers), _MOST_INCHES)
        figure = new_figure(7.2, rows + (1.15 if title else 0.85), pad=0.06)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(report.layers) - 0.5, -0.5)
    axes.axvspan(low, report.tolerance, color="#eef6f1", zorder=0)
    axes.axvline(report.tolerance, color=PALE_INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    shown = np.clip(np.where(np.isnan(errors), low, errors), low, high)
    shifts = np.linspace(-0.26, 0.26, errors.shape[1]) if errors.shape[1] > 1 else np.zeros(1)
    places = np.arange(len(errors))
    for number, element in enumerate(report.elements[1:]):
        known = ~np.isnan(errors[:, number])
        axes.plot(
            shown[known, number],
            places[known] + shifts[number],
            linestyle="none",
            marker=_MARKS[number % len(_MARKS)],
            markersize=4.6,
            color=_COLOURS[number % len(_COLOURS)],
            markeredgecolor="white",
            markeredgewidth=0.5,
            clip_on=False,
            label=element,
            zorder=3,
        )
    _name_rows(axes, report, errors)
    _dress(axes)
    if title:
        figure.suptitle(title, fontsize=9.5, color=INK)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8, frameon=False, labelcolor=INK
    )
    return figure


def _range(errors: np.ndarray, tolerance: float) -> tuple[float, float]:
    """Return the ends of the scale: powers of ten beyond all errors and the tolerance."""
    measured = errors[np.isfinite(errors) & (errors > 0)]
    low = min(measured.min(initial=tolerance), tolerance) / 10
    high = max(measured.max(initial=tolerance), tolerance, 0.1)
    return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high) + 0.01)


def _name_rows(axes: "Axes", report: Any, errors: np.ndarray) -> None:
    axes.set_yticks(range(len(report.layers)), [layer.name for layer in report.layers])
    for place, (label, layer) in enumerate(zip(axes.get_yticklabels(), report.layers, strict=True)):
        if layer.worst > report.tolerance:
            label.set(color=_BAD, fontweight="bold" if layer is report.first else "normal")
        if np.isnan(errors[place]).any():
            axes.axhspan(place - 0.5, place + 0.5, color="#f1f2f4", zorder=0.5)
            axes.text(
                *(0.5, place, "not known how its output should transform"),
                transform=axes.get_yaxis_transform(),
                **{"ha": "center", "va": "center", "fontsize": 7.5, "color": PALE_INK, "style": "italic"},
            )
        elif place % 2:
            axes.axhspan(place - 0.5, place + 0.5, color="#222933", alpha=0.03, linewidth=0, zorder=0.5)


def _dress(axes: "Axes") -> None:
    axes.set_xlabel("largest error, relative to the largest output", fontsize=8.5, color=INK)
    axes.grid(axis="x", color="#dfe3e8", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.minorticks_off()
    axes.tick_params(length=0, labelsize=8)
    axes.tick_params(axis="x", colors=PALE_INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color("#9aa3ad")
