"""Convolutions of the TF1 era with mirrored kernels and with pairs of flipped kernels.

Variables have the names that TensorFlow 1.15 gives them, and operations the same names in the same order, so that
checkpoints and fetches by name carry over.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

__all__ = ["SymmetricKernels", "symmetric_convolution"]

_REDUCTIONS = {
    "max": tf.compat.v1.reduce_max,
    "min": tf.compat.v1.reduce_min,
    "sum": tf.compat.v1.reduce_sum,
    "mean": tf.compat.v1.reduce_mean,
}


def SymmetricKernels(
    height: int, width: int, in_channels: int, out_channels: int, name: str | None = None
) -> tf.Tensor:
    """Make a kernel whose lower rows mirror its upper ones.

    The upper ``ceil(height / 2)`` rows are one new ``tf.Variable``, drawn from the standard normal distribution and
    named ``Variable``, ``Variable_1``, ... by TensorFlow. A second call makes a second variable.

    Args:
        height: Rows of the kernel.
        width: Columns of the kernel.
        in_channels: Input channels.
        out_channels: Output channels.
        name: Name of the operation that joins the rows; the variable does not take it.

    Returns:
        Kernel of shape ``(height, width, in_channels, out_channels)``.

    Raises:
        ValueError: If a size is not a positive integer.
    """
    sizes = {"height": height, "width": width, "in_channels": in_channels, "out_channels": out_channels}
    for argument, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{argument} is a positive integer. Received: {argument}={size!r}")
    half = height // 2
    rows = tf.compat.v1.Variable(tf.compat.v1.random_normal([height - half, width, in_channels, out_channels]))
    return tf.concat([rows, tf.reverse(rows[:half, :, :, :], [0])], axis=0, name=name or "concat")


def symmetric_convolution(
    input_tensor: tf.Tensor,
    n_filters: int,
    size: Sequence[int],
    name: str,
    dilations: Sequence[int] = [1, 1, 1, 1],
    *,
    reduce: Literal["max", "min", "sum", "mean"] = "max",
    pairwise: bool = False,
) -> tf.Tensor:
    """Convolve with a kernel and with its left-right flip, and reduce the channels of both.

    The kernel is the variable ``conv_kernel_`` + name, shared by all calls with that name in the same variable scope.
    Inside a scope it is found as ``scope//conv_kernel_name``: the two slashes are those of the checkpoints.

    By default the maximum runs over *all* channels of both convolutions and leaves one, as in the original; it says
    that some filter responds, not which. ``pairwise=True`` reduces each filter with its own flip and keeps
    ``n_filters`` channels, as ``tf_symconv.layers.TwinFlipConv2D`` does.

    Args:
        input_tensor: Shape ``(batch, height, width, channels)``.
        n_filters: Filters; each is convolved twice.
        size: Height and width of the kernel.
        name: Name of the kernel.
        dilations: Four integers, as ``tf.nn.conv2d`` takes them.
        reduce: How channels are reduced.
        pairwise: Whether each filter is reduced with its flip only.

    Returns:
        Tensor of shape ``(batch, height, width, 1)``, or ``(batch, height, width, n_filters)`` if ``pairwise``.

    Raises:
        ValueError: If ``reduce`` is unknown or the channels of the input are.
    """
    if reduce not in _REDUCTIONS:
        raise ValueError(f"reduce is one of {', '.join(map(repr, _REDUCTIONS))}. Received: reduce={reduce!r}")
    channels = tf.compat.dimension_value(input_tensor.shape[-1])
    if channels is None:
        raise ValueError(f"The channels of the input are known. Received: shape={input_tensor.shape}")
    with tf.compat.v1.variable_scope("", reuse=tf.compat.v1.AUTO_REUSE):
        kernel = tf.compat.v1.get_variable(f"conv_kernel_{name}", [*size, channels, n_filters])
    flipped = tf.reverse(kernel, [1], name=f"conv_kernel_flipped_lr_{name}")
    outputs = [
        tf.compat.v1.nn.conv2d(input_tensor, each, strides=[1, 1, 1, 1], padding="SAME", dilations=list(dilations))
        for each in (kernel, flipped)
    ]
    if pairwise:
        return _REDUCTIONS[reduce](tf.stack(outputs, axis=-1), axis=[-1])
    return _REDUCTIONS[reduce](tf.concat(outputs, axis=-1), axis=[-1], keepdims=True)
