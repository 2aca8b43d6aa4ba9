"""What the profiles measure. Free of TensorFlow."""

from collections.abc import Callable

from tf_symconv.benchmarks._bars import BARS
from tf_symconv.benchmarks._cases import LAYERS, Case, grid

_GROWING = ("mirror-v", "mirror-hv", "tile-rows")


def quick() -> list[Case]:
    """Return every layer once, and how two of them grow."""
    middle = {"channels": [(64, 64)], "sizes": [32], "batches": [8]}
    few = grid(LAYERS, kernels=[5], **middle)
    few += grid(["mirror-3d"], kernels=[3], **middle)
    growth = grid(["mirror-hv", "tile-rows"], kernels=[3, 7, 11], kinds=["inference"], **middle)
    order = list(LAYERS)
    return sorted(dict.fromkeys(few + growth), key=lambda case: (order.index(case.layer), case.kernel, case.kind))


def growth() -> list[Case]:
    """Return the cases that show how cost grows with the kernel."""
    return grid(_GROWING, kernels=[3, 5, 7, 9, 11], channels=[(64, 64)], sizes=[32], batches=[8])


def bars() -> list[Case]:
    """Return the cases of the bars."""
    return [bar.case for bar in BARS]


def full() -> list[Case]:
    """Return the whole grid."""
    return grid(LAYERS)


PROFILES: dict[str, Callable[[], list[Case]]] = {"quick": quick, "bars": bars, "growth": growth, "full": full}
