"""The spectrum of a real filter, stored as one real number per cell.

The discrete Fourier transform S of a real array obeys S[-k] = conj(S[k]) (indices modulo the size), so half of it is
redundant. Of the two cells k and -k the one that comes first in row order holds the real part of S[k] in the packed
array and the other one its imaginary part; a cell that is its own partner is real. These are the free numbers of
Rippel, Snoek and Adams (2015, section 4), for odd and even sizes.
"""

import functools

import numpy as np
import tensorflow as tf

__all__ = ["half", "negated", "pack", "pack_tensor", "partners", "sizes", "unpack"]


def sizes(tensor: tf.Tensor) -> tuple[int, ...]:
    """Return the static shape, which is known for everything that is made from a variable."""
    return tuple(-1 if size is None else int(size) for size in tensor.shape.as_list())


@functools.cache
def partners(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two boolean arrays of shape ``(height, width)``: cells that come first, and cells that are their own."""
    cells = np.arange(height * width).reshape(height, width)
    other = np.roll(cells[::-1, ::-1], (1, 1), (0, 1))
    return cells <= other, cells == other


def negated(spectrum: tf.Tensor) -> tf.Tensor:
    """Return the array with cell k of the last two axes at cell -k."""
    return tf.roll(tf.reverse(spectrum, [-2, -1]), [1, 1], [-2, -1])


def pack(spectrum: np.ndarray) -> np.ndarray:
    """Return the packed real array of complex spectra of shape ``(..., height, width)``."""
    first, _ = partners(*spectrum.shape[-2:])
    other = np.roll(spectrum[..., ::-1, ::-1], (1, 1), (-2, -1))
    return np.where(first, np.real(spectrum), np.imag(other))


def pack_tensor(spectrum: tf.Tensor) -> tf.Tensor:
    """Return what :func:`pack` returns, as a tensor."""
    first, _ = partners(*sizes(spectrum)[-2:])
    return tf.where(first, tf.math.real(spectrum), tf.math.imag(negated(spectrum)))


def unpack(packed: tf.Tensor) -> tf.Tensor:
    """Return the complex spectra of shape ``(..., height, width)``; exactly those of real arrays."""
    first, own = partners(*sizes(packed)[-2:])
    other = negated(packed)
    imaginary = tf.where(first, other, -packed) * tf.constant(~own, packed.dtype)
    return tf.complex(tf.where(first, packed, other), imaginary)


def half(spectrum: tf.Tensor) -> tf.Tensor:
    """Return the columns that the inverse real transform reads, of spectra with four axes."""
    return spectrum[:, :, :, : sizes(spectrum)[-1] // 2 + 1]
