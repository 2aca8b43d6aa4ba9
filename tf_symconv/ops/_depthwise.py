"""The depthwise convolution: every input channel has kernels of its own."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_symconv.kernels import static_shape
from tf_symconv.ops._dense import PADDINGS
from tf_symconv.ops._layout import known_sizes, sizes_of, to_channels_first, to_channels_last
from tf_symconv.ops._setting import unconverted


@unconverted
def dense_depthwise_convolution(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    data_format: str,
) -> tf.Tensor:
    """Convolve every channel with its own full kernels, by ops that stock TensorFlow runs on the CPU without XLA.

    The CPU knows ``channels_last``, two spatial axes, and either equal strides or dilation; other strides keep every
    n-th output of strides of 1.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``; one
            or two spatial axes.
        kernel: Shape ``(*spatial, channels, multiplier)``, in the dtype of the inputs.
        strides: One stride per spatial axis.
        padding: ``"valid"`` or ``"same"`` (TensorFlow's rule).
        dilations: One dilation rate per spatial axis.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        The convolution, shape ``(batch, *new spatial, channels * multiplier)`` (channel major), or channels first.
    """
    if data_format == "channels_first":
        outputs = dense_depthwise_convolution(
            to_channels_last(inputs),
            kernel,
            strides=strides,
            padding=padding,
            dilations=dilations,
            data_format="channels_last",
        )
        return to_channels_first(outputs)
    if len(strides) == 1:
        outputs = dense_depthwise_convolution(
            tf.expand_dims(inputs, 1),
            tf.expand_dims(kernel, 0),
            strides=(strides[0], strides[0]) if max(dilations) == 1 else (1, *strides),
            padding=padding,
            dilations=(1, *dilations),
            data_format="channels_last",
        )
        return tf.squeeze(outputs, [1])
    if max(strides) == 1 or (len(set(strides)) == 1 and max(dilations) == 1):
        return tf.nn.depthwise_conv2d(
            inputs, kernel, (1, *strides, 1), PADDINGS[padding], data_format="NHWC", dilations=list(dilations)
        )
    if padding == "same":
        inputs = _pad_as_same(inputs, static_shape(kernel)[:2], strides, dilations)
    outputs = tf.nn.depthwise_conv2d(
        inputs, kernel, (1, 1, 1, 1), "VALID", data_format="NHWC", dilations=list(dilations)
    )
    return outputs[:, :: strides[0], :: strides[1]]


def _pad_as_same(
    inputs: tf.Tensor, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tf.Tensor:
    """Return ``inputs`` with the zeros around them that ``padding="same"`` stands for."""
    pads: list[tuple[Any, Any]] = [(0, 0)]
    shape: list[int | None] = known_sizes(inputs)[:1]
    for length, size, stride, dilation in zip(sizes_of(inputs)[1:-1], sizes, strides, dilations, strict=True):
        total = (length - 1) // stride * stride + (size - 1) * dilation + 1 - length
        total = max(total, 0) if isinstance(length, int) else tf.maximum(total, 0)
        pads.append((total // 2, total - total // 2))
        shape.append(length + total if isinstance(length, int) else None)
    padded = tf.pad(inputs, [*pads, (0, 0)])
    padded.set_shape([*shape, known_sizes(inputs)[-1]])
    return padded
