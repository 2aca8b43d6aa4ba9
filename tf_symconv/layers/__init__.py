"""Keras layers whose convolution kernels are structured.

Each layer takes every argument of the Keras layer that it replaces, with the same names, order and defaults, and its
own arguments as keywords after these. ``layer.latent`` is the variable with the free weights, ``layer.kernel`` the full
kernel.
"""

from tf_symconv.layers._group_conv import GroupConv2D, GroupConv2DTranspose
from tf_symconv.layers._group_pointwise import (
    GroupBatchNormalization,
    GroupLayerNormalization,
    GroupPooling,
)
from tf_symconv.layers._symmetric import SymmetricConv1D, SymmetricConv2D, SymmetricConv3D

__all__ = [
    "GroupBatchNormalization",
    "GroupConv2D",
    "GroupConv2DTranspose",
    "GroupLayerNormalization",
    "GroupPooling",
    "SymmetricConv1D",
    "SymmetricConv2D",
    "SymmetricConv3D",
]
