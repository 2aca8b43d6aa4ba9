"""The plain convolution: every kernel entry is multiplied with every input it meets."""

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from tf_symconv.kernels import static_shape

_PADDINGS: dict[str, Literal["VALID", "SAME"]] = {"valid": "VALID", "same": "SAME"}
_FORMATS: dict[str, tuple[Literal["NWC", "NCW"], Literal["NHWC", "NCHW"], Literal["NDHWC", "NCDHW"]]] = {
    "channels_last": ("NWC", "NHWC", "NDHWC"),
    "channels_first": ("NCW", "NCHW", "NCDHW"),
}


def dense_convolution(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    groups: int,
    data_format: str,
) -> tf.Tensor:
    """Convolve ``inputs`` with a full kernel, by ops that stock TensorFlow runs on the CPU without XLA.

    The stock CPU kernels know neither channel groups nor depth-first volumes (``NCDHW``): groups are convolved one by
    one, and such volumes are transposed.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``.
        kernel: Shape ``(*spatial, channels / groups, filters)``, in the dtype of the inputs.
        strides: One stride per spatial axis.
        padding: ``"valid"``, ``"same"`` (TensorFlow's rule), or in 1-D ``"causal"``.
        dilations: One dilation rate per spatial axis.
        groups: The number of channel groups.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        The convolution, shape ``(batch, *new spatial, filters)`` or ``(batch, filters, *new spatial)``.
    """
    rank = len(strides)
    if data_format == "channels_first" and rank == 3:
        last = tf.transpose(inputs, (0, 2, 3, 4, 1))
        outputs = dense_convolution(
            last,
            kernel,
            strides=strides,
            padding=padding,
            dilations=dilations,
            groups=groups,
            data_format="channels_last",
        )
        return tf.transpose(outputs, (0, 4, 1, 2, 3))
    channel_axis = -1 if data_format == "channels_last" else 1
    if padding == "causal":
        left = dilations[0] * (static_shape(kernel)[0] - 1)
        pads = [[0, 0], [left, 0], [0, 0]] if data_format == "channels_last" else [[0, 0], [0, 0], [left, 0]]
        inputs, padding = tf.pad(inputs, pads), "valid"

    def convolve(part: tf.Tensor, part_kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.convolution(
            part,
            part_kernel,
            strides=list(strides),
            padding=_PADDINGS[padding],
            data_format=_FORMATS[data_format][rank - 1],
            dilations=list(dilations),
        )

    if groups == 1:
        return convolve(inputs, kernel)
    parts = zip(tf.split(inputs, groups, channel_axis), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([convolve(part, part_kernel) for part, part_kernel in parts], channel_axis)
