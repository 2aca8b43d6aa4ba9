"""The bars: ratios that certain layers must reach at certain shapes. Free of TensorFlow."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tf_symconv.benchmarks._cases import LAYERS, Case, matching

#: Seconds to construct and build a group convolution.
CONSTRUCTION = 0.05
#: Peak memory of a training step, folded to dense.
MEMORY = 2.0
#: No layer under "auto" is slower than dense by more, anywhere.
ANYWHERE = 1.03


@dataclasses.dataclass(frozen=True)
class Bar:
    """The most that a ratio may be.

    Args:
        case: What is measured.
        against: ``"dense"``: our layer with ``implementation="dense"``; ``"plain"``: the plain Keras layer.
        limit: The largest ratio of ``auto`` to it that passes; None where it is only shown.
    """

    case: Case
    against: str
    limit: float | None

    def verdict(self, ratio: float | None) -> str:
        """Return ``"passed"``, ``"missed"``, ``"not measured"``, or ``"-"`` where there is no bar."""
        if ratio is None:
            return "not measured"
        return "-" if self.limit is None else "passed" if ratio <= self.limit else "missed"


Limits = Sequence[float | None]
_NONE: Limits = (None, None, None)


def _row(
    names: str, shape: tuple[int, int, int, int], inference: Limits, training: Limits, against: str = "dense"
) -> list[Bar]:
    bars = []
    for name in matching(names.split(",")):
        kernels = LAYERS[name].kernels or (3, 5, 7)
        for kind, limits in (("inference", inference), ("training", training)):
            bars += [
                Bar(Case(name, kernel, *shape, kind), against, limit)
                for kernel, limit in zip(kernels, limits, strict=True)
            ]
    return bars


_MIDDLE = (64, 64, 32, 16)
_WIDE = (128, 128, 32, 16)

BARS: tuple[Bar, ...] = (
    *_row("mirror-v,mirror-h", _MIDDLE, (1.0, 0.78, 0.70), (1.0, 0.78, 0.70)),
    *_row("mirror-hv", (128, 128, 56, 8), (1.0, 0.66, 0.55), (1.0, 0.66, 0.50)),
    *_row("mirror-hv", (3, 64, 56, 16), (1.0, 0.95, 0.85), (0.8, 0.5, 0.35)),
    *_row("tile-rows", _MIDDLE, (0.50, 0.32, 0.22), (0.65, 0.45, 0.32)),
    *_row("pattern", _MIDDLE, (0.60,), (0.70,)),
    *_row("twin-max,twin-sum", _WIDE, (0.80, 0.58, 0.56), (1.0, 0.80, 0.72)),
    *_row("bank-hv", _WIDE, (1.0, 0.70, 0.60), (1.0, 0.90, 0.80)),
    *_row("group-c4-lift,group-c4-regular", _MIDDLE, _NONE, (1.02, 0.95, 0.85), "plain"),
    *_row("group-d4-lift,group-d4-regular", _MIDDLE, (1.02, 0.85, 0.70), (1.02, 0.95, 0.85), "plain"),
    Bar(Case("spectral", 5, *_MIDDLE, "training"), "plain", 1.05),
)


def judged(ratios: dict[str, dict[str, Any]], only: Sequence[str]) -> list[tuple[Bar, dict[str, Any] | None, str]]:
    """Return every bar of these layers with its measured ratio and the verdict.

    Args:
        ratios: By ``Case.key``, then ``"auto/dense"`` or ``"auto/plain"``: a ratio as a dict with ``median``.
        only: Names of layers.
    """
    rows = []
    for bar in BARS:
        if bar.case.layer in only:
            ratio = ratios.get(bar.case.key, {}).get(f"auto/{bar.against}")
            rows.append((bar, ratio, bar.verdict(None if ratio is None else ratio["median"])))
    return rows
