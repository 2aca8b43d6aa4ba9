"""Transposed convolution layers whose kernels are mirrored, rotated or circular."""

from typing import final

import keras

from tf_symconv.layers._convolutions import StructuredConvTranspose
from tf_symconv.modules._symmetric_kernel import SymmetricKernel, SymmetricKernel1D


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricConv1DTranspose(SymmetricKernel1D, StructuredConvTranspose, keras.layers.Conv1DTranspose):
    """1-D transposed convolution whose kernels are symmetric.

    Law: every kernel equals its own transform under the symmetry, during and after training, whatever the optimiser:
    the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free filters. The
    layer commutes with the reversal of its input where the symmetry is even and the output is not padded on one side:
    kernels at least as large as the strides and padding ``"valid"``, or ``"same"`` where the effective kernel size
    exceeds the stride by an even number.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv1DTranspose``, in its order and with its
            defaults. The initialiser sees the shape of the full kernel; regularisers and constraints act on the latent.
            LoRA is refused.
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
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), arXiv:1603.07285, chapter 4.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricConv1DTranspose(4, 5, strides=2)
        >>> layer(np.zeros((2, 10, 3), "float32")).shape.as_list()
        [2, 23, 4]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([3, 4, 3], [5, 4, 3])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricConv2DTranspose(SymmetricKernel, StructuredConvTranspose, keras.layers.Conv2DTranspose):
    """2-D transposed convolution whose kernels are symmetric.

    Law: every kernel equals its own transform under the symmetry, during and after training, whatever the optimiser:
    the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free filters. The
    layer commutes with the transforms of its input where the symmetry is even and the output is not padded on one side:
    kernels at least as large as the strides and padding ``"valid"``, or ``"same"`` where the effective kernel size
    exceeds the stride by an even number.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2DTranspose``, in its order and with its
            defaults. The initialiser sees the shape of the full kernel; regularisers and constraints act on the latent.
            LoRA is refused.
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
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), arXiv:1603.07285, chapter 4.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricConv2DTranspose(4, 3, strides=2, padding="same", symmetry={"d4": "50%", "h": 2})
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 16, 16, 4]
        >>> layer.kernel.shape.as_list(), layer.count_params()  # 3 * 3 * 2 + 3 * 6 * 2 free weights and 4 biases
        ([3, 3, 4, 3], 58)
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricConv3DTranspose(SymmetricKernel, StructuredConvTranspose, keras.layers.Conv3DTranspose):
    """3-D transposed convolution whose kernels are symmetric.

    Law: every kernel equals its own transform under the symmetry, during and after training, whatever the optimiser:
    the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free filters. The
    layer commutes with the transforms of its input where the symmetry is even and the output is not padded on one side:
    kernels at least as large as the strides and padding ``"valid"``, or ``"same"`` where the effective kernel size
    exceeds the stride by an even number.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv3DTranspose``, in its order and with its
            defaults; kernels are depth, height, width. The initialiser sees the shape of the full kernel; regularisers
            and constraints act on the latent. LoRA is refused.
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
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), arXiv:1603.07285, chapter 4.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricConv3DTranspose(4, 3, symmetry="hvz")
        >>> layer(np.zeros((1, 3, 3, 3, 2), "float32")).shape.as_list()
        [1, 5, 5, 5, 4]
        >>> layer.latent.shape.as_list()
        [2, 2, 2, 4, 2]
    """
