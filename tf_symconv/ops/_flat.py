"""The form of pictures of few channels in which all sums of inputs are channels of one product with the kernel."""

from collections.abc import Sequence
from typing import final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.libraries import Op
from tf_symconv.ops._axes import NARROW, Axis
from tf_symconv.ops._bilinear import folded_product
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import Form, Problem, is_known
from tf_symconv.ops._layout import concat, cut, extend, known_sizes, reshape_examples

#: The gradient of the inputs comes in lots of so many folded numbers: 2 MiB.
_LOT = 2**19


def has_flat_product(problem: Problem, ties: Sequence[Ties], folded: Sequence[int]) -> bool:
    """Return whether a convolution has the form: a picture of few channels and no strides, all of whose ties fold."""
    return (
        len(problem.axes) == 2
        and is_known(problem)
        and problem.groups == 1
        and problem.channels < NARROW
        and problem.points > 0
        and all(axis.stride == 1 for axis in problem.axes)
        and all(one.is_free or axis in folded for axis, one in enumerate(ties))
    )


@final
class Flat(Form):
    """Each cell of the smaller kernel meets the sum of its own inputs; the sums lie side by side as channels.

    What is left is one matrix product. Sums are made of slices of whole rows and columns: where channels are few,
    these are fast in memory, and a convolution is not.
    """

    # Not measured there.
    for_xla = False

    @property
    def name(self) -> str:
        return "folded both, flat"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        shape = [*(of.outputs(of.size) for of in self.problem.axes), self.problem.filters]
        return folded_product(
            lambda some: [self._folded(some)],
            lambda folded, kernel: reshape_examples(tf.matmul(folded, kernel), shape),
            inputs,
            [tf.reshape(kernel, [-1, self.problem.filters])],
            self._lots(known_sizes(inputs)[0]),
        )

    def _lots(self, batch: int | None) -> int:
        """Return in how many lots the gradient of the inputs comes: they stay in the caches on their way."""
        folded = self.steps()[-1].read
        return max(1, min(batch, batch * folded // _LOT)) if batch else 1

    def _folded(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the sums of every output as a row of a matrix, in the order of the kernel."""
        for axis in (1, 0):
            inputs = concat(tied_sums(inputs, axis + 1, self.ties[axis], self.problem.axes[axis]), -1)
        return reshape_examples(inputs, known_sizes(inputs)[-1:])

    def steps(self) -> list[Step]:
        of = self.problem
        numbers, steps = of.inputs, []
        for axis, ties in reversed(list(zip(of.axes, self.ties, strict=True))):
            size = axis.size or 1
            folded = numbers // size * axis.outputs(size) * ties.reduced
            steps.append(Step(0, numbers, folded, Op.SIDE_BY_SIDE))
            numbers = folded
        outputs = of.points * of.filters
        cells = numbers // max(of.points, 1)
        product = Step(
            numbers * of.filters, numbers, outputs, Op.FLAT_PRODUCT, channels=cells, kernel=cells * of.filters
        )
        return [*steps, product]


def tied_sums(inputs: tf.Tensor, position: int, ties: Ties, axis: Axis) -> list[tf.Tensor]:
    """Return, for each slice of the smaller kernel, the sum of what it meets along the tensor's axis ``position``.

    Args:
        inputs: Any tensor of floats.
        position: The axis, of known size.
        ties: Those of the kernel along it.
        axis: The axis of the convolution, without strides.
    """
    size = known_sizes(inputs)[position]
    before, outputs = axis.before(size), axis.outputs(size)
    inputs = extend(inputs, position, before, outputs + axis.extent - 1 - before - size)

    def view(at: int, sign: float) -> tf.Tensor:
        one = cut(inputs, position, at * axis.dilation, outputs)
        return one if sign > 0 else -one

    # The gradient of "+" would ask for the shapes.
    return [tf.add_n([view(int(at), float(signs[at])) for at in np.flatnonzero(signs)]) for signs in ties.matrix.T]
