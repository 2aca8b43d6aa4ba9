"""Bilinear products over a stack of channels: three, each the gradient of the others, and one with a constant.

Autodiff of the plain ops would expand a stack and sum it up again, which moves more numbers than folding saves. Here
every gradient is one of the three products, so second derivatives work to any order. The gradient of the kernel is
taken before that of the inputs, so that the folded inputs go before their gradient, as large, comes: this saves much of
the peak memory of a training step.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf

from tf_symconv.ops._layout import known_sizes
from tf_symconv.ops._order import after, after_kernels, in_turn, join
from tf_symconv.ops._setting import compiled_by_xla

Gradient = Callable[..., tuple[tf.Tensor, tf.Tensor]]


def contract(stack: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return ``sum_i stack[:, i] @ kernel[i]``.

    Args:
        stack: Shape ``(batch, m, points, channels)``.
        kernel: Shape ``(m, channels, filters)``.

    Returns:
        Shape ``(batch, points, filters)``.
    """

    @tf.custom_gradient
    def run(stack: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        # A convolution as high as the picture: it reads the stack where it lies.
        rows = tf.nn.conv2d(stack, kernel[:, None], 1, "VALID")
        outputs = tf.squeeze(rows, 1)

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            of_kernel = correlate(stack, dy)
            return spread(dy, after_kernels(tf.transpose(kernel, (0, 2, 1)), of_kernel)), of_kernel

        return outputs, gradient

    return cast(Any, run)(stack, kernel)


def spread(points: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return the stack of ``points @ kernel[i]``.

    Args:
        points: Shape ``(batch, points, channels)``.
        kernel: Shape ``(m, channels, filters)``.

    Returns:
        Shape ``(batch, m, points, filters)``.
    """

    @tf.custom_gradient
    def run(points: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        outputs = _spread(points, kernel)

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            of_kernel = tf.transpose(correlate(dy, points), (0, 2, 1))
            return contract(dy, after_kernels(tf.transpose(kernel, (0, 2, 1)), of_kernel)), of_kernel

        return outputs, gradient

    return cast(Any, run)(points, kernel)


def correlate(stack: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    """Return ``sum_b transpose(stack[b, i]) @ points[b]``, the gradient of the kernel.

    Args:
        stack: Shape ``(batch, m, points, channels)``.
        points: Shape ``(batch, points, filters)``.

    Returns:
        Shape ``(m, channels, filters)``.
    """

    @tf.custom_gradient
    def run(stack: tf.Tensor, points: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        outputs = tf.reduce_sum(tf.matmul(stack, points[:, None], transpose_a=True), 0)

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return spread(points, tf.transpose(dy, (0, 2, 1))), contract(stack, dy)

        return outputs, gradient

    return cast(Any, run)(stack, points)


def assemble(stack: tf.Tensor, matrices: np.ndarray) -> tf.Tensor:
    """Return ``sum_i stack[:, i] @ matrices[i]`` for constant matrices.

    Args:
        stack: Shape ``(batch, m, points, channels)``.
        matrices: Shape ``(m, channels, filters)``.

    Returns:
        Shape ``(batch, points, filters)``.
    """

    @tf.custom_gradient
    def run(stack: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        constants = tf.constant(matrices, stack.dtype)

        def gradient(dy: tf.Tensor) -> tf.Tensor:
            return _spread(dy, tf.transpose(constants, (0, 2, 1)))

        return tf.squeeze(tf.nn.conv2d(stack, constants[:, None], 1, "VALID"), 1), gradient

    return cast(Any, run)(stack)


def folded_product(
    fold: Callable[[tf.Tensor], list[tf.Tensor]],
    product: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    inputs: tf.Tensor,
    kernels: Sequence[tf.Tensor],
    count: int,
) -> tf.Tensor:
    """Return the sum of the products of folded inputs and their kernels; in a graph it needs little memory at once.

    Two products are under way at a time. The gradients of the kernels come first, so that the folded inputs
    are free when that of the inputs begins. This one comes in lots, two at a time, so that the gradient of the folded
    inputs, as large as they, is never there as a whole.

    Args:
        fold: Linear; what it returns is called the folded inputs.
        product: Takes one of these and its kernel and is linear in both.
        inputs: Shape ``(batch, ...)``.
        kernels: As many as folded inputs.
        count: The number of lots; 1 where the batch is not known.
    """

    def sum_of_products(folded: Sequence[tf.Tensor], kernels: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.add_n([product(*pair) for pair in zip(folded, kernels, strict=True)])

    folded = fold(inputs)
    if tf.executing_eagerly():
        return sum_of_products(folded, kernels)

    # The gradient of the inputs goes straight to them. None goes to the folded inputs, which are arguments so that
    # the gradient of the kernels knows what they come from when it is differentiated itself.
    @tf.custom_gradient
    def run(inputs: tf.Tensor, *both: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        kernels, folded = both[: len(both) // 2], both[len(both) // 2 :]

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            of_kernels: list[tf.Tensor] = []
            for one, kernel in zip(folded, kernels, strict=True):
                # XLA copies what it reads here.
                turn = after(one, *of_kernels[-2:-1]) if compiled_by_xla() else one
                of_kernels += pull_back(lambda kernel, turn=turn: product(turn, kernel), [kernel], dy)
            of_inputs = in_turn(
                lambda some, dys: pull_back(lambda some: sum_of_products(fold(some), kernels), [some], dys),
                count,
                2,
                inputs,
                after_kernels(dy, *of_kernels),
            )
            return join([one for (one,) in of_inputs]), *of_kernels, *(None for _ in folded)

        products: list[tf.Tensor] = []
        for one, kernel in zip(folded, kernels, strict=True):
            products.append(product(one, after(kernel, *products[-2:-1])))
        return functools.reduce(operator.add, products), gradient

    return cast(Any, run)(inputs, *kernels, *folded)


def pull_back(function: Callable[..., Any], sources: Sequence[tf.Tensor], dy: Any) -> list[tf.Tensor]:
    """Return the gradients of a function of the sources; ``dy``, of the structure of its outputs, is theirs.

    In a graph the outputs, which nobody needs, are pruned away.
    """
    # A tape does not follow tensors from one graph into another: from a branch of a condition into its gradient, say.
    sources = [tf.identity(source) for source in sources]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        outputs = function(*sources)
    return cast(Any, tape.gradient(outputs, sources, output_gradients=dy))


def _spread(points: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    count, channels, filters = known_sizes(kernel)
    if count == 1:
        # oneDNN's batched product goes wrong where its right side has a batch of ones: (b, 1, n, c) @ (1, 1, c, f).
        flat = tf.matmul(tf.reshape(points, [-1, channels]), kernel[0])
        return tf.reshape(flat, [tf.shape(points)[0], 1, -1, filters])
    return tf.matmul(points[:, None], kernel[None])
