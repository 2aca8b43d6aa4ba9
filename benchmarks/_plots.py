"""Pictures of the results. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from tf_symconv.benchmarks._bars import ANYWHERE, judged
from tf_symconv.benchmarks._cases import KINDS, LAYERS, Case
from tf_symconv.benchmarks._store import PICTURES, Store
from tf_symconv.benchmarks._tables import case_of, growth_groups, ratios_by_key
from tf_symconv.training._plots import INK, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 9.6
_COLOURS = {"plain": "#9aa3ad", "dense": "#d9772b", "auto": "#1f5fbf", "folded": "#2f8f4e"}
_VERDICTS = {"passed": "#2f8f4e", "missed": "#c0392b", "-": "#1f5fbf"}
_GUIDE = {"color": "#c8ced6", "linewidth": 1.0, "zorder": 0}
_PANELS = 8


def draw(store: Store, cases: Sequence[Case], show_bars: bool) -> list[str]:
    """Draw what there is into the directory and return the names of the files."""
    only = list(dict.fromkeys(case.layer for case in cases))
    figures = (bars(store.results, only) if show_bars else None, ratios(store.results, cases), growth(store.results))
    written = []
    for name, figure in zip(PICTURES, figures, strict=True):
        if figure is not None:
            with store.writing(store.path / name) as temporary:
                figure.savefig(temporary, dpi=144)
            written.append(name)
    return written


def bars(results: Mapping[str, Any], only: Sequence[str]) -> Figure | None:
    """Draw the measured ratios of the bars with their quartiles, and the bars as ticks."""
    rows = [row for row in judged(ratios_by_key(results), only) if row[1] is not None]
    if not rows:
        return None
    places = list(dict.fromkeys(_place(bar.case) for bar, _, _ in rows))
    figure = Figure(figsize=(_WIDTH, 1.2 + 0.2 * len(places)), layout="constrained", facecolor="white")
    for axes, kind in zip(figure.subplots(1, 2, sharex=True, sharey=True), KINDS, strict=True):
        for bar, ratio, verdict in rows:
            if bar.case.kind == kind and ratio is not None:
                height = places.index(_place(bar.case))
                axes.plot(ratio["quartiles"], [height] * 2, color=_VERDICTS[verdict], linewidth=1.5)
                axes.plot(ratio["median"], height, "o", color=_VERDICTS[verdict], markersize=4)
                if bar.limit is not None:
                    axes.plot([bar.limit] * 2, [height - 0.35, height + 0.35], color=INK, linewidth=1.3)
        axes.axvline(1, **_GUIDE)
        axes.set_xlim(left=0)
        dress(axes, kind, "time, as a share of the reference; the bar is black")
        axes.set_yticks(range(len(places)), places, fontsize=7)
        axes.set_ylim(len(places) - 0.5, -0.5)
    return figure


def _place(case: Case) -> str:
    return f"{case.layer} {case.channels_in}->{case.channels_out}, {case.kernel}x{case.kernel}"


def ratios(results: Mapping[str, Any], cases: Sequence[Case]) -> Figure | None:
    """Draw the ratio of ``auto`` to dense for every case, layer by layer."""
    entries = [results["cases"][case.key] for case in cases if case.key in results["cases"]]
    entries = [entry for entry in entries if "auto/dense" in entry["ratios"]]
    if not entries:
        return None
    names = [name for name in LAYERS if any(entry["case"]["layer"] == name for entry in entries)]
    figure = Figure(figsize=(_WIDTH, 1.2 + 0.24 * len(names)), layout="constrained", facecolor="white")
    for axes, kind in zip(figure.subplots(1, 2, sharex=True, sharey=True), KINDS, strict=True):
        chosen = [entry for entry in entries if entry["case"]["kind"] == kind]
        heights = [names.index(entry["case"]["layer"]) for entry in chosen]
        medians = [entry["ratios"]["auto/dense"]["median"] for entry in chosen]
        sizes = [4 + 3 * entry["case"]["kernel"] for entry in chosen]
        axes.scatter(medians, heights, sizes, color=_COLOURS["auto"], alpha=0.55, linewidths=0)
        aims = {(names.index(entry["case"]["layer"]), entry["aim"]) for entry in chosen}
        axes.plot([aim for _, aim in aims], [height for height, _ in aims], "|", color=INK, markersize=7, alpha=0.6)
        axes.axvline(1, **_GUIDE)
        axes.axvline(ANYWHERE, color=_VERDICTS["missed"], linewidth=0.8, linestyle=":")
        axes.set_xlim(left=0)
        dress(axes, kind, "auto / dense; larger dots: larger kernels; ticks: multiplications")
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_ylim(len(names) - 0.5, -0.5)
    return figure


def growth(results: Mapping[str, Any]) -> Figure | None:
    """Draw time against kernel size, on logarithmic axes, with lines that grow as k and as k^2."""
    groups = growth_groups(results)[:_PANELS]
    if not groups:
        return None
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    width = _WIDTH if columns > 1 else _WIDTH / 2
    figure = Figure(figsize=(width, 2.9 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, entries in zip(panels, groups, strict=False):
        _panel(axes, entries)
    panels[0].legend(fontsize=7, frameon=False, labelcolor=INK)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    return figure


def _panel(axes: "Axes", entries: Sequence[Mapping[str, Any]]) -> None:
    case, sizes = case_of(entries[0]), [entry["case"]["kernel"] for entry in entries]
    start = 1e3 * max(entries[0]["medians"].values())
    for power, style in ((1, ":"), (2, "--")):
        guide = [start * (size / sizes[0]) ** power for size in sizes]
        axes.plot(sizes, guide, style, color="#b3bac2", linewidth=1, label=f"as k^{power}" if power > 1 else "as k")
    for name in entries[0]["medians"]:
        medians = [1e3 * entry["medians"][name] for entry in entries if name in entry["medians"]]
        if len(medians) == len(sizes):
            axes.plot(sizes, medians, "o-", color=_COLOURS[name], markersize=3.5, linewidth=1.5, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    dress(axes, f"{case.layer}, {case.kind}\n{case.shape}", "k")
    axes.set_ylabel("ms", fontsize=9, color=INK)
