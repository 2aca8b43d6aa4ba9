"""TF1-era functions on today's TensorFlow.

The functions keep the names, arguments, variable names and quirks of the originals, so that TF1 code and checkpoints
carry over. They work in a ``tf.Graph`` with ``tf.compat.v1.Session`` and need no Keras.
"""

from tf_symconv.compat_v1._gconv import (
    ShapeInfo,
    gconv2d,
    gconv2d_addbias,
    gconv2d_util,
    transform_filter_2d_nchw,
    transform_filter_2d_nhwc,
)
from tf_symconv.compat_v1._load import CheckpointReport, Match, load_checkpoint
from tf_symconv.compat_v1._mirrored import SymmetricKernels, symmetric_convolution
from tf_symconv.compat_v1._module import V1Module
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
    "InvalidSpectrum",
    "Match",
    "ShapeInfo",
    "SymmetricKernels",
    "V1Module",
    "batch_fftshift2d",
    "batch_ifftshift2d",
    "convert_spectral_checkpoint",
    "fft_conv",
    "fft_conv_pure",
    "flatten_indices",
    "gconv2d",
    "gconv2d_addbias",
    "gconv2d_util",
    "is_valid_spectral",
    "load_checkpoint",
    "make_c4_p4_indices",
    "make_c4_z2_indices",
    "make_d4_p4m_indices",
    "make_d4_z2_indices",
    "random_spatial_to_spectral",
    "spectral_to_variable",
    "symmetric_convolution",
    "transform_filter_2d_nchw",
    "transform_filter_2d_nhwc",
]
