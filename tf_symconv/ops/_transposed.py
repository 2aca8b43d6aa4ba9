"""The transposed convolution: every input is spread over the outputs with the kernel as weights."""

from collections.abc import Sequence

import tensorflow as tf

from tf_symconv.kernels import static_shape
from tf_symconv.ops._dense import FORMATS, PADDINGS, dense_convolution
from tf_symconv.ops._layout import sizes_of, to_channels_first, to_channels_last
from tf_symconv.ops._setting import unconverted


@unconverted
def dense_transposed_convolution(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    *,
    strides: Sequence[int],
    padding: str,
    output_padding: Sequence[int] | None,
    dilations: Sequence[int],
    data_format: str,
) -> tf.Tensor:
    """Convolve ``inputs`` transposed with a full kernel, by ops that stock TensorFlow runs on the CPU without XLA.

    With strides of 1 this is the convolution with the reversed kernel, which the CPU runs with dilation in every
    precision.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``.
        kernel: Shape ``(*spatial, filters, channels)``, in the dtype of the inputs.
        strides: One stride per spatial axis.
        padding: ``"valid"`` or ``"same"`` (the rule of Keras).
        output_padding: Cells added to the end of each spatial axis of the output, None for the default of Keras.
        dilations: One dilation rate per spatial axis; all 1 where a stride is larger.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        The transposed convolution, shape ``(batch, *new spatial, filters)`` or ``(batch, filters, *new spatial)``.

    Raises:
        ValueError: If the output padding leaves no room for the last input, or strides meet dilation.
    """
    if data_format == "channels_first":
        outputs = dense_transposed_convolution(
            to_channels_last(inputs),
            kernel,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            dilations=dilations,
            data_format="channels_last",
        )
        return to_channels_first(outputs)
    if max(strides) > 1 and max(dilations) > 1:
        raise ValueError(
            "A transposed convolution takes strides or dilations larger than 1, not both. "
            f"Received: strides={tuple(strides)}, dilations={tuple(dilations)}"
        )
    rank = len(strides)
    shape = static_shape(kernel)
    sizes = [(k - 1) * d + 1 for k, d in zip(shape, dilations, strict=False)]
    each = zip(sizes, strides, output_padding or [None] * rank, strict=True)
    ends = [transposed_end(size, stride, extra, padding) for size, stride, extra in each]
    if max(strides) == 1:
        cuts = [(size - 1) // 2 if padding == "same" else 0 for size in sizes]
        pads = [(size - 1 - cut, end - 1 + cut) for size, cut, end in zip(sizes, cuts, ends, strict=True)]
        return dense_convolution(
            tf.pad(inputs, [(0, 0), *pads, (0, 0)]),
            tf.transpose(tf.reverse(kernel, list(range(rank))), (*range(rank), rank + 1, rank)),
            strides=strides,
            padding="valid",
            dilations=dilations,
            groups=1,
            data_format="channels_last",
        )
    batch, *lengths, _ = sizes_of(inputs)
    lengths = [(length - 1) * stride + end for length, stride, end in zip(lengths, strides, ends, strict=True)]
    return tf.nn.conv_transpose(
        inputs,
        kernel,
        tf.stack([batch, *lengths, shape[-2]]),
        strides=list(strides),
        padding=PADDINGS[padding],
        data_format=FORMATS[rank - 1],
    )


def transposed_end(size: int, stride: int, output_padding: int | None, padding: str) -> int:
    """Return how many cells of the output of a transposed convolution lie at and after the place of the last input.

    Args:
        size: The kernel's size, dilation counted.
        stride: The stride.
        output_padding: Cells added to the end, None for the default of Keras.
        padding: ``"valid"`` or ``"same"``.

    Raises:
        ValueError: If the output padding leaves no room for the last input.
    """
    if padding == "valid":
        return max(size, stride) if output_padding is None else size + output_padding
    if output_padding is None:
        return stride
    if size % 2 == 0 and output_padding == 0:
        raise ValueError(
            'With padding="same" a kernel of even size (dilation counted) needs output_padding >= 1 or None. '
            f"Received: output_padding={output_padding} with size {size}"
        )
    return size % 2 + output_padding
