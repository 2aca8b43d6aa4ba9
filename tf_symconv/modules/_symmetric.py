"""Convolutions whose kernels are mirrored, rotated or circular."""

from typing import final

from tf_symconv.modules._bases import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from tf_symconv.modules._convolutions import (
    StructuredConv,
    StructuredConvTranspose,
    StructuredDepthwiseConv,
    StructuredSeparableConv,
)
from tf_symconv.modules._symmetric_kernel import SymmetricKernel, SymmetricKernel1D


@final
class SymmetricConv1D(SymmetricKernel1D, StructuredConv, Conv1D):
    """1-D convolution whose kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricConv1D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricConv1D(4, 5)
        >>> module(tf.zeros((2, 10, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 4], [3, 3, 4])
    """


@final
class SymmetricConv2D(SymmetricKernel, StructuredConv, Conv2D):
    """2-D convolution whose kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricConv2D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricConv2D(4, 3, symmetry="hv", padding="same")
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 8, 8, 4], [2, 2, 3, 4])
    """


@final
class SymmetricConv3D(SymmetricKernel, StructuredConv, Conv3D):
    """3-D convolution whose kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricConv3D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricConv3D(4, 3, symmetry="hvz")
        >>> module(tf.zeros((1, 5, 5, 5, 2))).shape.as_list(), module.latent.shape.as_list()
        ([1, 3, 3, 3, 4], [2, 2, 2, 2, 4])
    """


@final
class SymmetricConv1DTranspose(SymmetricKernel1D, StructuredConvTranspose, Conv1DTranspose):
    """1-D transposed convolution whose kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricConv1DTranspose`, without regularisers
    and constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricConv1DTranspose(4, 5, strides=2)
        >>> module(tf.zeros((2, 10, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 23, 4], [3, 4, 3])
    """


@final
class SymmetricConv2DTranspose(SymmetricKernel, StructuredConvTranspose, Conv2DTranspose):
    """2-D transposed convolution whose kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricConv2DTranspose`, without regularisers
    and constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricConv2DTranspose(4, 3, symmetry="d4")
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 10, 10, 4], [3, 4, 3])
    """


@final
class SymmetricConv3DTranspose(SymmetricKernel, StructuredConvTranspose, Conv3DTranspose):
    """3-D transposed convolution whose kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricConv3DTranspose`, without regularisers
    and constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricConv3DTranspose(4, 3, symmetry="hvz")
        >>> module(tf.zeros((1, 3, 3, 3, 2))).shape.as_list(), module.latent.shape.as_list()
        ([1, 5, 5, 5, 4], [2, 2, 2, 4, 2])
    """


@final
class SymmetricDepthwiseConv1D(SymmetricKernel1D, StructuredDepthwiseConv, DepthwiseConv1D):
    """1-D depthwise convolution whose kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricDepthwiseConv1D`, without regularisers
    and constraints.

    Args:
        kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricDepthwiseConv1D(5, depth_multiplier=2)
        >>> module(tf.zeros((2, 10, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6], [3, 3, 2])
    """


@final
class SymmetricDepthwiseConv2D(SymmetricKernel, StructuredDepthwiseConv, DepthwiseConv2D):
    """2-D depthwise convolution whose kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricDepthwiseConv2D`, without regularisers
    and constraints.

    Args:
        kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricDepthwiseConv2D(3, symmetry="c4")
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 3], [3, 3, 1])
    """


@final
class SymmetricSeparableConv1D(SymmetricKernel1D, StructuredSeparableConv, SeparableConv1D):
    """1-D depthwise separable convolution whose depthwise kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricSeparableConv1D`, without regularisers
    and constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricSeparableConv1D(4, 5)
        >>> module(tf.zeros((2, 10, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 4], [3, 3, 1])
    """


@final
class SymmetricSeparableConv2D(SymmetricKernel, StructuredSeparableConv, SeparableConv2D):
    """2-D depthwise separable convolution whose depthwise kernels are symmetric.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SymmetricSeparableConv2D`, without regularisers
    and constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, parity, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = SymmetricSeparableConv2D(4, 3, symmetry="d4")
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 4], [3, 3, 1])
    """
