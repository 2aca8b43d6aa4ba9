"""The plain convolution: every kernel entry is multiplied with every input it meets."""

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from tf_symconv.kernels import static_shape
from tf_symconv.ops._layout import to_channels_first, to_channels_last
from tf_symconv.ops._setting import unconverted

PADDINGS: dict[str, Literal["VALID", "SAME"]] = {"valid": "VALID", "same": "SAME"}
FORMATS: tuple[Literal["NWC"], Literal["NHWC"], Literal["NDHWC"]] = ("NWC", "NHWC", "NDHWC")


@unconverted
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

    The CPU kernels know no channel groups, and ``channels_first`` in some precisions only: groups are convolved one by
    one, and such inputs are transposed.

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
    if data_format == "channels_first":
        outputs = dense_convolution(
            to_channels_last(inputs),
            kernel,
            strides=strides,
            padding=padding,
            dilations=dilations,
            groups=groups,
            data_format="channels_last",
        )
        return to_channels_first(outputs)
    if padding == "causal":
        left = dilations[0] * (static_shape(kernel)[0] - 1)
        inputs, padding = tf.pad(inputs, [[0, 0], [left, 0], [0, 0]]), "valid"

    def convolve(part: tf.Tensor, part_kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.convolution(
            part,
            part_kernel,
            strides=list(strides),
            padding=PADDINGS[padding],
            data_format=FORMATS[len(strides) - 1],
            dilations=list(dilations),
        )

    if groups == 1:
        return convolve(inputs, kernel)
    parts = zip(tf.split(inputs, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([convolve(part, part_kernel) for part, part_kernel in parts], -1)
