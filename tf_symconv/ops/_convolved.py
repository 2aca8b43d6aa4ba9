"""The dense convolution of pictures, with gradients that are convolutions themselves.

The gradient with respect to the inputs is the convolution of ``dy`` with the kernel turned by a half turn, its channels
and filters exchanged. That with respect to the kernel is the convolution of the inputs with ``dy``, where examples and
channels change places: what is added up is a product for each example and place. Without AVX-512, oneDNN computes both
faster as convolutions than as gradients, from eight examples on for the kernel's (``benchmarks/README.md``).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast, final

import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.libraries import Op
from tf_symconv.ops._bilinear import pull_back
from tf_symconv.ops._cost import Step
from tf_symconv.ops._dense import dense_convolution
from tf_symconv.ops._forms import Dense, Form, Problem, is_known
from tf_symconv.ops._layout import known_sizes, reshape_examples
from tf_symconv.ops._order import after_kernels

#: Inputs whose channels come first and examples last take as long to make and read as reading them so often.
_TURNED = 8

Pads = Sequence[tuple[int, int]]


def has_convolved_gradients(problem: Problem) -> bool:
    """Return whether gradients can be convolutions: a picture of known size without strides, dilation and groups."""
    return (
        len(problem.axes) == 2
        and is_known(problem)
        and problem.groups == 1
        and not problem.depthwise
        and all(axis.stride == axis.dilation == 1 for axis in problem.axes)
        and problem.points > 0
    )


@final
class Convolved(Form):
    """The dense convolution, with both gradients as convolutions."""

    implementation = "dense"
    for_xla = False

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, [Ties.none(axis.kernel) for axis in problem.axes])

    @property
    def name(self) -> str:
        return "dense, gradients convolved"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return convolved(inputs, kernel, pads_of(self.problem))

    def steps(self) -> list[Step]:
        (dense,) = Dense(self.problem).steps()
        step = dataclasses.replace(dense, op=Op.CONVOLVED, by_convolution=True)
        return [dataclasses.replace(step, kernel_gradient_by=dataclasses.replace(step, read=_TURNED * step.read))]


def pads_of(problem: Problem) -> Pads:
    """Return how many zeros stand before and after the rows and the columns, for strides and dilations of 1."""
    pads = []
    for axis in problem.axes:
        before = axis.before(axis.size)
        pads.append((before, axis.outputs(axis.size) - 1 + axis.kernel - before - (axis.size or 0)))
    return pads


def half_turned(kernel: tf.Tensor, groups: int = 1) -> tf.Tensor:
    """Return the kernel that takes the outputs of a convolution back to its inputs.

    Args:
        kernel: Shape ``(height, width, channels / groups, filters)``.
        groups: The number of channel groups.

    Returns:
        Shape ``(height, width, filters / groups, channels)``.
    """
    height, width, channels, filters = known_sizes(kernel)
    split = tf.reshape(tf.reverse(kernel, [0, 1]), [height, width, channels, groups, filters // groups])
    return tf.reshape(tf.transpose(split, [0, 1, 4, 3, 2]), [height, width, filters // groups, groups * channels])


def pads_back(kernel: tf.Tensor, pads: Pads, dilations: Sequence[int] = (1, 1)) -> Pads:
    """Return the zeros around the outputs of a convolution for the way back to its inputs."""
    spans = [(size - 1) * dilation for size, dilation in zip(known_sizes(kernel)[:2], dilations, strict=True)]
    return [(span - before, span - after) for span, (before, after) in zip(spans, pads, strict=True)]


def convolved(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    pads: Pads,
    dilations: Sequence[int] = (1, 1),
    *,
    stock_kernel_gradient: bool = False,
) -> tf.Tensor:
    """Convolve pictures; gradients are convolutions, which CPUs have for dilated ones too.

    Args:
        inputs: Shape ``(batch, rows, columns, channels)``.
        kernel: Shape ``(height, width, channels, filters)``.
        pads: How many zeros stand before and after the rows, and before and after the columns: fewer than the kernel
            spans there.
        dilations: How far apart its cells meet the rows and the columns.
        stock_kernel_gradient: Whether the gradient with respect to the kernel is the stock one, for no dilations. That
            of the inputs does not wait for it then: where it suits, channels are few, and it leaves a core idle.

    Returns:
        Shape ``(batch, new rows, new columns, filters)``.
    """

    @tf.custom_gradient
    def run(inputs: tf.Tensor, kernel: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            if stock_kernel_gradient:
                (of_kernel,) = pull_back(lambda kernel: dense_with_pads(inputs, kernel, pads), [kernel], dy)
            else:
                of_kernel = kernel_gradient(inputs, dy, pads, dilations)
                dy = after_kernels(dy, of_kernel)
            back = pads_back(kernel, pads, dilations)
            stock = stock_kernel_gradient
            return convolved(dy, half_turned(kernel), back, dilations, stock_kernel_gradient=stock), of_kernel

        return dense_with_pads(inputs, kernel, pads, dilations=dilations), gradient

    return cast(Any, run)(inputs, kernel)


def kernel_gradient(inputs: tf.Tensor, dy: tf.Tensor, pads: Pads, dilations: Sequence[int] = (1, 1)) -> tf.Tensor:
    """Return the gradient of a convolution with respect to its kernel, as a convolution: its strides are dilations.

    Args:
        inputs: Shape ``(batch, rows, columns, channels)``.
        dy: The gradient with respect to the outputs, shape ``(batch, new rows, new columns, filters)``.
        pads: The zeros around the inputs.
        dilations: Those of the convolution.

    Returns:
        Shape ``(height, width, channels, filters)``.
    """
    made = dense_with_pads(tf.transpose(inputs, (3, 1, 2, 0)), tf.transpose(dy, (1, 2, 0, 3)), pads, strides=dilations)
    return tf.transpose(made, (1, 2, 0, 3))


def dense_with_pads(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    pads: Pads,
    groups: int = 1,
    *,
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
) -> tf.Tensor:
    """Return the stock convolution of pictures with zeros around them."""
    spans = [(size - 1) * dilation for size, dilation in zip(known_sizes(kernel)[:2], dilations, strict=True)]
    same = all(pad == (span // 2, span - span // 2) for pad, span in zip(pads, spans, strict=True))
    same = same and max(strides) == 1
    if groups == 1 and not same:
        explicit: Any = [[0, 0], *(list(pad) for pad in pads), [0, 0]]
        made = tf.nn.conv2d(inputs, kernel, list(strides), explicit, dilations=list(dilations))
        if max(dilations) == 1:
            return made
        # TensorFlow does not infer how large a dilated convolution is where the batch is not known.
        around = zip(known_sizes(inputs)[1:3], pads, spans, strict=True)
        outputs = [size + sum(pad) - span for size, pad, span in around]
        return reshape_examples(made, [*outputs, known_sizes(kernel)[-1]])
    if not same:
        inputs = tf.pad(inputs, [[0, 0], *(list(pad) for pad in pads), [0, 0]])
    return dense_convolution(
        inputs,
        kernel,
        strides=strides,
        padding="same" if same else "valid",
        dilations=dilations,
        groups=groups,
        data_format="channels_last",
    )
