"""Convolution layers that learn the spectrum of their kernels."""

from typing import final

import keras

from tf_symconv.layers._convolutions import StructuredConv
from tf_symconv.modules._spectral_conv import SpectralKernel


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SpectralConv1D(SpectralKernel, StructuredConv, keras.layers.Conv1D):
    """1-D convolution that learns its kernels in the frequency domain.

    Law: the map from the spectrum to the kernel is orthonormal. Plain gradient descent takes the steps of
    ``keras.layers.Conv1D``; optimisers that treat weights one by one, such as Adam, take others. ``kernel_regularizer``
    and ``kernel_constraint`` see the spectrum: L2 is that of the kernel, L1 asks for few frequencies.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv1D``, in its order and with its defaults. The
            initialiser draws the kernel in space.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, steps, channels)``, or ``(batch, channels, steps)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, new steps, filters)``, or ``(batch, filters, new steps)``.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        Rippel, Snoek and Adams, "Spectral Representations for Convolutional Neural Networks" (NIPS 2015),
        arXiv:1506.03767.

    Example:
        >>> import numpy as np
        >>> layer = SpectralConv1D(4, 6)
        >>> layer(np.zeros((2, 10, 3), "float32")).shape.as_list()
        [2, 5, 4]
        >>> layer.latent.shape.as_list(), layer.spectrum.shape.as_list()
        ([6, 3, 4], [4, 3, 4])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SpectralConv2D(SpectralKernel, StructuredConv, keras.layers.Conv2D):
    """2-D convolution that learns its kernels in the frequency domain.

    Law: the map from the spectrum to the kernel is orthonormal. Plain gradient descent takes the steps of
    ``keras.layers.Conv2D``; optimisers that treat weights one by one, such as Adam, take others. ``kernel_regularizer``
    and ``kernel_constraint`` see the spectrum: L2 is that of the kernel, L1 asks for few frequencies.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2D``, in its order and with its defaults. The
            initialiser draws the kernel in space.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, new height, new width, filters)``, or channels first.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        Rippel, Snoek and Adams, "Spectral Representations for Convolutional Neural Networks" (NIPS 2015),
        arXiv:1506.03767.

    Example:
        >>> import numpy as np
        >>> layer = SpectralConv2D(4, 3)
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 6, 6, 4]
        >>> layer.latent.shape.as_list(), layer.spectrum.shape.as_list()
        ([3, 3, 3, 4], [3, 2, 3, 4])
    """
