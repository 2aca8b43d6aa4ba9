"""Convolutions that learn the spectrum of their kernels."""

from typing import Any, final

import tensorflow as tf

from tf_symconv import kernels
from tf_symconv.modules._bases import Conv1D, Conv2D
from tf_symconv.modules._convolutions import StructuredConv
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


@final
class SpectralConv1D(SpectralKernel, StructuredConv, Conv1D):
    """1-D convolution that learns the spectrum of its kernels.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SpectralConv1D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SpectralConv1D(4, 6)
        >>> module(tf.zeros((2, 10, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 5, 4], [6, 3, 4])
    """


@final
class SpectralConv2D(SpectralKernel, StructuredConv, Conv2D):
    """2-D convolution that learns the spectrum of its kernels.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SpectralConv2D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SpectralConv2D(4, 3)
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 4], [3, 3, 3, 4])
    """
