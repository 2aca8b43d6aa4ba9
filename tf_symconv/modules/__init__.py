"""The layers of :mod:`tf_symconv.layers` as ``tf.Module``s, without Keras.

Each takes the arguments of the Keras layer of the same name, in its order and with its defaults, but for those that
only Keras has: regularisers, constraints, ``trainable``. Activations and initialisers are names or callables.
``module.latent`` is the variable with the free weights, ``module.kernel`` the full kernel. The variables are made at
the first call; given the same latent, the outputs are those of the Keras layer. ``GroupBatchNormalization`` and
spectral pooling are called with ``training=True`` in training; convolutions may be, and are then planned for the whole
training step.

Example:
    >>> import tensorflow as tf
    >>> from tf_symconv import modules
    >>> module = modules.SymmetricConv2D(8, 3, symmetry="d4", activation="relu")
    >>> predict = tf.function(module, input_signature=[tf.TensorSpec((None, 8, 8, 3))])
    >>> predict(tf.zeros((2, 8, 8, 3))).shape.as_list(), [v.shape.as_list() for v in module.trainable_variables]
    ([2, 6, 6, 8], [[3, 3, 8], [8]])
"""

from tf_symconv.modules._flip_bank import (
    FlipBankConv1D,
    FlipBankConv2D,
    FlipBankConv2DTranspose,
    FlipBankConv3D,
    FlipBankConv3DTranspose,
)
from tf_symconv.modules._fourier_conv import FourierConv2D
from tf_symconv.modules._group_conv import GroupConv2D, GroupConv2DTranspose
from tf_symconv.modules._group_pointwise import GroupBatchNormalization, GroupLayerNormalization, GroupPooling
from tf_symconv.modules._initializers import Constant, OrbitScaling, VarianceScaling
from tf_symconv.modules._pattern import PatternConv1D, PatternConv2D
from tf_symconv.modules._positions import GlobalConv1D, TopKPooling1D
from tf_symconv.modules._spectral_conv import SpectralConv1D, SpectralConv2D
from tf_symconv.modules._spectral_pooling import SpectralPooling1D, SpectralPooling2D
from tf_symconv.modules._symmetric import (
    SymmetricConv1D,
    SymmetricConv1DTranspose,
    SymmetricConv2D,
    SymmetricConv2DTranspose,
    SymmetricConv3D,
    SymmetricConv3DTranspose,
    SymmetricDepthwiseConv1D,
    SymmetricDepthwiseConv2D,
    SymmetricSeparableConv1D,
    SymmetricSeparableConv2D,
)
from tf_symconv.modules._tiled import TiledConv1D, TiledConv2D, TiledConv3D
from tf_symconv.modules._twin_flip import TwinFlipConv1D, TwinFlipConv2D, TwinFlipConv3D

__all__ = [
    "Constant",
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
    "OrbitScaling",
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
    "VarianceScaling",
]
