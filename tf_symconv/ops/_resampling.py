"""Cropping of spectra: resampling of a periodic signal to fewer points."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.ops._setting import unconverted


@functools.lru_cache(maxsize=256)
def resampling_matrix(size: int, output_size: int) -> np.ndarray:
    """Return the matrix that crops the spectrum of a signal of ``size`` points to ``output_size`` points.

    Constants stay as they are, and a signal without frequencies at or above half the output's sampling rate is the one
    that is sampled. Where the output size is even, its highest frequency holds what the input has at plus and at minus
    that frequency, as sampling would; the output is real.

    Args:
        size: The number of points of the input.
        output_size: The number of points of the output, at most ``size``.

    Returns:
        Floats of shape ``(output_size, size)``.
    """
    spectrum = np.fft.rfft(np.eye(size), axis=0)[: output_size // 2 + 1]
    if output_size % 2 == 0 and output_size < size:
        spectrum[-1] *= 2
    return np.fft.irfft(spectrum, output_size, axis=0) * (output_size / size)


@unconverted
def crop_spectrum(signal: tf.Tensor, output_size: Any, cutoff: Any = None) -> tf.Tensor:
    """Crop the spectrum along the last axis by FFTs; sizes may be known in the graph only.

    Args:
        signal: Floats of shape ``(..., size)``, 32 or 64 bits.
        output_size: The number of points of the output, an integer or a scalar tensor, at most ``size``.
        cutoff: Where given, frequencies of this index and above are set to zero; broadcasts to
            ``(..., output_size // 2 + 1)``.

    Returns:
        Shape ``(..., output_size)``: the product with :func:`resampling_matrix`.
    """
    size = tf.shape(signal)[-1]
    kept = output_size // 2 + 1
    spectrum = tf.signal.rfft(signal)[..., :kept]
    frequency = tf.range(kept)
    doubled = (2 * frequency == output_size) & (output_size < size)
    weight = tf.where(doubled, tf.constant(2.0, signal.dtype), tf.constant(1.0, signal.dtype))
    if cutoff is not None:
        weight *= tf.cast(frequency < cutoff, signal.dtype)
    scale = tf.cast(output_size, signal.dtype) / tf.cast(size, signal.dtype)
    spectrum *= tf.cast(weight * scale, spectrum.dtype)
    return tf.signal.irfft(spectrum, [output_size])
