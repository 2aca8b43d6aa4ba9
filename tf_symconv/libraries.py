"""The libraries by which TensorFlow convolves on a CPU, and what ops cost with them.

TensorFlow convolves with oneDNN on processors made for it (AVX512_VNNI, AMX, ...) and where ``TF_ENABLE_ONEDNN_OPTS=1``
is in the environment, else with Eigen. What is fast with one is slow with the other, so ``implementation="auto"`` plans
by a table for each, fitted to measurements (``benchmarks/README.md``). The unit is the multiplication of a convolution:
a step costs its multiplications, what it takes to move the numbers it reads and writes, and a constant for each op (a
roofline model).

Convolutions are planned for the library of the process that traces them. A model that runs elsewhere can be planned for
there: by :func:`planned_for`, or by the environment variable ``SYMCONV_LIBRARY``. The plan changes nothing but the
time, and results within rounding.
"""

import contextlib
import contextvars
import dataclasses
import enum
import functools
import importlib
import os
from collections.abc import Iterator, Mapping
from typing import final

__all__ = ["EIGEN", "LIBRARIES", "ONEDNN", "VARIABLE", "Library", "Op", "Rates", "current", "planned_for", "waste"]

#: The environment variable that names the library to plan for.
VARIABLE = "SYMCONV_LIBRARY"


@final
class Op(enum.Enum):
    """What an op is like."""

    CONVOLUTION = "a convolution, or a pass over inputs"
    NARROW = "a convolution of few channels, or of what is folded of them"
    CONVOLVED = "a convolution whose gradients are convolutions"
    STEPPING = "a convolution that steps over folded values"
    STEPPING_3D = "the same in volumes"
    PRODUCT = "a product with a folding matrix"
    ROW_PRODUCT = "the same for the rows of a picture, one at a time"
    CONTRACTION = "a product with a kernel whose axes are all folded"
    SPREADING = "a product with a kernel whose outputs are folded afterwards"
    SUM = "a pass over whole tensors"
    OF_ROW = "a convolution with one row of a kernel"
    OF_COLUMN = "a convolution with one column of a kernel"
    FILTERING = "a convolution in groups, one for each point of minimal filtering"
    BY_POINT = "a convolution for each point of minimal filtering"
    OF_SHARED = "a convolution of sums that several cells of a kernel share, with convolved gradients"
    SIDE_BY_SIDE = "sums of slices, side by side as channels"
    FLAT_PRODUCT = "a product of such channels with the kernel"


@final
@dataclasses.dataclass(frozen=True)
class Rates:
    """What a kind of op costs, in multiplications.

    Args:
        number: Reading or writing one number costs as much as so many.
        multiplication: How much longer one takes than in a convolution.
        inputs_gradient: How much longer yet, in the gradient with respect to the inputs.
        kernel_gradient: The same for the gradient with respect to the kernel.
        start: What an op costs before it starts.
        weight: Reading a number of a kernel costs as much as so many; None: as any number.
    """

    number: float
    multiplication: float = 1.0
    inputs_gradient: float = 1.0
    kernel_gradient: float = 1.15
    start: float = 3.5e6
    weight: float | None = None


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Library:
    """A library of convolutions.

    Args:
        name: What it is called in :data:`VARIABLE`.
        title: For people.
        lanes: Products and depthwise convolutions work on so many channels at once, ...
        gradient_lanes: ... and gradients of convolutions with respect to the inputs on so many.
        kernel_gradient_lanes: Gradients with respect to single rows or columns of a kernel work on so many filters.
        crowding: How much longer a multiplication takes where the values of one output leave the first cache.
        speed_in_16_bits: How many times as fast it multiplies 16-bit numbers.
        own_forward: What share of a training step a forward pass of its own has to save, other than that of inference;
            1: it never has one, since predictions are not good enough to tell.
        rates: By op.
    """

    name: str
    title: str
    lanes: int
    gradient_lanes: int
    kernel_gradient_lanes: int
    crowding: float
    speed_in_16_bits: float
    own_forward: float
    rates: Mapping[Op, Rates]


