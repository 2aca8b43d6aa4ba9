"""Kernel maps: immutable linear rules from the free weights (latent) of a layer to its full kernel.

Pure TensorFlow: no Keras, no variables. :func:`get` turns names, dicts and configs into maps.
"""

from tf_symconv.kernels._base import KernelMap, SpatialMap, Table, static_shape
from tf_symconv.kernels._circular import Circular
from tf_symconv.kernels._cnn_symmetry import ImportedFlipBank, import_cnn_symmetry
from tf_symconv.kernels._counts import Count
from tf_symconv.kernels._flip_bank import FlipBank
from tf_symconv.kernels._group import GroupLift, GroupRegular
from tf_symconv.kernels._initial import check_rho, draw_latent, orbit_scale
from tf_symconv.kernels._invariant import Diagonal, Invariant, Rotational
from tf_symconv.kernels._mirror import Mirror
from tf_symconv.kernels._mix import Free, Mix, Symmetry, get, serialize
from tf_symconv.kernels._pattern import Pattern, Tile, repeat_pattern
from tf_symconv.kernels._spectral import Spectral
from tf_symconv.kernels._swap import SwapChannels, swap_channels
from tf_symconv.kernels._ties import Pairs, Ties

__all__ = [
    "Circular",
    "Count",
    "Diagonal",
    "FlipBank",
    "Free",
    "GroupLift",
    "GroupRegular",
    "ImportedFlipBank",
    "Invariant",
    "KernelMap",
    "Mirror",
    "Mix",
    "Pairs",
    "Pattern",
    "Rotational",
    "SpatialMap",
    "Spectral",
    "SwapChannels",
    "Symmetry",
    "Table",
    "Ties",
    "Tile",
    "check_rho",
    "draw_latent",
    "get",
    "import_cnn_symmetry",
    "orbit_scale",
    "repeat_pattern",
    "serialize",
    "static_shape",
    "swap_channels",
]
