"""Convolution layers whose kernels repeat a small one."""

from typing import final

import keras

from tf_symconv.layers._convolutions import StructuredConv
from tf_symconv.modules._tiled import TiledKernel


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class TiledConv1D(TiledKernel, StructuredConv, keras.layers.Conv1D):
    """1-D convolution whose kernels repeat a small kernel.

    Law: every kernel is ``np.tile(small kernel, multiples)``, during and after training, whatever the optimiser: the
    layer stores the small kernel (``latent``) only.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv1D``, in its order and with its defaults.
            ``kernel_size`` is the small kernel's; the convolution, its padding and ``layer.kernel_size`` are those of
            the full kernel. The initialiser sees the shape of the full kernel; regularisers and constraints act on the
            latent. LoRA is refused.
        multiples: How often the small kernel is repeated.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, steps, channels)``, or ``(batch, channels, steps)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, new steps, filters)``, or ``(batch, filters, new steps)``.

    Raises:
        ValueError: If an argument is out of its range: multiples that are not positive, or not one for each axis.

    Example:
        >>> import numpy as np
        >>> layer = TiledConv1D(4, 2, multiples=3)
        >>> layer(np.zeros((2, 10, 3), "float32")).shape.as_list()
        [2, 5, 4]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([2, 3, 4], [6, 3, 4])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class TiledConv2D(TiledKernel, StructuredConv, keras.layers.Conv2D):
    """2-D convolution whose kernels repeat a small kernel.

    Law: every kernel is ``np.tile(small kernel, multiples)``, during and after training, whatever the optimiser: the
    layer stores the small kernel (``latent``) only. With ``kernel_size=(1, 5), multiples=(5, 1)`` it is a 5x5 kernel of
    five equal rows.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2D``, in its order and with its defaults.
            ``kernel_size`` is the small kernel's; the convolution, its padding and ``layer.kernel_size`` are those of
            the full kernel. The initialiser sees the shape of the full kernel; regularisers and constraints act on the
            latent. LoRA is refused.
        multiples: How often the small kernel is repeated along height and width; one integer serves both.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new height, new width, filters)``, or ``(batch, filters, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: multiples that are not positive, or not one for each axis.

    Example:
        >>> import numpy as np
        >>> layer = TiledConv2D(4, (1, 5), padding="same", multiples=(5, 1))
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 8, 8, 4]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([1, 5, 3, 4], [5, 5, 3, 4])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class TiledConv3D(TiledKernel, StructuredConv, keras.layers.Conv3D):
    """3-D convolution whose kernels repeat a small kernel.

    Law: every kernel is ``np.tile(small kernel, multiples)``, during and after training, whatever the optimiser: the
    layer stores the small kernel (``latent``) only.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv3D``, in its order and with its defaults.
            ``kernel_size`` is the small kernel's; the convolution, its padding and ``layer.kernel_size`` are those of
            the full kernel. The initialiser sees the shape of the full kernel; regularisers and constraints act on the
            latent. LoRA is refused.
        multiples: How often the small kernel is repeated along depth, height and width; one integer serves all.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, depth, height, width, channels)``, or ``(batch, channels, depth, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new depth, new height, new width, filters)``, or
        ``(batch, filters, new depth, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: multiples that are not positive, or not one for each axis.

    Example:
        >>> import numpy as np
        >>> layer = TiledConv3D(4, (1, 2, 2), multiples=(3, 1, 1))
        >>> layer(np.zeros((1, 5, 5, 5, 2), "float32")).shape.as_list()
        [1, 3, 4, 4, 4]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([1, 2, 2, 2, 4], [3, 2, 2, 2, 4])
    """
