"""The picture of a comparison."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from tf_symconv.comparison._settings import BUDGETS, METHODS, PLAIN, REFERENCE
from tf_symconv.comparison._summary import name_of, sizes, title
from tf_symconv.training._plots import INK, dress

_COLOURS = dict(zip(METHODS, ("#8a929c", "#222933", "#2a9d8f", "#b07aa1", "#1f5fbf", "#d9772b"), strict=True))
_MARKERS = dict(zip(METHODS, "osDv^P", strict=True))
_WIDTH_INCHES, _ROW_INCHES = 9.6, 4.0


def picture(results: dict[str, Any]) -> Figure:
    """Draw accuracy by number of training images: a row for each way to turn images, a column for each budget."""
    cells = results["cells"]
    ways = list(dict.fromkeys(cell["turns"] for cell in cells))
    figure = Figure(figsize=(_WIDTH_INCHES, _ROW_INCHES * len(ways)), dpi=144, layout="constrained", facecolor="white")
    panels = figure.subplots(len(ways), len(BUDGETS), sharey="row", sharex=True, squeeze=False)
    for row, turns in zip(panels, ways, strict=True):
        for axes, budget in zip(row, BUDGETS, strict=True):
            for number, method in enumerate(METHODS):
                line = sorted(
                    (cell["size"], 100 * cell["accuracy"], 100 * (cell["spread"] or 0.0))
                    for cell in cells
                    if (cell["turns"], cell["method"]) == (turns, method) and cell["budget"] in (budget, REFERENCE)
                )
                if not line:
                    continue
                across, means, spreads = zip(*line, strict=True)
                shift = 1 + 0.012 * (number - (len(METHODS) - 1) / 2)  # so that error bars stand side by side
                axes.errorbar(
                    [size * shift for size in across],
                    means,
                    yerr=None if not any(spreads) else spreads,
                    label=name_of(method),
                    color=_COLOURS[method],
                    marker=_MARKERS[method],
                    markersize=4.5,
                    linewidth=1.6,
                    elinewidth=0.9,
                    linestyle=(0, (4, 2)) if method == PLAIN else "-",
                )
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator(sizes(results)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            dress(axes, f"Images {title(turns, results)}, equal {budget}", "training images")
            axes.tick_params(labelbottom=True)
        row[0].set_ylabel("test accuracy (%)", fontsize=9, color=INK)
    lines, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), fontsize=9, frameon=False, labelcolor=INK)
    return figure
