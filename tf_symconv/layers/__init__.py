"""Keras layers whose convolution kernels are structured.

Each layer takes every argument of the Keras layer that it replaces, with the same names, order and defaults, and its
own arguments as keywords after these. ``layer.latent`` is the variable with the free weights, ``layer.kernel`` the full
kernel.
"""

from tf_symconv.layers._flip_bank import (
    FlipBankConv1D,
    FlipBankConv2D,
    FlipBankConv2DTranspose,
    FlipBankConv3D,
    FlipBankConv3DTranspose,
)
from tf_symconv.layers._fourier_conv import FourierConv2D
from tf_symconv.layers._global_conv import GlobalConv1D
from tf_symconv.layers._group_conv import GroupConv2D, GroupConv2DTranspose
from tf_symconv.layers._group_pointwise import (
    GroupBatchNormalization,
    GroupLayerNormalization,
    GroupPooling,
)
from tf_symconv.layers._pattern import PatternConv1D, PatternConv2D
from tf_symconv.layers._spectral_conv import SpectralConv1D, SpectralConv2D
from tf_symconv.layers._spectral_pooling import SpectralPooling1D, SpectralPooling2D
from tf_symconv.layers._symmetric import SymmetricConv1D, SymmetricConv2D, SymmetricConv3D
from tf_symconv.layers._symmetric_depthwise import (
    SymmetricDepthwiseConv1D,
    SymmetricDepthwiseConv2D,
    SymmetricSeparableConv1D,
    SymmetricSeparableConv2D,
)
from tf_symconv.layers._symmetric_transpose import (
    SymmetricConv1DTranspose,
    SymmetricConv2DTranspose,
    SymmetricConv3DTranspose,
)
from tf_symconv.layers._tiled import TiledConv1D, TiledConv2D, TiledConv3D
from tf_symconv.layers._top_k_pooling import TopKPooling1D
from tf_symconv.layers._twin_flip import TwinFlipConv1D, TwinFlipConv2D, TwinFlipConv3D

__all__ = [
    "FlipBankConv1D",
    "FlipBankConv2D",
    "FlipBankConv2DTranspose",
    "FlipBankConv3D",
    "FlipBankConv3DTranspose",
    "FourierConv2D",
    "GlobalConv1D",
    "GroupBatchNormalization",
    "GroupConv2D",
    "GroupConv2DTranspose",
    "GroupLayerNormalization",
    "GroupPooling",
    "PatternConv1D",
    "PatternConv2D",
    "SpectralConv1D",
    "SpectralConv2D",
    "SpectralPooling1D",
    "SpectralPooling2D",
    "SymmetricConv1D",
    "SymmetricConv1DTranspose",
    "SymmetricConv2D",
    "SymmetricConv2DTranspose",
    "SymmetricConv3D",
    "SymmetricConv3DTranspose",
    "SymmetricDepthwiseConv1D",
    "SymmetricDepthwiseConv2D",
    "SymmetricSeparableConv1D",
    "SymmetricSeparableConv2D",
    "TiledConv1D",
    "TiledConv2D",
    "TiledConv3D",
    "TopKPooling1D",
    "TwinFlipConv1D",
    "TwinFlipConv2D",
    "TwinFlipConv3D",
]
