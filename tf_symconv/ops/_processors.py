"""What ops cost on the processors that were measured.

The unit is the multiplication of a convolution: a step costs its multiplications, what it takes to move the numbers it
reads and writes, and a constant for each op (a roofline model). How much arithmetic a number that moves stands for
depends on the processor, so each kind has a table, fitted to the benchmark (``benchmarks/README.md``).
"""

import contextlib
import contextvars
import dataclasses
import enum
import functools
import os
from collections.abc import Iterator, Mapping
from typing import final

import numpy as np

#: The environment variable that names the processor to plan for.
VARIABLE = "SYMCONV_PROCESSOR"


@final
class Op(enum.Enum):
    """What an op is like."""

    CONVOLUTION = "a convolution, or a pass over inputs"
    STEPPING = "a convolution that steps over folded values"
    PRODUCT = "a matrix product"
    ROW_PRODUCT = "a product of the rows of a picture, one at a time"
    SUM = "a pass over whole tensors"
    OF_ROW = "a convolution with one row of a kernel"
    OF_COLUMN = "a convolution with one column of a kernel"
    FILTERING = "a convolution in groups, one for each point of minimal filtering"


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
class Processor:
    """A kind of processor.

    Args:
        name: What it is called in :data:`VARIABLE`.
        title: For people.
        lanes: Convolution kernels work on so many channels at once.
        crowding: How much longer a multiplication takes where the values of one output leave the first cache.
        speed_in_16_bits: How many times as fast it multiplies 16-bit numbers.
        rates: By op.
    """

    name: str
    title: str
    lanes: int
    crowding: float
    speed_in_16_bits: float
    rates: Mapping[Op, Rates]

    def waste(self, channels: int) -> float:
        """Return how much longer it takes where so many channels do not fill the lanes; 0 stands for any that do."""
        return -(-channels // self.lanes) * self.lanes / channels if channels else 1.0


#: Two cores make 178 million multiplications of float32 in a millisecond, and move 3 million numbers. With AMX they
#: multiply bfloat16 in tiles.
AVX512 = Processor(
    name="avx512",
    title="AVX-512",
    lanes=16,
    crowding=1.1,
    speed_in_16_bits=8,
    rates={
        Op.CONVOLUTION: Rates(59),
        Op.STEPPING: Rates(59, kernel_gradient=1.35),
        Op.PRODUCT: Rates(45, kernel_gradient=1.6),
        Op.ROW_PRODUCT: Rates(20),
        Op.SUM: Rates(30, start=5e6),
        Op.OF_ROW: Rates(30, start=8e6),
        Op.OF_COLUMN: Rates(30, kernel_gradient=1.7, start=8e6),
        # Its inputs are still at hand, but not its kernel, which it rearranges.
        Op.FILTERING: Rates(20, multiplication=1.2, weight=150),
    },
)
AVX2 = dataclasses.replace(AVX512, name="avx2", title="AVX2", lanes=8)
PROCESSORS = {one.name: one for one in (AVX512, AVX2)}

_planned_for: contextvars.ContextVar[Processor | None] = contextvars.ContextVar("planned_for", default=None)


def processor() -> Processor:
    """Return the processor to plan for: that of :func:`planned_for`, that of :data:`VARIABLE`, or this machine's."""
    return _planned_for.get() or _of_environment(os.environ.get(VARIABLE, ""))


@contextlib.contextmanager
def planned_for(name: str) -> Iterator[None]:
    """Choose, for convolutions that are traced in the block, as fits a kind of processor.

    Args:
        name: One of :data:`PROCESSORS`.

    Raises:
        ValueError: If there is no such kind.
    """
    before = _planned_for.set(_named(name, "name"))
    try:
        yield
    finally:
        _planned_for.reset(before)


def _named(name: str, argument: str) -> Processor:
    if name not in PROCESSORS:
        raise ValueError(f"{argument} must be one of {', '.join(PROCESSORS)}. Received: {argument}={name!r}")
    return PROCESSORS[name]


@functools.lru_cache(maxsize=8)
def _of_environment(name: str) -> Processor:
    return _named(name, VARIABLE) if name else _of_this_machine()


def _of_this_machine() -> Processor:
    """Return the nearest of the processors that were measured."""
    found = np.show_config(mode="dicts") or {}
    extensions = found.get("SIMD Extensions", {})
    names = {*extensions.get("baseline", ()), *extensions.get("found", ())}
    return AVX512 if names & {"AVX512F", "X86_V4"} else AVX2
