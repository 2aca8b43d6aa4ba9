"""What a form costs, in multiplications.

A step costs its multiplications, what it takes to move the numbers it reads and writes, and a constant for each op: a
roofline model. The constants fit the benchmark on two AVX-512 cores (``benchmarks/README.md``), which make 178 million
multiplications in a millisecond; slower cores and GPUs differ.
"""

import dataclasses
from collections.abc import Iterable
from typing import final

#: Reading or writing one float costs a convolution as much as so many multiplications ...
FLOAT = 59
#: ... and a matrix product so many, fewer where it takes one row of a picture at a time.
PRODUCT_FLOAT = 45
NEAR_FLOAT = 20
#: An op costs as much as so many multiplications, before it starts.
OP = 3_000_000
#: Convolution kernels work on so many channels at once.
_LANES = 16


@final
@dataclasses.dataclass(frozen=True)
class Step:
    """One op on one example.

    Args:
        multiplications: How many it takes.
        read: The number of floats it reads.
        written: The number of floats it writes.
        channels: The input channels of a product with a kernel, 0 for one with a folding matrix.
        kernel: The number of entries of the kernel it takes, 0 for none.
        product: Whether it is a matrix product rather than a convolution or a sum.
        near: Whether it works on one row of a picture at a time.
        folded: Whether it is a convolution that steps over folded columns.
        slowness: How much longer one of its multiplications takes than one of a convolution.
    """

    multiplications: int
    read: int
    written: int
    channels: int = 0
    kernel: int = 0
    product: bool = False
    near: bool = False
    folded: bool = False
    slowness: float = 1.0

    def forward(self, batch: int) -> float:
        """Return the cost of the step."""
        return self._cost(batch, self.multiplications * self.slowness)

    def backward(self, batch: int) -> float:
        """Return the cost of its gradient with respect to what it reads."""
        if not self.kernel:
            return self.forward(batch)
        lanes = -(-self.channels // _LANES) * _LANES / self.channels
        return self._cost(batch, self.multiplications * self.slowness * lanes)

    def kernel_gradient(self, batch: int) -> float:
        """Return the cost of its gradient with respect to the kernel; 0 if it takes none."""
        if not self.kernel:
            return 0.0
        slowness = 1.8 if self.product else 1.35 if self.folded else 1.15
        return self._cost(batch, self.multiplications * self.slowness * slowness)

    def _cost(self, batch: int, multiplications: float) -> float:
        moving = NEAR_FLOAT if self.near else PRODUCT_FLOAT if self.product else FLOAT
        return batch * (multiplications + moving * (self.read + self.written)) + moving * self.kernel + OP


def forward_cost(steps: Iterable[Step], batch: int) -> float:
    """Return the cost of computing the steps."""
    return sum(step.forward(batch) for step in steps)


def inputs_gradient_cost(steps: Iterable[Step], batch: int) -> float:
    """Return the cost of the gradient with respect to the inputs."""
    return sum(step.backward(batch) for step in steps)


def kernel_gradient_cost(steps: list[Step], batch: int, *, known: bool) -> float:
    """Return the cost of the gradient of the kernel; ``known`` says that the forward pass made the folded inputs."""
    own = sum(step.kernel_gradient(batch) for step in steps)
    before = [] if known else steps[: next(i for i, step in enumerate(steps) if step.kernel)]
    return own + forward_cost(before, batch)
