"""What a form costs: its steps, at the rates of a library."""

import dataclasses
from collections.abc import Iterable
from typing import final

from tf_symconv.libraries import Library, Op, waste

#: Fewer channels than these take a convolution as long.
_FEW = 8


@final
@dataclasses.dataclass(frozen=True)
class Step:
    """One op on one example.

    Args:
        multiplications: How many it takes.
        read: The number of floats it reads.
        written: The number of floats it writes.
        op: What it is like.
        channels: The input channels of a product with a kernel, 0 for one with a folding matrix.
        kernel: The number of entries of the kernel it takes, 0 for none.
        lanes: So many multiplications are made at once, 0 where that fills the lanes of a processor.
        moved_lanes: So many numbers are moved at once, 0 where that fills the lanes of a processor.
        crowded: Whether the values that one output is made of are too many for the first cache.
        slowness: How much longer one of its multiplications takes than one of the op.
        in_16_bits: Whether its numbers have 16 bits. Processors may multiply those much faster; they move them no
            faster, since TensorFlow widens and rounds them on the way.
        by_convolution: Whether its gradients are convolutions: their filters are the channels, and for the kernel
            their channels the examples.
        filters: So many filters are all of a gradient with respect to the kernel, 0 where that is as fast as with more.
        kernel_gradient_by: The step whose gradient with respect to the kernel stands for its own.
    """

    multiplications: int
    read: int
    written: int
    op: Op = Op.CONVOLUTION
    channels: int = 0
    kernel: int = 0
    lanes: int = 0
    moved_lanes: int = 0
    crowded: bool = False
    slowness: float = 1.0
    in_16_bits: bool = False
    by_convolution: bool = False
    filters: int = 0
    kernel_gradient_by: "Step | None" = None

    @property
    def of_kernel(self) -> bool:
        """Whether it reads and writes nothing but kernels."""
        return self.kernel > 0 and self.written == 0

    def forward(self, batch: int, by: Library) -> float:
        """Return the cost of the step with a library."""
        return self._cost(batch, by, 1.0)

    def backward(self, batch: int, by: Library) -> float:
        """Return the cost of its gradient with respect to what it reads."""
        if not self.kernel:
            return self.forward(batch, by)
        lanes = by.lanes if self.by_convolution else by.gradient_lanes
        return self._cost(batch, by, by.rates[self.op].inputs_gradient * waste(self.channels, lanes))

    def kernel_gradient(self, batch: int, by: Library) -> float:
        """Return the cost of its gradient with respect to the kernel; 0 if it takes none."""
        if self.kernel_gradient_by is not None:
            return self.kernel_gradient_by.kernel_gradient(batch, by)
        if not self.kernel:
            return 0.0
        few = waste(batch, _FEW) if self.by_convolution else waste(self.filters, by.kernel_gradient_lanes)
        return self._cost(batch, by, by.rates[self.op].kernel_gradient * few)

    def _cost(self, batch: int, by: Library, longer: float) -> float:
        rates = by.rates[self.op]
        longer *= rates.multiplication * self.slowness * waste(self.lanes, by.lanes)
        if self.crowded:
            longer *= by.crowding
        if self.in_16_bits:
            longer /= by.speed_in_16_bits
        numbers = waste(self.moved_lanes, by.lanes) * (self.read + self.written)
        weight = rates.number if rates.weight is None else rates.weight
        each = self.multiplications * longer + rates.number * numbers
        return batch * each + weight * self.kernel + rates.start


def forward_cost(steps: Iterable[Step], batch: int, by: Library) -> float:
    """Return the cost of computing the steps with a library."""
    return sum(step.forward(batch, by) for step in steps)


def inputs_gradient_cost(steps: Iterable[Step], batch: int, by: Library) -> float:
    """Return the cost of the gradient with respect to the inputs."""
    return sum(step.backward(batch, by) for step in steps)


def kernel_gradient_cost(steps: Iterable[Step], batch: int, by: Library, *, known: bool, alone: bool) -> float:
    """Return the cost of the gradient of the kernel.

    Args:
        steps: Those of the scheme that computes it.
        batch: The number of examples.
        by: The library.
        known: Whether the forward pass made the folded inputs.
        alone: Whether no gradient of the inputs goes back through what is done to the products.
    """
    steps = list(steps)
    first = next(i for i, step in enumerate(steps) if step.kernel)
    folding = [] if known else steps[:first]
    # What is added up takes the gradient of the sum as it is.
    back = [step for step in steps[first:] if not step.kernel and step.multiplications] if alone else []
    return sum(step.kernel_gradient(batch, by) for step in steps) + forward_cost([*folding, *back], batch, by)
