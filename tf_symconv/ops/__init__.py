"""Convolution of an input with a structured kernel, given by its latent and its kernel map.

Stock TensorFlow ops only, in forms that the CPU kernels of a stock TensorFlow Serving run.
"""

from collections.abc import Sequence

import tensorflow as tf

from tf_symconv.kernels import KernelMap
from tf_symconv.ops._dense import dense_convolution

__all__ = ["IMPLEMENTATIONS", "convolution", "dense_convolution"]

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
