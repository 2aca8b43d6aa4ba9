"""Layers of the TF1 era for Keras 2 (the package tf-keras), which TF1 scripts use.

They are those of :mod:`tf_symconv.compat_v1._keras_layers`, where they are described.
"""

from typing import Any, TypeVar, final

import tf_keras as keras

from tf_symconv.compat_v1 import _old_convolutions, _old_pointwise, _old_symmetric
from tf_symconv.modules._convolutions import StructuredConv, StructuredConvTranspose
from tf_symconv.modules._signature import with_signature_of

__all__ = [
    "Conv2DTiledKernel",
    "CustomConv2D",
    "CustomSymmetricConv2D",
    "GBatchNorm",
    "GConv2D",
    "GlobalConv1D",
    "GroupPool",
    "SymmetricConv2D",
    "SymmetricConv2DTranspose",
    "TopKPool",
]

ClassT = TypeVar("ClassT", bound=type)


def _old(cls: ClassT) -> ClassT:
    """Let models be loaded that name the class as the originals did, and show the arguments of its constructor."""
    keras.utils.get_custom_objects()[cls.__name__] = cls
    return with_signature_of(cls, cls)


@final
@_old
class Conv2DTiledKernel(_old_convolutions.TiledConv, StructuredConv, keras.layers.Conv2D):
    """2-D convolution with a small kernel that is repeated as a whole."""


@final
@_old
class CustomConv2D(_old_convolutions.CustomConv, StructuredConv, keras.layers.Conv2D):
    """2-D convolution with 5x5 kernels that 3x3 weights fill."""


@final
@_old
class GConv2D(_old_convolutions.GConv, StructuredConv, keras.layers.Conv2D):
    """Group convolution of keras_gcnn."""


@final
@_old
class GBatchNorm(_old_pointwise.GBatchNormalization, keras.layers.BatchNormalization):
    """Batch normalisation of keras_gcnn."""

    def phase(self, training: Any) -> Any:
        """Return whether the layer trains; graphs ask a placeholder that ``fit`` and ``predict`` feed."""
        return super().phase(keras.backend.learning_phase() if training is None else training)

    def update(self, variable: Any, value: Any) -> None:
        """Give a variable a new value when the model takes a step."""
        self.add_update(variable.assign(value))


@final
@_old
class GroupPool(_old_pointwise.GPool, keras.layers.Layer):
    """Pooling of keras_gcnn."""


@final
@_old
class SymmetricConv2D(_old_symmetric.SymmetricConv, StructuredConv, keras.layers.Conv2D):
    """2-D convolution of CNN-Symmetry."""


@final
class CustomSymmetricConv2D(_old_symmetric.CustomSymmetricConv, StructuredConv, keras.layers.Conv2D):
    """2-D convolution of the module ``custom_layers`` of CNN-Symmetry."""


# It has this name there, from which Keras makes the names of variables. A saved one holds all counts, so that it loads
# as the other.
CustomSymmetricConv2D.__name__ = "SymmetricConv2D"
with_signature_of(CustomSymmetricConv2D, CustomSymmetricConv2D)


@final
@_old
class SymmetricConv2DTranspose(
    _old_symmetric.SymmetricConvTranspose, StructuredConvTranspose, keras.layers.Conv2DTranspose
):
    """2-D transposed convolution of CNN-Symmetry."""


@final
@_old
class GlobalConv1D(_old_pointwise.GlobalConv, keras.layers.Layer):
    """1-D convolution of CNN-Symmetry with one weight for the position and one for all others."""

    _keras = keras


@final
@_old
class TopKPool(_old_pointwise.TopK, keras.layers.Layer):
    """Pooling of CNN-Symmetry."""
