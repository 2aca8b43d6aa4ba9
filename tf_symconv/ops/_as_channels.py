"""The form of pictures of few channels in which the folded values of one axis are channels of a convolution."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.libraries import Op
from tf_symconv.ops._axes import NARROW
from tf_symconv.ops._convolved import Pads, convolved, dense_with_pads, has_convolved_gradients, pads_of
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import Form, Problem, convolution_step
from tf_symconv.ops._layout import known_sizes


def has_channels(problem: Problem, ties: Sequence[Ties], folded: Sequence[int]) -> bool:
    """Return whether a convolution has the form: a picture of few channels, no strides, one axis that folds."""
    return (
        has_convolved_gradients(problem)
        and problem.channels < NARROW
        and len(folded) == 1
        and ties[folded[0]].reduced > 0
    )


@final
class AsChannels(Form):
    """A convolution with 0 and 1 folds one axis to more channels; one along the other axis takes them.

    Where channels are few, that is the fastest way to fold. The gradient with respect to the inputs is made by
    convolutions as well: the stock one leaves most lanes of a processor empty. That of the kernel is the stock one.
    """

    # Not measured there.
    for_xla = False
    for_none = False

    def __init__(self, problem: Problem, ties: Sequence[Ties], axis: int) -> None:
        self.axis = axis
        super().__init__(problem, [one if at == axis else Ties.none(one.size) for at, one in enumerate(ties)])

    @property
    def name(self) -> str:
        return f"folded axis {self.axis}, as channels"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        pads = pads_of(self.problem)
        along, across = list(pads), list(pads)
        along[1 - self.axis] = across[self.axis] = (0, 0)
        folded = _with_constant(inputs, self._ones(), along)
        if self.axis == 0:
            kernel = tf.transpose(kernel, (1, 0, 2, 3))
        cells, m, channels, filters = known_sizes(kernel)
        shape = [m * channels, filters]
        kernel = tf.reshape(kernel, [1, cells, *shape] if self.axis == 0 else [cells, 1, *shape])
        return convolved(folded, kernel, across, stock_kernel_gradient=True)

    def _ones(self) -> np.ndarray:
        """Return the kernel that folds: shape ``(size, 1, channels, m * channels)``, or ``(1, size, ...)``."""
        matrix, channels = self.ties[self.axis].matrix, self.problem.channels
        size, m = matrix.shape
        ones = np.einsum("im,cd->icmd", matrix, np.eye(channels)).reshape(size, channels, m * channels)
        return np.expand_dims(ones, 1 - self.axis)

    def steps(self) -> list[Step]:
        of, ties = self.problem, self.ties[self.axis]
        axis = of.axes[self.axis]
        size = axis.size or 1
        channels = ties.reduced * of.channels
        folded = of.inputs // size * axis.outputs(size) * ties.reduced
        along = Step(folded * axis.kernel * of.channels, of.inputs, folded, Op.NARROW, lanes=channels)
        cells = of.axes[1 - self.axis].kernel
        across = convolution_step(dataclasses.replace(of, channels=channels), folded, cells, (1, 1), Op.NARROW)
        # The kernel is put in order, and turned for the gradient.
        turning = Step(0, 0, 0, channels=1, kernel=across.kernel)
        return [along, dataclasses.replace(across, by_convolution=True, kernel_gradient_by=across), turning, turning]


def _with_constant(inputs: tf.Tensor, kernel: np.ndarray, pads: Pads) -> tf.Tensor:
    """Return the convolution with a constant kernel; its gradient is another."""
    spans = [size - 1 for size in kernel.shape[:2]]

    @tf.custom_gradient
    def run(inputs: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tf.Tensor:
            back = [(span - before, span - after) for span, (before, after) in zip(spans, pads, strict=True)]
            return _with_constant(dy, kernel[::-1, ::-1].swapaxes(2, 3), back)

        return dense_with_pads(inputs, tf.constant(kernel, inputs.dtype), pads), gradient

    return cast(Any, run)(inputs)
