"""Convolutions that learn the spectrum of their kernels."""

from typing import Any

import tensorflow as tf

from tf_symconv import kernels
from tf_symconv.modules._structured import Structured


class SpectralKernel(Structured):
    """Mixin: the latent is the real and imaginary parts of the kernel's discrete Fourier transform."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_map = kernels.Spectral()
        self.check_structure()

    @property
    def spectrum(self) -> tf.Tensor:
        """The half of the orthonormal spectrum that a real FFT gives: complex, channels last."""
        return kernels.Spectral().spectrum(tf.convert_to_tensor(self.latent))

    def from_spatial(self, kernel: Any) -> None:
        """Make ``kernel`` the kernel of this built layer.

        Args:
            kernel: An array of the kernel's shape, for example ``conv.kernel`` of a trained ``keras.layers.Conv2D``.

        Raises:
            ValueError: If the shape is another.
        """
        latent = self.latent
        kernel = tf.cast(kernel, latent.dtype)
        if tuple(kernel.shape) != self.kernel_shape:
            raise ValueError(f"kernel must have the shape {self.kernel_shape}. Received: shape {tuple(kernel.shape)}")
        latent.assign(self.kernel_map.select(kernel))
