"""One way to compute a convolution with a structured kernel, and the parts that several of them share."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import final

import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.ops._as_channels import AsChannels, has_channels
from tf_symconv.ops._by_point import WinogradByPoint, has_filtering_by_point
from tf_symconv.ops._convolved import Convolved, has_convolved_gradients
from tf_symconv.ops._cost import Step
from tf_symconv.ops._flat import Flat, has_flat_product
from tf_symconv.ops._forms import Dense, Form, Problem, Room, Strided, is_known
from tf_symconv.ops._layout import known_sizes
from tf_symconv.ops._products import FoldThenContract, SpreadThenFold, has_products
from tf_symconv.ops._setting import compiled_by_xla
from tf_symconv.ops._shared import SharedSums, has_shared_sums
from tf_symconv.ops._sums import Summed, has_sums
from tf_symconv.ops._winograd import Winograd, has_minimal_filtering

#: Gather, reverse, add, subtract, slice and scale.
_PASSES = 6
#: So many lots of examples are under way at a time.
_AT_ONCE = 2
#: A batch of unknown size may be as large as this ...
_MANY = 32
#: ... and comes in so many lots at most: a smaller one is taken whole.
_FEW = 8

Kernels = tuple[tf.Tensor, ...]
Weigh = Callable[[tf.Tensor, tf.DType], Kernels]
Apply = Callable[[tf.Tensor, Kernels], tf.Tensor]


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Scheme:
    """One way to compute a convolution with a structured kernel.

    Args:
        name: What it does, in a word or two.
        implementation: ``"dense"``, ``"folded"`` or ``"winograd"``.
        weigh: Takes the latent and the type of the inputs, and returns the kernels that it works with; linear.
        apply: Takes inputs, channels last, and these kernels, and returns the outputs. Examples do not meet in it.
        steps: The work for one example; None where sizes are not known.
        room: The memory that it may take, ...
        xla_room: ... and where XLA compiles it.
        for_xla: Whether XLA computes it, and its gradients, about as fast as TensorFlow does.
        for_none: Whether it takes a batch without examples.
        linear: Whether it is linear in the inputs; if not, its gradients take what its forward pass computed.
    """

    name: str
    implementation: str
    weigh: Weigh
    apply: Apply
    steps: tuple[Step, ...] | None
    room: Room
    xla_room: Room
    for_xla: bool
    for_none: bool
    linear: bool

    def run(self, inputs: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        """Return the outputs for inputs, channels last."""
        return self.apply(inputs, self.weigh(latent, inputs.dtype))

    @property
    def multiplications(self) -> int | None:
        """The multiplications for one example, those with folding matrices included."""
        return None if self.steps is None else sum(step.multiplications for step in self.steps)

    def for_constants(self) -> "Scheme":
        """Return the scheme with its costs for a kernel that is a constant: it is taken apart only once."""
        return dataclasses.replace(self, steps=self.steps and tuple(step for step in self.steps if not step.of_kernel))

    def in_16_bits(self) -> "Scheme":
        """Return the scheme with its costs for inputs of a 16-bit type."""
        steps = self.steps and tuple(dataclasses.replace(step, in_16_bits=True) for step in self.steps)
        return dataclasses.replace(self, steps=steps)

    def lots(self, batch: int | None) -> int:
        """Return in how many lots the examples of a batch are taken; in a few, where its size is not known."""
        if batch is None:
            return min(_FEW, self.lots(_MANY))
        if batch * self._moved <= self._room.large:
            return 1
        return -(-batch // max(1, int(self._room.lot / self._moved)))

    def at_once(self) -> int:
        """Return how many lots may be under way together: one, where XLA makes more than a lot of an example."""
        return 1 if compiled_by_xla() and self._moved > self._room.lot else _AT_ONCE

    @property
    def _moved(self) -> int:
        """How many numbers of an example the largest step reads and writes."""
        return max((step.read + step.written for step in self.steps or ()), default=0)

    @property
    def _room(self) -> Room:
        return self.xla_room if compiled_by_xla() else self.room


def scheme(name: str, weigh: Weigh, apply: Apply, forms: Sequence[Form], *more: Step, linear: bool = True) -> Scheme:
    """Return a scheme that does the work of some forms and more."""
    known = all(is_known(form.problem) for form in forms)
    steps = tuple(itertools.chain(*(form.steps() for form in forms), more)) if known else None
    room = min((form.room for form in forms), key=lambda room: room.lot)
    xla_room = min((form.xla_room for form in forms), key=lambda room: room.lot)
    for_xla = all(form.for_xla for form in forms)
    for_none = all(form.for_none for form in forms)
    return Scheme(name, forms[0].implementation, weigh, apply, steps, room, xla_room, for_xla, for_none, linear)


def outputs_of(problem: Problem) -> int:
    """Return the number of outputs for one example, 0 where sizes are not known."""
    return problem.points * problem.filters if is_known(problem) else 0


def unfolded_forms(problem: Problem) -> list[Form]:
    """Return the forms of a convolution with a full kernel, the dense one first."""
    forms: list[Form] = [Dense(problem)]
    if has_convolved_gradients(problem):
        forms.append(Convolved(problem))
    if has_minimal_filtering(problem):
        forms.append(Winograd(problem))
    if has_filtering_by_point(problem):
        forms.append(WinogradByPoint(problem))
    return forms


def forms_of(problem: Problem, ties: Sequence[Ties]) -> list[Form]:
    """Return the folded forms of a convolution: none where no axis has ties."""
    tied = [axis for axis, one in enumerate(ties) if not one.is_free]
    found: list[Form] = []
    for subset in range(1, 2 ** len(tied)):
        chosen = [axis for bit, axis in enumerate(tied) if subset >> bit & 1]
        found += whole_forms(problem, ties, chosen)
    return found


def whole_forms(problem: Problem, ties: Sequence[Ties], folded: Sequence[int]) -> list[Form]:
    """Return the forms that fold all of these axes: as many for all ties."""
    found: list[Form] = [Strided(problem, ties, [axis in folded for axis in range(len(ties))])]
    if has_channels(problem, ties, folded):
        found.append(AsChannels(problem, ties, folded[0]))
    if has_sums(problem, folded):
        found.append(Summed(problem, ties, folded))
    if has_shared_sums(problem, ties, folded):
        found.append(SharedSums(problem, ties))
    if len(folded) == 2 and has_products(problem):
        found += [FoldThenContract(problem, ties), SpreadThenFold(problem, ties)]
    if has_flat_product(problem, ties, folded):
        found.append(Flat(problem, ties))
    return found


def parity_forms(problem: Problem, axes: Sequence[int], signs: Sequence[int]) -> list[Form]:
    """Return the forms that fold all of some axes, for kernels of these parities along them."""
    ties = [Ties.none(axis.kernel) for axis in problem.axes]
    for axis, sign in zip(axes, signs, strict=True):
        ties[axis] = Ties.mirrored(problem.axes[axis].kernel, sign)
    return whole_forms(problem, ties, axes)


def parity_part(kernel: tf.Tensor, axes: Sequence[int], signs: Sequence[int]) -> tf.Tensor:
    """Return the smaller kernel of the part of a kernel that has these parities along the axes."""
    for axis, sign in zip(axes, signs, strict=True):
        half = half_of(known_sizes(kernel)[axis], sign)
        image = tf.reverse(kernel, [axis])
        part = kernel + image if sign > 0 else kernel - image
        kernel = 0.5 * part[(slice(None),) * axis + (slice(half),)]
    return kernel


def parting(kernel_shape: Sequence[int]) -> list[Step]:
    """Return the steps that take a kernel apart by parity: some passes over it, which count where batches are small."""
    return [Step(0, 0, 0, channels=1, kernel=math.prod(kernel_shape))] * _PASSES


def half_of(size: int, sign: int) -> int:
    """Return how many slices are left of an axis of this parity."""
    return (size + (sign > 0)) // 2
