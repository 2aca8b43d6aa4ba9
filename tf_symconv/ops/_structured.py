"""Convolutions of an input with a structured kernel, given by its latent and its kernel map."""

from collections.abc import Sequence

import tensorflow as tf

from tf_symconv.kernels import KernelMap
from tf_symconv.ops._dense import dense_convolution
from tf_symconv.ops._depthwise import dense_depthwise_convolution
from tf_symconv.ops._transposed import dense_transposed_convolution
from tf_symconv.ops._twins import reduce_twins

IMPLEMENTATIONS = ("auto", "dense")


def convolution(
    inputs: tf.Tensor,
    latent: tf.Tensor,
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int],
    groups: int = 1,
    data_format: str = "channels_last",
    implementation: str = "auto",
) -> tf.Tensor:
    """Convolve ``inputs`` with the kernel that ``latent`` stands for.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``.
        latent: The free weights, shape ``kernel_map.latent_shape(kernel_shape)``; it may be of a wider float type than
            the inputs: the kernel is expanded in the latent's type and then cast.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: ``(*spatial, channels / groups, filters)``.
        strides: One stride per spatial axis.
        padding: ``"valid"``, ``"same"``, or in 1-D ``"causal"``.
        dilations: One dilation rate per spatial axis.
        groups: The number of channel groups.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: ``"dense"`` convolves with the full kernel; ``"auto"`` chooses.

    Returns:
        The convolution, shape ``(batch, *new spatial, filters)`` or ``(batch, filters, *new spatial)``, in the dtype of
        the inputs.

    Raises:
        ValueError: If the implementation is not known.
    """
    check_implementation(implementation)
    kernel = tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype)
    return dense_convolution(
        inputs,
        kernel,
        strides=strides,
        padding=padding,
        dilations=dilations,
        groups=groups,
        data_format=data_format,
    )


def check_implementation(implementation: str) -> str:
    """Return ``implementation`` if it is one of :data:`IMPLEMENTATIONS`, else raise a ValueError."""
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"implementation must be one of {', '.join(IMPLEMENTATIONS)}. Received: implementation={implementation!r}"
        )
    return implementation


def transposed_convolution(
    inputs: tf.Tensor,
    latent: tf.Tensor,
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: str = "valid",
    output_padding: Sequence[int] | None = None,
    dilations: Sequence[int],
    data_format: str = "channels_last",
    implementation: str = "auto",
) -> tf.Tensor:
    """Convolve ``inputs`` transposed with the kernel that ``latent`` stands for.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``.
        latent: The free weights, shape ``kernel_map.latent_shape(kernel_shape)``, of the type of the inputs or a wider
            one.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: ``(*spatial, filters, channels)``.
        strides: One stride per spatial axis.
        padding: ``"valid"`` or ``"same"``.
        output_padding: Cells added to the end of each spatial axis of the output, None for the default of Keras.
        dilations: One dilation rate per spatial axis; all 1 where a stride is larger.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: As in :func:`convolution`.

    Returns:
        The transposed convolution, shape ``(batch, *new spatial, filters)`` or ``(batch, filters, *new spatial)``, in
        the dtype of the inputs.

    Raises:
        ValueError: If the implementation is not known, the output padding leaves no room for the last input, or strides
            meet dilation.
    """
    check_implementation(implementation)
    return dense_transposed_convolution(
        inputs,
        tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype),
        strides=strides,
        padding=padding,
        output_padding=output_padding,
        dilations=dilations,
        data_format=data_format,
    )


def depthwise_convolution(
    inputs: tf.Tensor,
    latent: tf.Tensor,
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int],
    data_format: str = "channels_last",
    implementation: str = "auto",
) -> tf.Tensor:
    """Convolve every channel of ``inputs`` with its own kernels, which ``latent`` stands for.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``; one
            or two spatial axes.
        latent: The free weights, shape ``kernel_map.latent_shape(kernel_shape)``, of the type of the inputs or a wider
            one.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: ``(*spatial, channels, multiplier)``.
        strides: One stride per spatial axis.
        padding: ``"valid"`` or ``"same"``.
        dilations: One dilation rate per spatial axis.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: As in :func:`convolution`.

    Returns:
        The convolution, shape ``(batch, *new spatial, channels * multiplier)`` (channel major), or channels first, in
        the dtype of the inputs.

    Raises:
        ValueError: If the implementation is not known.
    """
    check_implementation(implementation)
    return dense_depthwise_convolution(
        inputs,
        tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype),
        strides=strides,
        padding=padding,
        dilations=dilations,
        data_format=data_format,
    )


def twin_convolution(
    inputs: tf.Tensor,
    latent: tf.Tensor,
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    flipped_axes: Sequence[int],
    reduction: str,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int],
    groups: int = 1,
    data_format: str = "channels_last",
    implementation: str = "auto",
) -> tf.Tensor:
    """Convolve ``inputs`` with every filter and with its flip, and reduce each pair of outputs.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``.
        latent: The free weights, shape ``kernel_map.latent_shape(kernel_shape)``, of the type of the inputs or a wider
            one.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: ``(*spatial, channels / groups, filters)``.
        flipped_axes: The spatial axes of the kernel that are reversed at once.
        reduction: ``"max"``, ``"min"``, ``"sum"``, ``"mean"`` or ``"concat"``.
        strides: One stride per spatial axis.
        padding: ``"valid"``, ``"same"``, or in 1-D ``"causal"``.
        dilations: One dilation rate per spatial axis.
        groups: The number of channel groups.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: As in :func:`convolution`.

    Returns:
        The reduced convolutions, shape ``(batch, *new spatial, filters)``, or channels first, in the dtype of the
        inputs. ``"concat"`` gives ``2 * filters`` channels: those of the filters, then those of their flips.

    Raises:
        ValueError: If the implementation or the reduction is not known.
    """
    check_implementation(implementation)
    kernel = tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype)
    first, second = (
        dense_convolution(
            inputs,
            one,
            strides=strides,
            padding=padding,
            dilations=dilations,
            groups=groups,
            data_format=data_format,
        )
        for one in (kernel, tf.reverse(kernel, list(flipped_axes)))
    )
    return reduce_twins(first, second, reduction, data_format)
