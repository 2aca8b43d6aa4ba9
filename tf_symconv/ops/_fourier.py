"""Convolution as a product of spectra."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import static_shape
from tf_symconv.ops._setting import unconverted


@unconverted
def fourier_convolution(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Cross-correlate images with a kernel under a circular boundary, by multiplying their spectra.

    The kernel is centred as ``"same"`` padding centres it; one that is larger than the image wraps around.

    Args:
        inputs: Shape ``(batch, height, width, channels)``, 32 or 64 bits; height and width may be known in the graph
            only.
        kernel: Shape ``(kernel height, kernel width, channels, filters)``, of the same type.

    Returns:
        Shape ``(batch, height, width, filters)``.
    """
    sizes = tf.shape(inputs)[1:3]
    complex_type = tf.complex64 if kernel.dtype == tf.float32 else tf.complex128
    rows = _phases(static_shape(kernel)[0], sizes[0], sizes[0], complex_type)
    columns = _phases(static_shape(kernel)[1], sizes[1], sizes[1] // 2 + 1, complex_type)
    filters = tf.einsum("ud,vx,dxcf->uvcf", rows, columns, tf.cast(kernel, complex_type))
    images = tf.transpose(tf.signal.rfft2d(tf.transpose(inputs, (0, 3, 1, 2))), (2, 3, 0, 1))
    product = tf.transpose(tf.matmul(images, filters), (2, 3, 0, 1))
    return tf.transpose(tf.signal.irfft2d(product, sizes), (0, 2, 3, 1))


def _phases(taps: int, size: Any, frequencies: Any, complex_type: Any) -> tf.Tensor:
    """Return the conjugate transform of a unit at each tap, shape ``(frequencies, taps)``."""
    offsets = tf.constant(np.arange(taps) - (taps - 1) // 2, tf.int32)
    # The product of integers is reduced before it becomes an angle, which keeps the angle exact for large images.
    turns = tf.math.floormod(tf.range(frequencies)[:, None] * offsets, size)
    angle = 2 * math.pi * tf.cast(turns, tf.float64) / tf.cast(size, tf.float64)
    return tf.cast(tf.complex(tf.cos(angle), tf.sin(angle)), complex_type)
