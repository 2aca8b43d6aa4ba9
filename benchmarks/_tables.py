"""Tables of the results, for the screen and for pages. Free of TensorFlow."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tf_symconv.benchmarks import _bars
from tf_symconv.benchmarks._cases import LAYERS, Case
from tf_symconv.benchmarks._timing import exponent

if TYPE_CHECKING:
    from rich.table import Table

NOT_MEASURED = "not measured"
_LEFT = 2  # the first columns, which hold words
_WORST = 12
_FEW = 3
_CLOSE = 1.05


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A table: a title, column heads, rows of text, and what to know about it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __rich__(self) -> "Table":
        """Return a ``rich`` table."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, caption=self.note or None, box=box.SIMPLE_HEAD, pad_edge=False)
        table.title_justify = table.caption_justify = "left"
        for number, head in enumerate(self.heads):
            table.add_column(head, justify="left" if number < _LEFT else "right", overflow="fold")
        colours = {"missed": "red", "passed": "green", NOT_MEASURED: "dim"}
        for row in self.rows:
            table.add_row(*(Text(cell, style=colours.get(cell, "")) for cell in row))
        return table

    def markdown(self) -> str:
        """Return the table for a page."""
        rule = ["---" if number < _LEFT else "---:" for number in range(len(self.heads))]
        lines = ["| " + " | ".join(row) + " |" for row in (self.heads, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, *(["", self.note] if self.note else [])])


def case_of(entry: Mapping[str, Any]) -> Case:
    """Return the case that an entry of the results tells of."""
    return Case(**entry["case"])


def _spread(ratio: Mapping[str, Any] | None, digits: int = 2) -> str:
    if ratio is None:
        return NOT_MEASURED
    low, high = ratio["quartiles"]
    return f"{ratio['median']:.{digits}f} ({low:.2f}-{high:.2f})"


def _ms(seconds: float | None) -> str:
    return NOT_MEASURED if seconds is None else f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def _mb(count: float) -> str:
    return f"{count / 2**20:.0f}"


