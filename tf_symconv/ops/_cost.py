"""What a form costs, in multiplications.

A step costs its multiplications, what it takes to move the numbers it reads and writes, and a constant for each op: a
roofline model. The constants fit the benchmark on two AVX-512 cores (``benchmarks/README.md``), which make 178 million
multiplications in a millisecond; slower cores and GPUs differ.
"""

import dataclasses
from collections.abc import Iterable
from typing import final

#: Convolution kernels work on so many channels at once.
_LANES = 16
#: Several values of so many channels, for each output of a row, leave the first cache.
_MANY_CHANNELS = 128
#: How many times as fast a processor with AMX multiplies bfloat16 numbers.
_SPEED_IN_16_BITS = 8


def lanes(channels: int) -> float:
    """Return how much longer a multiplication takes where so many channels do not fill the lanes of a processor."""
    return -(-channels // _LANES) * _LANES / channels


def crowding(channels: int) -> float:
    """Return how much longer a multiplication takes where an output of a row has several values of so many channels."""
    return 1.1 if channels >= _MANY_CHANNELS else 1.0


@final
@dataclasses.dataclass(frozen=True)
class Kind:
    """What an op is like.

    Args:
        number: Reading or writing one number costs as much as so many multiplications.
        kernel_gradient: How much longer a multiplication takes in the gradient of the kernel.
        start: What an op costs before it starts, in multiplications.
        weight: Reading a number of a kernel costs as much as so many multiplications; None: as any number.
    """

    number: float
    kernel_gradient: float = 1.15
    start: float = 3.5e6
    weight: float | None = None


#: A convolution or a pass over inputs.
PLAIN = Kind(59)
#: A convolution that steps over folded values.
STEPPING = Kind(59, 1.35)
#: A matrix product, and one of the rows of a picture, one at a time.
PRODUCT = Kind(45, 1.6)
ROW_PRODUCT = Kind(20)
#: A pass over whole tensors, and a convolution with one row, or with one column, of a kernel.
SUM = Kind(30, start=5e6)
OF_ROW = Kind(30, start=8e6)
OF_COLUMN = Kind(30, 1.7, start=8e6)


@final
@dataclasses.dataclass(frozen=True)
class Step:
    """One op on one example.

    Args:
        multiplications: How many it takes.
        read: The number of floats it reads.
        written: The number of floats it writes.
        kind: What it is like.
        channels: The input channels of a product with a kernel, 0 for one with a folding matrix.
        kernel: The number of entries of the kernel it takes, 0 for none.
        slowness: How much longer one of its multiplications takes than one of a convolution.
    """

    multiplications: int
    read: int
    written: int
    kind: Kind = PLAIN
    channels: int = 0
    kernel: int = 0
    slowness: float = 1.0

    @property
    def of_kernel(self) -> bool:
        """Whether it reads and writes nothing but kernels."""
        return self.kernel > 0 and self.written == 0

    def forward(self, batch: int) -> float:
        """Return the cost of the step."""
        return self._cost(batch, self.multiplications * self.slowness)

    def backward(self, batch: int) -> float:
        """Return the cost of its gradient with respect to what it reads."""
        if not self.kernel:
            return self.forward(batch)
        return self._cost(batch, self.multiplications * self.slowness * lanes(self.channels))

    def kernel_gradient(self, batch: int) -> float:
        """Return the cost of its gradient with respect to the kernel; 0 if it takes none."""
        if not self.kernel:
            return 0.0
        return self._cost(batch, self.multiplications * self.slowness * self.kind.kernel_gradient)

    def in_16_bits(self) -> "Step":
        """Return the step as it is with 16-bit numbers, which a processor with tiles for them multiplies much faster.

        It moves them no faster: TensorFlow widens and rounds them on the way.
        """
        return dataclasses.replace(self, slowness=self.slowness / _SPEED_IN_16_BITS)

    def _cost(self, batch: int, multiplications: float) -> float:
        number, start = self.kind.number, self.kind.start
        weight = number if self.kind.weight is None else self.kind.weight
        return batch * (multiplications + number * (self.read + self.written)) + weight * self.kernel + start


def forward_cost(steps: Iterable[Step], batch: int) -> float:
    """Return the cost of computing the steps."""
    return sum(step.forward(batch) for step in steps)


def inputs_gradient_cost(steps: Iterable[Step], batch: int) -> float:
    """Return the cost of the gradient with respect to the inputs."""
    return sum(step.backward(batch) for step in steps)


def kernel_gradient_cost(steps: Iterable[Step], batch: int, *, known: bool, alone: bool) -> float:
    """Return the cost of the gradient of the kernel.

    Args:
        steps: Those of the scheme that computes it.
        batch: The number of examples.
        known: Whether the forward pass made the folded inputs.
        alone: Whether no gradient of the inputs goes back through what is done to the products.
    """
    steps = list(steps)
    first = next(i for i, step in enumerate(steps) if step.kernel)
    folding = [] if known else steps[:first]
    # What is added up takes the gradient of the sum as it is.
    back = [step for step in steps[first:] if not step.kernel and step.multiplications] if alone else []
    return sum(step.kernel_gradient(batch) for step in steps) + forward_cost([*folding, *back], batch)
