"""Kernels that are stored as their spectrum."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels._base import KernelMap, split_shape, static_shape

# Up to this many cells, one product with the matrix of the transform is faster than an FFT with its transpositions: two
# to four times at the sizes that kernels have, at 31x31 no more (float32, two cores).
_MATRIX_CELLS = 512


class _Packing(NamedTuple):
    """Where the real numbers of a latent stand in the half of a spectrum that a real FFT gives, and back.

    Arrays over the cells of the half spectrum, flat: the entry of the latent that is the real and the imaginary part,
    and
    its factor. Arrays over the latent, flat: the cell of the half spectrum, whether the entry is its imaginary part,
    and the factor.
    """

    real: np.ndarray
    real_factor: np.ndarray
    imaginary: np.ndarray
    imaginary_factor: np.ndarray
    cell: np.ndarray
    is_imaginary: np.ndarray
    factor: np.ndarray


@functools.lru_cache(maxsize=256)
def _packing(spatial: tuple[int, ...]) -> _Packing:
    grid = np.stack(np.meshgrid(*map(np.arange, spatial), indexing="ij"), axis=-1)
    own = np.arange(grid[..., 0].size).reshape(spatial)
    partner = own[tuple(np.moveaxis(-grid % np.array(spatial), -1, 0))]
    half = spatial[-1] // 2 + 1
    # Of the frequencies k and -k, whose entries are conjugate, the chief one lies in the half that the FFT gives.
    partner_in_half = (-grid[..., -1]) % spatial[-1] < half
    is_chief = (grid[..., -1] < half) & (~partner_in_half | (own <= partner))
    chief = np.where(is_chief, own, partner)
    alone = own == partner
    other = own.ravel()[partner[..., :half]]
    in_half, in_chief = own[..., :half], chief[..., :half]
    scale = np.where(alone, 1.0, np.sqrt(0.5))[..., :half]
    sign = np.where(alone, 0.0, np.where(is_chief, 1.0, -1.0))[..., :half]
    position = np.full(own.size, -1)
    position[in_half.ravel()] = np.arange(in_half.size)
    return _Packing(
        real=in_chief.ravel(),
        real_factor=scale.ravel(),
        imaginary=np.where(in_chief == in_half, other, in_half).ravel(),
        imaginary_factor=(scale * sign).ravel(),
        cell=position[chief.ravel()],
        is_imaginary=~is_chief.ravel(),
        factor=np.where(alone, 1.0, np.sqrt(2.0)).ravel(),
    )


@functools.lru_cache(maxsize=64)
def _analysis(spatial: tuple[int, ...]) -> np.ndarray:
    """Return the orthogonal matrix that takes the cells of a kernel to its latent."""
    packing = _packing(spatial)
    cells = int(np.prod(spatial))
    units = np.eye(cells).reshape(cells, *spatial)
    spectra = np.fft.rfftn(units, axes=tuple(range(1, units.ndim))).reshape(cells, -1)[:, packing.cell]
    parts = np.where(packing.is_imaginary, spectra.imag, spectra.real)
    return (parts * packing.factor).T / np.sqrt(cells)


@final
@dataclasses.dataclass(frozen=True)
class Spectral(KernelMap):
    """Kernels stored as the real and imaginary parts of their discrete Fourier transform, each number once.

    The transform of a real kernel is conjugate symmetric: of the frequencies k and -k one is stored, at k its real and
    at -k its imaginary part, times ``sqrt(2)``; a frequency that is its own negative is real. So the latent has the
    shape of
    the kernel, one free real number per cell at odd and even sizes, and the map is orthonormal: norms, angles and
    plain gradient steps are those of the kernel in space.

    1-D and 2-D.

    Raises:
        ValueError: At use, if the kernel has other than 1 or 2 spatial axes.

    Reference:
        Rippel, Snoek and Adams, "Spectral Representations for Convolutional Neural Networks" (NIPS 2015),
        arXiv:1506.03767, section 2 and 4.2.

    Example:
        >>> import numpy as np
        >>> spectral = Spectral()
        >>> constant = spectral.expand(np.eye(9)[0].reshape(3, 3, 1, 1), (3, 3, 1, 1))
        >>> bool(np.allclose(constant, 1 / 3))
        True
    """

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        spatial, channels = split_shape(kernel_shape)
        if len(spatial) > 2:
            raise ValueError(f"Spectral kernels have 1 or 2 spatial axes. Received: spatial shape {spatial}")
        return spatial + channels

    def spectrum(self, latent: tf.Tensor) -> tf.Tensor:
        """Return the half of the orthonormal spectrum that a real FFT gives.

        Args:
            latent: Shape ``(*spatial, input channels, output channels)``.

        Returns:
            Complex numbers of shape ``(*spatial[:-1], spatial[-1] // 2 + 1, input channels, output channels)``.
        """
        latent = tf.convert_to_tensor(latent)
        spatial, channels = split_shape(static_shape(latent))
        packing = _packing(spatial)
        flat = tf.reshape(latent, (-1, channels[0] * channels[1]))
        real = tf.gather(flat, packing.real) * tf.constant(packing.real_factor[:, None], flat.dtype)
        imaginary = tf.gather(flat, packing.imaginary) * tf.constant(packing.imaginary_factor[:, None], flat.dtype)
        return tf.reshape(tf.complex(real, imaginary), (*spatial[:-1], spatial[-1] // 2 + 1, *channels))

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        latent = tf.convert_to_tensor(latent)
        spatial, _ = split_shape(kernel_shape)
        precise = tf.cast(latent, tf.float32) if latent.dtype.size < 4 else latent
        if np.prod(spatial) <= _MATRIX_CELLS:
            # The inverse of an orthogonal matrix is its transpose.
            matrix = tf.constant(_analysis(spatial), precise.dtype)
            flat = tf.matmul(matrix, tf.reshape(precise, (matrix.shape[0], -1)), transpose_a=True)
            return tf.cast(tf.reshape(flat, tuple(kernel_shape)), latent.dtype)
        spectrum = _channels_first(self.spectrum(precise))
        invert = tf.signal.irfft if len(spatial) == 1 else tf.signal.irfft2d
        kernel = invert(spectrum, spatial) * tf.constant(np.sqrt(np.prod(spatial)), precise.dtype)
        return tf.cast(_channels_last(kernel), latent.dtype)

    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(kernel)
        self.latent_shape(static_shape(kernel))
        spatial, _ = split_shape(static_shape(kernel))
        precise = tf.cast(kernel, tf.float32) if kernel.dtype.size < 4 else kernel
        matrix = tf.constant(_analysis(spatial), precise.dtype)
        latent = tf.matmul(matrix, tf.reshape(precise, (matrix.shape[0], -1)))
        return tf.cast(tf.reshape(latent, kernel.shape), kernel.dtype)

    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        return self.select(kernel)


def _channels_first(tensor: tf.Tensor) -> tf.Tensor:
    spatial = tuple(range(tensor.shape.rank - 2))
    return tf.transpose(tensor, (len(spatial), len(spatial) + 1, *spatial))


def _channels_last(tensor: tf.Tensor) -> tf.Tensor:
    return tf.transpose(tensor, (*range(2, tensor.shape.rank), 0, 1))