def ratios_by_key(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the ratios of every case."""
    return {key: entry["ratios"] for key, entry in results["cases"].items()}


def times(results: Mapping[str, Any], cases: Iterable[Case], gpu: Mapping[str, Any] | None = None) -> Sheet:
    """Return the times and ratios of these cases, as far as they are known."""
    entries = [results["cases"][case.key] for case in cases if case.key in results["cases"]]
    names = list(dict.fromkeys(itertools.chain.from_iterable(entry["medians"] for entry in entries)))
    pairs = list(dict.fromkeys(itertools.chain.from_iterable(entry["ratios"] for entry in entries)))
    pairs = [pair for pair in pairs if pair != "dense/plain" or len(pairs) < _FEW]
    heads = (
        "layer",
        "shape",
        "k",
        "kind",
        f"{' / '.join(names)} ms",
        *pairs,
        "aim",
        "plan",
        *(("GPU",) if gpu else ()),
    )
    rows = []
    for entry in entries:
        case = case_of(entry)
        rows.append(
            (
                *(case.layer, case.shape, str(case.kernel), case.kind),
                " / ".join(_ms(entry["medians"].get(name)) for name in names),
                *(_spread(entry["ratios"].get(pair)) for pair in pairs),
                f"{entry['aim']:.2f}",
                _predicted(entry),
                *((_gpu_cell(case, gpu),) if gpu else ()),
            )
        )
    note = (
        "Medians; ratios are medians of pairs of one round, with their quartiles. Aim: the share of multiplications "
        "that folding leaves. Plan: what the cost model predicts of auto/dense. b16: batch 16."
    )
    return Sheet("Times", heads, tuple(rows), note)


def _predicted(entry: Mapping[str, Any]) -> str:
    """Return the cost that the plan of the layer predicts, as a share of the dense one's."""
    plan = entry["plan"]
    cost = plan.get("training_cost" if entry["case"]["kind"] == "training" else "forward_cost") if plan else None
    return "-" if cost is None else f"{cost:.2f}"


def _gpu_cell(case: Case, gpu: Mapping[str, Any] | None) -> str:
    entry = (gpu or {}).get("cases", {}).get(case.key)
    return NOT_MEASURED if entry is None else _spread(entry["ratio"])


def worst(results: Mapping[str, Any], cases: Iterable[Case]) -> Sheet:
    """Return the cases in which ``auto`` is slower than dense by more than is allowed, the worst first."""
    found = []
    for case in cases:
        ratio = results["cases"].get(case.key, {}).get("ratios", {}).get("auto/dense")
        if ratio is not None:
            found.append((ratio["median"], case, ratio))
    found.sort(key=lambda item: -item[0])
    above = [item for item in found if item[0] > _bars.ANYWHERE]
    rows = tuple(
        (case.layer, case.shape, str(case.kernel), case.kind, _spread(ratio), _interval(ratio))
        for _, case, ratio in above[:_WORST] or found[:1]
    )
    certain = sum(1 for _, _, ratio in above if ratio["interval"] and ratio["interval"][0] > _bars.ANYWHERE)
    note = (
        f"{len(above)} of {len(found)} cases above {_bars.ANYWHERE}, {certain} of them with the whole 95 % interval."
        + (
            " The worst is shown."
            if not above
            else f" The worst {len(rows)} are shown."
            if len(above) > len(rows)
            else ""
        )
    )
    heads = ("layer", "shape", "k", "kind", "auto/dense", "95 % interval")
    return Sheet(f"No layer above {_bars.ANYWHERE}", heads, rows, note)


def choices(results: Mapping[str, Any], cases: Iterable[Case]) -> Sheet:
    """Return where ``auto`` chose the slower form, the worst first, as far as both forms are measured."""
    found = []
    for case in cases:
        medians = results["cases"].get(case.key, {}).get("medians", {})
        if {"dense", "folded", "auto"} <= set(medians):
            best = min(medians["dense"], medians["folded"])
            found.append((medians["auto"] / best, case, medians))
    found.sort(key=lambda item: -item[0])
    rows = tuple(
        (
            *(case.layer, case.shape, str(case.kernel), case.kind),
            " / ".join(_ms(medians[name]) for name in ("dense", "folded", "auto")),
            f"{regret:.2f}",
        )
        for regret, case, medians in found[:_WORST]
        if regret > _CLOSE
    )
    count = sum(regret > _CLOSE for regret, _, _ in found)
    note = f"auto takes more than {_CLOSE} of the time of the better form in {count} of {len(found)} cases."
    heads = ("layer", "shape", "k", "kind", "dense / folded / auto ms", "auto/best")
    return Sheet("Choices of auto", heads, rows, note)


def _interval(ratio: Mapping[str, Any] | None) -> str:
    if ratio is None or ratio["interval"] is None:
        return "-"
    low, high = ratio["interval"]
    return f"{low:.3f}-{high:.3f}"


def bars(results: Mapping[str, Any], only: Sequence[str], gpu: Mapping[str, Any] | None = None) -> Sheet:
    """Return the bars, the ratios measured and the verdicts."""
    rows, noise = [], 0
    for bar, ratio, verdict in _bars.judged(ratios_by_key(results), only):
        if verdict == "missed" and bar.limit is not None and ratio is not None and ratio["interval"] is not None:
            noise += ratio["interval"][0] <= bar.limit
        limit = "-" if bar.limit is None else f"{bar.limit:.2f} of {bar.against}"
        cells = (bar.case.layer, bar.case.shape, str(bar.case.kernel), bar.case.kind, limit)
        rows.append((*cells, _spread(ratio, 3), verdict, _gpu_cell(bar.case, gpu)))
    heads = ("layer", "shape", "k", "kind", "bar", "auto", "verdict", "GPU")
    note = "Auto: medians of the ratio, with quartiles. GPU: folded to dense. " + _counts(row[6] for row in rows)
    if noise:
        note += f"; {noise} of the missed have their bar within the 95 % interval"
    return Sheet("Bars", heads, tuple(rows), note)


def _counts(verdicts: Iterable[str]) -> str:
    found = list(verdicts)
    return ", ".join(f"{found.count(word)} {word}" for word in ("passed", "missed", NOT_MEASURED))


def construction(results: Mapping[str, Any], only: Sequence[str]) -> Sheet:
    """Return how long layers take to construct and build."""
    rows = []
    for entry in results["construction"].values():
        case = case_of(entry)
        if case.layer in only:
            verdict = "passed" if entry["ours"] <= _bars.CONSTRUCTION else "missed"
            figures = (f"{1e3 * entry['plain']:.1f}", f"{1e3 * entry['ours']:.1f}", f"{1e3 * _bars.CONSTRUCTION:.0f}")
            rows.append((case.layer, f"{case.channels_in}->{case.channels_out}", str(case.kernel), *figures, verdict))
    heads = ("layer", "channels", "k", "plain ms", "ours ms", "bar ms", "verdict")
    return Sheet("Construction", heads, tuple(rows), _counts(row[-1] for row in rows))


def memory(results: Mapping[str, Any], cases: Iterable[Case]) -> Sheet:
    """Return the peak memory of training steps."""
    rows = []
    for case in cases:
        entry = results["memory"].get(case.key)
        if entry is None or "auto" not in entry or "dense" not in entry:
            rows.append((case.layer, case.shape, str(case.kernel), *[NOT_MEASURED] * 4))
            continue
        whole, own = (entry["auto"][name] / max(entry["dense"][name], 1) for name in ("whole", "step"))
        figures = [" / ".join(_mb(entry[name][part]) for name in ("dense", "auto")) for part in ("whole", "step")]
        verdict = "passed" if whole <= _bars.MEMORY else "missed"
        rows.append((case.layer, case.shape, str(case.kernel), *figures, f"{whole:.2f} ({own:.2f})", verdict))
    heads = ("layer", "shape", "k", "dense / auto MiB", "step alone", "ratio", "verdict")
    note = (
        "Peak of a training step beyond the libraries: inputs, weights, gradients and what the step needs on the way; "
        f"in brackets what the step adds to its inputs and weights. The rule: at most {_bars.MEMORY:g}. "
    )
    return Sheet("Peak memory", heads, tuple(rows), note + _counts(row[-1] for row in rows))


def growth(results: Mapping[str, Any]) -> Sheet:
    """Return how the time grows with the kernel, for all layers and shapes with three sizes or more."""
    rows = []
    for entries in growth_groups(results):
        case = case_of(entries[0])
        sizes = [case_of(entry).kernel for entry in entries]
        cells = []
        for name in ("plain", "dense", "auto"):
            medians = [entry["medians"].get(name) for entry in entries]
            cells.append(NOT_MEASURED if None in medians else f"{exponent(sizes, medians):.2f}")
        aims = [LAYERS[case.layer].aim(size) * size**2 for size in sizes]
        figures = " / ".join(_ms(entry["medians"].get("auto")) for entry in entries)
        places = "/".join(map(str, sizes))
        rows.append((case.layer, case.shape, case.kind, places, figures, *cells, f"{exponent(sizes, aims):.2f}"))
    heads = ("layer", "shape", "kind", "k", "auto ms", "plain", "dense", "auto", "multiplications")
    note = (
        "The last columns: the power of k with which time grows (least squares). Dense grows as k^2, a tiled row as k."
    )
    return Sheet("Growth with the kernel", heads, tuple(rows), note)


def growth_groups(results: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """Return entries that differ in the kernel size only, in its order, where there are three or more."""
    groups: dict[Case, list[Mapping[str, Any]]] = {}
    for entry in results["cases"].values():
        case = case_of(entry)
        if LAYERS[case.layer].rank == 2:
            groups.setdefault(dataclasses.replace(case, kernel=0), []).append(entry)
    names = list(LAYERS)
    ordered = sorted(groups, key=lambda case: (names.index(case.layer), case.work, case.shape, case.kind))
    return [
        sorted(groups[case], key=lambda entry: entry["case"]["kernel"]) for case in ordered if len(groups[case]) > 2
    ]


def peers(results: Mapping[str, Any], only: Sequence[str]) -> Sheet:
    """Return our times beside those of peer libraries."""
    rows = []
    for key, entry in results["peers"].items():
        case, ours = case_of(entry), results["cases"].get(key, {}).get("medians", {})
        if case.layer in only:
            medians = entry["medians"]
            both = ours.get("auto"), medians["e2cnn"]
            rows.append(
                (
                    *(case.layer, case.shape, str(case.kernel), case.kind),
                    " / ".join(map(_ms, (ours.get("plain"), both[0]))),
                    " / ".join(map(_ms, (medians["torch"], both[1]))),
                    NOT_MEASURED if None in both else f"{both[0] / both[1]:.2f}",
                    _spread(entry["ratio"]),
                    f"{1e3 * entry['construction']:.0f}",
                )
            )
    heads = (
        "layer",
        "shape",
        "k",
        "kind",
        "Conv2D / ours ms",
        "torch / e2cnn ms",
        "ours/e2cnn",
        "e2cnn/torch",
        "build ms",
    )
    versions = next((entry["versions"] for entry in results["peers"].values()), {})
    note = "Build: constructing e2cnn's layer. " + ", ".join(f"{name} {version}" for name, version in versions.items())
    return Sheet("Peers", heads, tuple(rows), note)


def sheets(
    results: Mapping[str, Any],
    cases: Sequence[Case],
    *,
    show_bars: bool = False,
    memory_cases: Sequence[Case] = (),
    gpu: Mapping[str, Any] | None = None,
) -> list[Sheet]:
    """Return the tables that these cases have something for."""
    only = list(dict.fromkeys(case.layer for case in cases))
    found = [bars(results, only, gpu)] if show_bars else []
    found += [times(results, cases, gpu), worst(results, cases), choices(results, cases), growth(results)]
    found += [construction(results, only), memory(results, memory_cases), peers(results, only)]
    return [sheet for sheet in found if sheet.rows]


def missed(results: Mapping[str, Any], cases: Sequence[Case], memory_cases: Sequence[Case] = ()) -> int:
    """Return how many bars of these cases are missed, those of construction and memory too."""
    keys = {case.key for case in cases}
    only = list(dict.fromkeys(case.layer for case in cases))
    found = [verdict for bar, _, verdict in _bars.judged(ratios_by_key(results), only) if bar.case.key in keys]
    found += [row[-1] for row in (*construction(results, only).rows, *memory(results, memory_cases).rows)]
    return found.count("missed")


def stale(results: Mapping[str, Any], cases: Sequence[Case], code: str) -> int:
    """Return how many results of these cases stem from other sources than those that ``code`` marks."""
    entries = (results["cases"].get(case.key) for case in cases)
    return sum(entry is not None and entry["code"] != code for entry in entries)
