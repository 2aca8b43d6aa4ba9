"""Measure what is asked and not yet known, and keep it. TensorFlow is imported when it begins."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tf_symconv.benchmarks._cases import LAYERS, Case
from tf_symconv.benchmarks._store import Store, code_version
from tf_symconv.benchmarks._timing import Patience, interleave, quartiles, ratio

if TYPE_CHECKING:
    from tf_symconv.benchmarks._subjects import Options


@dataclasses.dataclass(frozen=True)
class Work:
    """What to measure.

    Args:
        cases: Times of layers.
        memory: Training steps whose peak memory is measured.
        construction: Layers whose construction is timed.
        peers: Cases that peer libraries run too.
        interpreter: The Python that has the peer libraries, None for no peers.
        threads: Threads of an operation of a peer, 0 for its own choice.
    """

    cases: Sequence[Case] = ()
    memory: Sequence[Case] = ()
    construction: Sequence[Case] = ()
    peers: Sequence[Case] = ()
    interpreter: str | None = None
    threads: int = 0

    def items(self) -> list[tuple[str, Case]]:
        """Return ``(section of the results, case)`` for all of it."""
        sections = ("cases", "construction", "memory", "peers")
        return [(name, case) for name in sections for case in dict.fromkeys(getattr(self, name))]


def execute(
    work: Work,
    store: Store,
    options: "Options",
    patience: Patience,
    budget: float | None = None,
    on_progress: Callable[[str, Case, int, int], None] = lambda *_: None,
) -> int:
    """Measure what ``store`` lacks.

    Args:
        work: What to measure.
        store: Takes the results, one by one.
        options: How the functions are made.
        patience: How long to measure each case.
        budget: Begin nothing new after so many seconds.
        on_progress: Called as ``(section, case, number done, number of all)`` before each measurement.

    Returns:
        How many measurements are left.
    """
    items = work.items()
    missing = [(section, case) for section, case in items if not store.has(section, case.key)]
    if not missing:
        return 0
    start = time.monotonic()
    measure = _Measurements(options, patience, work)
    try:
        for number, (section, case) in enumerate(missing):
            if budget is not None and time.monotonic() - start >= budget:
                return len(missing) - number
            on_progress(section, case, len(items) - len(missing) + number, len(items))
            found = getattr(measure, section)(case)
            store.put(section, case.key, {"case": dataclasses.asdict(case), **found, "code": measure.code})
    finally:
        measure.close()
    return 0


class _Measurements:
    """One method for each section of the results."""

    def __init__(self, options: "Options", patience: Patience, work: Work) -> None:
        self.options = options
        self.patience = patience
        self.interpreter = work.interpreter
        self.threads = work.threads
        self.code = code_version()
        self._peer: Any = None

    def cases(self, case: Case) -> dict[str, Any]:
        from tf_symconv.benchmarks._subjects import subjects

        subject = subjects(case, self.options)
        pairs = list(_pairs(self.options.implementations))
        times = interleave(subject.functions, pairs, self.patience, self.options.seed)
        return {
            "medians": {name: quartiles(values)[1] for name, values in times.items()},
            "ratios": {f"{ours}/{theirs}": ratio(times[ours], times[theirs]) for ours, theirs in pairs},
            "aim": LAYERS[case.layer].aim(case.kernel),
            "plan": _plain(subject.plan),
            "difference": subject.difference,
            "seconds": {name: [float(f"{value:.4g}") for value in values] for name, values in times.items()},
        }

    def construction(self, case: Case) -> dict[str, Any]:
        from tf_symconv.benchmarks._subjects import construction_seconds

        return construction_seconds(case)

    def memory(self, case: Case) -> dict[str, Any]:
        from tf_symconv.benchmarks._memory import peak_memory

        return peak_memory(case, self.options)

    def peers(self, case: Case) -> dict[str, Any]:
        from tf_symconv.benchmarks._peers import Peer

        if self._peer is None:
            self._peer = Peer(str(self.interpreter), self.threads)
        return self._peer.measure(case, self.patience, self.options)

    def close(self) -> None:
        if self._peer is not None:
            self._peer.close()


def _pairs(implementations: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return the ratios of interest: each implementation to the dense one and to the plain layer."""
    for name in implementations:
        if name != "dense":
            if "dense" in implementations:
                yield name, "dense"
            yield name, "plain"
    if "dense" in implementations:
        yield "dense", "plain"


def _plain(plan: Any) -> Any:
    """Return a plan as JSON can hold it."""
    if plan is None or isinstance(plan, str | int | float | bool):
        return plan
    if dataclasses.is_dataclass(plan) and not isinstance(plan, type):
        plan = dataclasses.asdict(plan)
    if isinstance(plan, dict):
        return {str(name): _plain(value) for name, value in plan.items()}
    return [_plain(value) for value in plan] if isinstance(plan, list | tuple) else str(plan)
