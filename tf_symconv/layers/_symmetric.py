"""Convolution layers whose kernels are mirrored, rotated or circular."""

from typing import final

import keras

from tf_symconv.layers._convolutions import StructuredConv
from tf_symconv.modules._symmetric_kernel import SymmetricKernel, SymmetricKernel1D


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricConv1D(SymmetricKernel1D, StructuredConv, keras.layers.Conv1D):
    """1-D convolution whose kernels are symmetric.

    Law: every kernel equals its own transform under the symmetry, during and after training, whatever the optimiser:
    the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free filters. The
    layer commutes with the reversal of its input where the symmetry is even, strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with an odd effective kernel size.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv1D``, in its order and with its defaults. The
            initialiser sees the shape of the full kernel; regularisers and constraints act on the latent. LoRA is
            refused.
        symmetry: ``"h"``; ``"circular"`` (the same by another name in 1-D); a :class:`~tf_symconv.kernels.KernelMap`;
            or a dict ``{symmetry: count or "25%"}``, filters in the order of the dict, the rest free and last.
        parity: ``"even"`` or ``"odd"`` (antisymmetric kernels).
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, steps, channels)``, or ``(batch, channels, steps)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, new steps, filters)``, or ``(batch, filters, new steps)``.

    Raises:
        ValueError: If an argument is out of its range, or no kernel of this size has the symmetry.

    Reference:
        Dzhezyan and Cecotti, "SymNet: Symmetrical Filters in Convolutional Neural Networks" (2019), arXiv:1906.04252.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricConv1D(4, 5)
        >>> layer(np.zeros((2, 10, 3), "float32")).shape.as_list()
        [2, 6, 4]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([3, 3, 4], [5, 3, 4])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricConv2D(SymmetricKernel, StructuredConv, keras.layers.Conv2D):
    """2-D convolution whose kernels are symmetric.

    Law: every kernel equals its own transform under the symmetry, during and after training, whatever the optimiser:
    the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free filters. The
    layer commutes with the transforms of its input where the symmetry is even, strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with odd effective kernel sizes.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2D``, in its order and with its defaults. The
            initialiser sees the shape of the full kernel; regularisers and constraints act on the latent. LoRA is
            refused.
        symmetry: ``"h"``, ``"v"`` or ``"hv"`` (mirrored left-right, up-down, both); ``"c2"``, ``"c4"``, ``"d4"``
            (rotated by half turns, quarter turns, quarter turns and mirrored); ``"diag"`` (transposed); ``"circular"``;
            a :class:`~tf_symconv.kernels.KernelMap`; or a dict ``{symmetry: count or "25%"}``, filters in the order of
            the dict, the rest free and last.
        parity: ``"even"``, ``"odd"`` (antisymmetric kernels), or one of these for each letter of a mirror symmetry.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new height, new width, filters)``, or ``(batch, filters, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range, or no kernel of this size has the symmetry (``c4``, ``d4`` and
            ``diag`` need square kernels).

    Reference:
        Dzhezyan and Cecotti, "SymNet: Symmetrical Filters in Convolutional Neural Networks" (2019), arXiv:1906.04252.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricConv2D(4, 3, symmetry="hv", padding="same")
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 8, 8, 4]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([2, 2, 3, 4], [3, 3, 3, 4])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricConv3D(SymmetricKernel, StructuredConv, keras.layers.Conv3D):
    """3-D convolution whose kernels are symmetric.

    Law: every kernel equals its own transform under the symmetry, during and after training, whatever the optimiser:
    the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free filters. The
    layer commutes with the transforms of its input where the symmetry is even, strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with odd effective kernel sizes.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv3D``, in its order and with its defaults; kernels
            are depth, height, width. The initialiser sees the shape of the full kernel; regularisers and constraints
            act on the latent. LoRA is refused.
        symmetry: Reflections ``"h"`` (width), ``"v"`` (height), ``"z"`` (depth) and their products up to ``"hvz"``;
            ``"c2"``, ``"c4"``, ``"d4"``, ``"diag"``, which turn the height-width plane at every depth; ``"circular"``
            (spherical); a :class:`~tf_symconv.kernels.KernelMap`; or a dict ``{symmetry: count or "25%"}``, filters in
            the order of the dict, the rest free and last.
        parity: ``"even"``, ``"odd"`` (antisymmetric kernels), or one of these for each letter of a mirror symmetry.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, depth, height, width, channels)``, or ``(batch, channels, depth, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new depth, new height, new width, filters)``, or
        ``(batch, filters, new depth, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range, or no kernel of this size has the symmetry.

    Reference:
        Dzhezyan and Cecotti, "SymNet: Symmetrical Filters in Convolutional Neural Networks" (2019), arXiv:1906.04252.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricConv3D(4, 3, symmetry="hvz")
        >>> layer(np.zeros((1, 5, 5, 5, 2), "float32")).shape.as_list()
        [1, 3, 3, 3, 4]
        >>> layer.latent.shape.as_list()
        [2, 2, 2, 2, 4]
    """