def waste(channels: int, lanes: int) -> float:
    """Return how much longer it takes where so many channels do not fill the lanes; 0 stands for any that do."""
    return -(-channels // lanes) * lanes / channels if channels else 1.0


#: Measured on two cores with AVX-512 (Intel; flat sums on Zen 5), which make 178 million multiplications of float32 in
#: a millisecond and move 3 million numbers. With AMX they multiply bfloat16 in tiles.
ONEDNN = Library(
    name="onednn",
    title="oneDNN",
    lanes=16,
    gradient_lanes=16,
    kernel_gradient_lanes=1,
    crowding=1.1,
    speed_in_16_bits=8,
    own_forward=0.02,
    rates={
        Op.CONVOLUTION: Rates(59),
        Op.NARROW: Rates(28, multiplication=0.87, inputs_gradient=0.8, kernel_gradient=1.1),
        Op.CONVOLVED: Rates(59),
        Op.STEPPING: Rates(59, kernel_gradient=1.35),
        Op.STEPPING_3D: Rates(59, multiplication=1.15, inputs_gradient=1.2, kernel_gradient=1.17),
        Op.PRODUCT: Rates(45, start=6e6),
        Op.ROW_PRODUCT: Rates(20, start=6e6),
        Op.CONTRACTION: Rates(45, kernel_gradient=1.6),
        Op.SPREADING: Rates(45, kernel_gradient=1.6),
        Op.SUM: Rates(30, start=5e6),
        Op.OF_ROW: Rates(30, start=8e6),
        Op.OF_COLUMN: Rates(30, kernel_gradient=1.7, start=8e6),
        # Its inputs are still at hand, but not its kernel, which it rearranges.
        Op.FILTERING: Rates(20, multiplication=1.2, weight=150),
        Op.BY_POINT: Rates(100, multiplication=1.2, start=3e7),
        Op.OF_SHARED: Rates(25, multiplication=1.15, inputs_gradient=1.1, kernel_gradient=9, start=8e6),
        Op.SIDE_BY_SIDE: Rates(7.5, start=1e6),
        Op.FLAT_PRODUCT: Rates(62, multiplication=2.75, inputs_gradient=1.44, kernel_gradient=0.71, start=1.4e6),
    },
)

#: Measured on two cores with AVX2, which make 60 million multiplications in a millisecond and move as many numbers as
#: above: sums are cheap, products with folding matrices are not. Gradients take longer than the convolution; where
#: volumes are stepped over, many times as long.
EIGEN = Library(
    name="eigen",
    title="Eigen",
    lanes=16,
    gradient_lanes=4,
    kernel_gradient_lanes=64,
    crowding=1.1,
    speed_in_16_bits=8,
    own_forward=1,
    rates={
        Op.CONVOLUTION: Rates(51, inputs_gradient=1.25, kernel_gradient=1.25, start=3.2e6),
        Op.NARROW: Rates(51, inputs_gradient=1.25, kernel_gradient=1.25, start=3.2e6),
        Op.CONVOLVED: Rates(51, inputs_gradient=0.8, kernel_gradient=0.5, start=3.2e6),
        Op.STEPPING: Rates(49, multiplication=1.16, kernel_gradient=1.18, start=3e6),
        Op.STEPPING_3D: Rates(72, inputs_gradient=15, kernel_gradient=5.2),
        Op.PRODUCT: Rates(7, multiplication=0.19, start=2.5e5),
        Op.ROW_PRODUCT: Rates(10, multiplication=2.15, start=4e6),
        Op.CONTRACTION: Rates(79, inputs_gradient=0.71, kernel_gradient=0.91, start=2.2e6),
        Op.SPREADING: Rates(52, multiplication=1.55, inputs_gradient=0.39, kernel_gradient=0.71, start=1.6e6),
        Op.SUM: Rates(10, multiplication=1.1, start=1e5),
        Op.OF_ROW: Rates(30, kernel_gradient=1.2, start=3e5),
        Op.OF_COLUMN: Rates(30, multiplication=1.05, kernel_gradient=1.2, start=1e5),
        Op.FILTERING: Rates(150, multiplication=1.27, inputs_gradient=0.81, start=2.1e6),
        Op.BY_POINT: Rates(105, multiplication=1.05, start=8e6, weight=50),
        Op.OF_SHARED: Rates(35, inputs_gradient=0.8, kernel_gradient=0.7, start=7e6),
        Op.SIDE_BY_SIDE: Rates(4.5, start=4e6),
        Op.FLAT_PRODUCT: Rates(46, multiplication=0.81, inputs_gradient=1.55, kernel_gradient=0.68, start=2.2e6),
    },
)
LIBRARIES = {one.name: one for one in (ONEDNN, EIGEN)}

_planned_for: contextvars.ContextVar[Library | None] = contextvars.ContextVar("planned_for", default=None)


def current() -> Library:
    """Return the library to plan for: that of :func:`planned_for`, that of :data:`VARIABLE`, or TensorFlow's here.

    Raises:
        ValueError: If the environment names one that is not known.
    """
    return _planned_for.get() or _of_environment(os.environ.get(VARIABLE, ""))


@contextlib.contextmanager
def planned_for(name: str) -> Iterator[None]:
    """Choose, for convolutions that are traced in the block, as fits a library.

    Args:
        name: One of :data:`LIBRARIES`: ``"onednn"`` or ``"eigen"``.

    Raises:
        ValueError: If there is no such library.

    Example:
        >>> with planned_for("eigen"):
        ...     current().title
        'Eigen'
    """
    before = _planned_for.set(_named(name, "name"))
    try:
        yield
    finally:
        _planned_for.reset(before)


def _named(name: str, argument: str) -> Library:
    if name not in LIBRARIES:
        raise ValueError(f"{argument} must be one of {', '.join(LIBRARIES)}. Received: {argument}={name!r}")
    return LIBRARIES[name]


def _of_environment(name: str) -> Library:
    return _named(name, VARIABLE) if name else _of_this_process()


@functools.lru_cache(maxsize=1)
def _of_this_process() -> Library:
    """Return the library with which TensorFlow convolves here, as it knows itself; where it does not tell, oneDNN."""
    try:
        enabled = importlib.import_module("tensorflow.python.util._pywrap_util_port").IsMklEnabled()
    except (ImportError, AttributeError):
        return ONEDNN
    return ONEDNN if enabled else EIGEN
