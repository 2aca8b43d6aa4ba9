"""Depthwise and separable convolution layers whose depthwise kernels are mirrored, rotated or circular."""

from typing import final

import keras

from tf_symconv.layers._convolutions import StructuredDepthwiseConv, StructuredSeparableConv
from tf_symconv.modules._symmetric_kernel import SymmetricKernel, SymmetricKernel1D


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricDepthwiseConv1D(SymmetricKernel1D, StructuredDepthwiseConv, keras.layers.DepthwiseConv1D):
    """1-D depthwise convolution whose kernels are symmetric.

    Law: every kernel equals its own transform under the symmetry, during and after training, whatever the optimiser:
    the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free kernels. The
    layer commutes with the reversal of its input where the symmetry is even, strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with an odd effective kernel size.

    Args:
        kernel_size, ...: All arguments of ``keras.layers.DepthwiseConv1D``, in its order and with its defaults. The
            initialiser sees the shape of the full kernel; regularisers and constraints act on the latent. LoRA is
            refused.
        symmetry: ``"h"``; ``"circular"`` (the same by another name in 1-D); a :class:`~tf_symconv.kernels.KernelMap`;
            or a dict ``{symmetry: count or "25%"}`` that shares out the ``depth_multiplier`` kernels of each input
            channel, in the order of the dict, the rest free and last.
        parity: ``"even"`` or ``"odd"`` (antisymmetric kernels).
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, steps, channels)``, or ``(batch, channels, steps)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, new steps, channels * depth_multiplier)``, or ``(batch, channels * depth_multiplier, new steps)``.

    Raises:
        ValueError: If an argument is out of its range, or no kernel of this size has the symmetry.

    Reference:
        Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (CVPR 2017), arXiv:1610.02357.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricDepthwiseConv1D(5, depth_multiplier=2)
        >>> layer(np.zeros((2, 10, 3), "float32")).shape.as_list()
        [2, 6, 6]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([3, 3, 2], [5, 3, 2])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricDepthwiseConv2D(SymmetricKernel, StructuredDepthwiseConv, keras.layers.DepthwiseConv2D):
    """2-D depthwise convolution whose kernels are symmetric.

    Law: every kernel equals its own transform under the symmetry, during and after training, whatever the optimiser:
    the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free kernels. The
    layer commutes with the transforms of its input where the symmetry is even, strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with odd effective kernel sizes.

    Args:
        kernel_size, ...: All arguments of ``keras.layers.DepthwiseConv2D``, in its order and with its defaults; strides
            may differ, and may meet dilation. The initialiser sees the shape of the full kernel; regularisers and
            constraints act on the latent. LoRA is refused.
        symmetry: ``"h"``, ``"v"`` or ``"hv"`` (mirrored left-right, up-down, both); ``"c2"``, ``"c4"``, ``"d4"``
            (rotated by half turns, quarter turns, quarter turns and mirrored); ``"diag"`` (transposed); ``"circular"``;
            a :class:`~tf_symconv.kernels.KernelMap`; or a dict ``{symmetry: count or "25%"}`` that shares out the
            ``depth_multiplier`` kernels of each input channel, in the order of the dict, the rest free and last.
        parity: ``"even"``, ``"odd"`` (antisymmetric kernels), or one of these for each letter of a mirror symmetry.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new height, new width, channels * depth_multiplier)``, or
        ``(batch, channels * depth_multiplier, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range, or no kernel of this size has the symmetry (``c4``, ``d4`` and
            ``diag`` need square kernels).

    Reference:
        Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (CVPR 2017), arXiv:1610.02357.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricDepthwiseConv2D(3, depth_multiplier=4, symmetry={"hv": "50%", "circular": 1})
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 6, 6, 12]
        >>> layer.count_params()  # per channel 2 * 4 + 2 + 9 free weights and 4 biases
        69
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricSeparableConv1D(SymmetricKernel1D, StructuredSeparableConv, keras.layers.SeparableConv1D):
    """1-D depthwise separable convolution whose depthwise kernels are symmetric.

    Law: every depthwise kernel equals its own transform under the symmetry, during and after training, whatever the
    optimiser: the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free
    kernels. The layer commutes with the reversal of its input where the symmetry is even, strides are 1 and the padding
    is ``"valid"``, or ``"same"`` with an odd effective kernel size.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.SeparableConv1D``, in its order and with its
            defaults. The depthwise initialiser sees the shape of the full kernel; depthwise regularisers and
            constraints act on the latent. LoRA is refused.
        symmetry: ``"h"``; ``"circular"`` (the same by another name in 1-D); a :class:`~tf_symconv.kernels.KernelMap`;
            or a dict ``{symmetry: count or "25%"}`` that shares out the ``depth_multiplier`` kernels of each input
            channel, in the order of the dict, the rest free and last.
        parity: ``"even"`` or ``"odd"`` (antisymmetric kernels).
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, steps, channels)``, or ``(batch, channels, steps)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, new steps, filters)``, or ``(batch, filters, new steps)``.

    Raises:
        ValueError: If an argument is out of its range, or no kernel of this size has the symmetry.

    Reference:
        Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (CVPR 2017), arXiv:1610.02357.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricSeparableConv1D(4, 5)
        >>> layer(np.zeros((2, 10, 3), "float32")).shape.as_list()
        [2, 6, 4]
        >>> layer.latent.shape.as_list(), layer.depthwise_kernel.shape.as_list()
        ([3, 3, 1], [5, 3, 1])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetricSeparableConv2D(SymmetricKernel, StructuredSeparableConv, keras.layers.SeparableConv2D):
    """2-D depthwise separable convolution whose depthwise kernels are symmetric.

    Law: every depthwise kernel equals its own transform under the symmetry, during and after training, whatever the
    optimiser: the layer stores the free weights (``latent``) only. It holds for each part of a mix, not for its free
    kernels. The layer commutes with the transforms of its input where the symmetry is even, strides are 1 and the
    padding is ``"valid"``, or ``"same"`` with odd effective kernel sizes.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.SeparableConv2D``, in its order and with its
            defaults; strides may differ, and may meet dilation. The depthwise initialiser sees the shape of the full
            kernel; depthwise regularisers and constraints act on the latent. LoRA is refused.
        symmetry: ``"h"``, ``"v"`` or ``"hv"`` (mirrored left-right, up-down, both); ``"c2"``, ``"c4"``, ``"d4"``
            (rotated by half turns, quarter turns, quarter turns and mirrored); ``"diag"`` (transposed); ``"circular"``;
            a :class:`~tf_symconv.kernels.KernelMap`; or a dict ``{symmetry: count or "25%"}`` that shares out the
            ``depth_multiplier`` kernels of each input channel, in the order of the dict, the rest free and last.
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
        Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (CVPR 2017), arXiv:1610.02357.

    Example:
        >>> import numpy as np
        >>> layer = SymmetricSeparableConv2D(4, 3, padding="same", symmetry="d4")
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 8, 8, 4]
        >>> layer.latent.shape.as_list(), layer.depthwise_kernel.shape.as_list()
        ([3, 3, 1], [3, 3, 3, 1])
    """
