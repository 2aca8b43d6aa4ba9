"""TF1-era functions on today's TensorFlow.

The functions keep the names, arguments, variable names and quirks of the originals, so that TF1 code and checkpoints
carry over. They work in a ``tf.Graph`` with ``tf.compat.v1.Session`` and need no Keras. TensorFlow is imported when the
first of them is used, so that :func:`run` starts its process at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tf_symconv.compat_v1._export import export_saved_model
    from tf_symconv.compat_v1._gconv import (
        ShapeInfo,
        gconv2d,
        gconv2d_addbias,
        gconv2d_util,
        transform_filter_2d_nchw,
        transform_filter_2d_nhwc,
    )
    from tf_symconv.compat_v1._graphs import V1Graph, load_frozen_graph, load_v1_saved_model
    from tf_symconv.compat_v1._keras_layers import (
        Conv2DTiledKernel,
        CustomConv2D,
        CustomSymmetricConv2D,
        GBatchNorm,
        GConv2D,
        GlobalConv1D,
        GroupPool,
        SymmetricConv2D,
        SymmetricConv2DTranspose,
        TopKPool,
    )
    from tf_symconv.compat_v1._load import CheckpointReport, Match, load_checkpoint
    from tf_symconv.compat_v1._mirrored import SymmetricKernels, symmetric_convolution
    from tf_symconv.compat_v1._module import V1Module
    from tf_symconv.compat_v1._run import run
    from tf_symconv.compat_v1._spectral import (
        InvalidSpectrum,
        batch_fftshift2d,
        batch_ifftshift2d,
        fft_conv,
        fft_conv_pure,
        is_valid_spectral,
        random_spatial_to_spectral,
        spectral_to_variable,
    )
    from tf_symconv.compat_v1._spectral_checkpoint import convert_spectral_checkpoint
    from tf_symconv.compat_v1._split_plane import (
        flatten_indices,
        make_c4_p4_indices,
        make_c4_z2_indices,
        make_d4_p4m_indices,
        make_d4_z2_indices,
    )

__all__ = [
    "CheckpointReport",
    "Conv2DTiledKernel",
    "CustomConv2D",
    "CustomSymmetricConv2D",
    "GBatchNorm",
    "GConv2D",
    "GlobalConv1D",
    "GroupPool",
    "InvalidSpectrum",
    "Match",
    "ShapeInfo",
    "SymmetricConv2D",
    "SymmetricConv2DTranspose",
    "SymmetricKernels",
    "TopKPool",
    "V1Graph",
    "V1Module",
    "batch_fftshift2d",
    "batch_ifftshift2d",
    "convert_spectral_checkpoint",
    "export_saved_model",
    "fft_conv",
    "fft_conv_pure",
    "flatten_indices",
    "gconv2d",
    "gconv2d_addbias",
    "gconv2d_util",
    "is_valid_spectral",
    "load_checkpoint",
    "load_frozen_graph",
    "load_v1_saved_model",
    "make_c4_p4_indices",
    "make_c4_z2_indices",
    "make_d4_p4m_indices",
    "make_d4_z2_indices",
    "random_spatial_to_spectral",
    "run",
    "spectral_to_variable",
    "symmetric_convolution",
    "transform_filter_2d_nchw",
    "transform_filter_2d_nhwc",
]

_HOMES = {
    "CheckpointReport": "_load",
    "Conv2DTiledKernel": "_keras_layers",
    "CustomConv2D": "_keras_layers",
    "CustomSymmetricConv2D": "_keras_layers",
    "GBatchNorm": "_keras_layers",
    "GConv2D": "_keras_layers",
    "GlobalConv1D": "_keras_layers",
    "GroupPool": "_keras_layers",
    "InvalidSpectrum": "_spectral",
    "Match": "_load",
    "ShapeInfo": "_gconv",
    "SymmetricConv2D": "_keras_layers",
    "SymmetricConv2DTranspose": "_keras_layers",
    "SymmetricKernels": "_mirrored",
    "TopKPool": "_keras_layers",
    "V1Graph": "_graphs",
    "V1Module": "_module",
    "batch_fftshift2d": "_spectral",
    "batch_ifftshift2d": "_spectral",
    "convert_spectral_checkpoint": "_spectral_checkpoint",
    "export_saved_model": "_export",
    "fft_conv": "_spectral",
    "fft_conv_pure": "_spectral",
    "flatten_indices": "_split_plane",
    "gconv2d": "_gconv",
    "gconv2d_addbias": "_gconv",
    "gconv2d_util": "_gconv",
    "is_valid_spectral": "_spectral",
    "load_checkpoint": "_load",
    "load_frozen_graph": "_graphs",
    "load_v1_saved_model": "_graphs",
    "make_c4_p4_indices": "_split_plane",
    "make_c4_z2_indices": "_split_plane",
    "make_d4_p4m_indices": "_split_plane",
    "make_d4_z2_indices": "_split_plane",
    "random_spatial_to_spectral": "_spectral",
    "run": "_run",
    "spectral_to_variable": "_spectral",
    "symmetric_convolution": "_mirrored",
    "transform_filter_2d_nchw": "_gconv",
    "transform_filter_2d_nhwc": "_gconv",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
