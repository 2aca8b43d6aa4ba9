"""Layers of the TF1 era for Keras 3, under their old names, with their old arguments and variables.

Each does what its original did, quirks included, and says how to leave a quirk behind. They are saved in ``.keras``
files, and their variables have the names, the shapes and the order of the originals', so ``set_weights`` takes old
weights. Scripts under :func:`tf_symconv.compat_v1.run` get the same layers for Keras 2.
"""

from typing import TypeVar, final

import keras
import tensorflow as tf

from tf_symconv.compat_v1 import _old_convolutions, _old_pointwise, _old_symmetric
from tf_symconv.layers._convolutions import StructuredConv, StructuredConvTranspose
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
    """Register a class for serialisation, and show the arguments of its own constructor."""
    keras.saving.register_keras_serializable(package="tf_symconv.compat_v1")(cls)
    return with_signature_of(cls, cls)


@final
@_old
class Conv2DTiledKernel(_old_convolutions.TiledConv, StructuredConv, keras.layers.Conv2D):
    """2-D convolution with a small kernel that is repeated as a whole, like ``np.tile``.

    The TF2 layer is :class:`tf_symconv.layers.TiledConv2D`. The original had no bias, padding, strides or activation;
    here all keyword arguments of ``keras.layers.Conv2D`` work, and ``use_bias`` is False unless it is given. The
    original told Keras the output shape of the small kernel; here it is the true one.

    Args:
        filters: The number of output channels.
        kernel_size: The size of the small kernel.
        multiplies: How often it is repeated along height and width.
        use_bias: Whether to add a bias.
        fans: ``"variable"``: the initialiser sees the shape of the small kernel, as in the original. ``"kernel"``: that
            of the whole kernel, as in the TF2 layer.
        **kwargs: Arguments of ``keras.layers.Conv2D``, and ``implementation``.

    Input shape:
        ``(batch, height, width, channels)``.

    Output shape:
        ``(batch, new height, new width, filters)``.

    Raises:
        ValueError: If an argument is out of its range.
    """


@final
@_old
class CustomConv2D(_old_convolutions.CustomConv, StructuredConv, keras.layers.Conv2D):
    """2-D convolution with 5x5 kernels that 3x3 weights fill as ``AABCC/AABCC/DDEFF/GGHII/GGHII``.

    The TF2 layer is :class:`tf_symconv.layers.PatternConv2D`, which holds the nine weights in one row. The original had
    no bias, padding, strides or activation, and claimed the output shape of padding ``"same"`` while it computed
    ``"valid"``; here the shape is the true one, all keyword arguments of ``keras.layers.Conv2D`` but ``kernel_size``
    work, and ``use_bias`` is False unless it is given.

    Args:
        filters: The number of output channels.
        use_bias: Whether to add a bias.
        fans: ``"variable"``: the initialiser sees the shape of the 3x3 weights, as in the original. ``"kernel"``: that
            of the 5x5 kernel, as in the TF2 layer.
        **kwargs: Arguments of ``keras.layers.Conv2D``, and ``implementation``.

    Input shape:
        ``(batch, height, width, channels)``.

    Output shape:
        ``(batch, height - 4, width - 4, filters)``, unless padding or strides are given.

    Raises:
        ValueError: If an argument is out of its range.
    """


@final
@_old
class GConv2D(_old_convolutions.GConv, StructuredConv, keras.layers.Conv2D):
    """Group convolution of keras_gcnn: split-plane convolution under quarter turns, with or without reflections.

    The TF2 layer is :class:`tf_symconv.layers.GroupConv2D`. Here ``filters`` counts group channels: there are
    ``filters`` times 4 or 8 output channels, group channel major. The variable has the shape that
    :func:`tf_symconv.compat_v1.gconv2d_util` says, ``(k, k, planes * channels, filters)``, planes before channels.

    The original had no biases, no ``channels_first`` and no even sizes with D4; here they work, with one bias per group
    channel.

    Args:
        filters: The number of output group channels.
        kernel_size: The size of the square kernel.
        h_input: ``"Z2"`` for images, else that of the layer before, which must be ``h_output``.
        h_output: ``"C4"`` or ``"D4"``.
        strides, padding, ..., bias_constraint: As in ``keras.layers.Conv2D``, but ``use_bias`` is False.
        equivariance: ``"relaxed"``: sizes that break equivariance are accepted, as in the original. ``"exact"``: they
            raise a ValueError.
        fans: ``"variable"``: the initialiser sees the shape of the variable, as in the original. ``"kernel"``: that of
            the kernel with all transforms, as in the TF2 layer.
        **kwargs: Further arguments of ``keras.layers.Conv2D``, and ``implementation``.

    Input shape:
        ``(batch, height, width, channels)``; the channels a multiple of the order of ``h_input``.

    Output shape:
        ``(batch, new height, new width, filters * order)``.

    Raises:
        ValueError: If an argument is out of its range or the kernel is not square.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576; Veeling et al.,
        "Rotation Equivariant CNNs for Digital Pathology" (MICCAI 2018), arXiv:1806.03962.

    Example:
        >>> layer = GConv2D(8, 3, "Z2", "D4", padding="same")
        >>> layer(tf.zeros((1, 9, 9, 3))).shape.as_list(), layer.latent.shape.as_list()
        ([1, 9, 9, 64], [3, 3, 3, 8])
    """


@final
@_old
class GBatchNorm(_old_pointwise.GBatchNormalization, keras.layers.BatchNormalization):
    """Batch normalisation of keras_gcnn: scale, offset and moving statistics shared over the group.

    The TF2 layer is :class:`tf_symconv.layers.GroupBatchNormalization`. In training, the original normalises every
    channel by its own mean and variance, and shares them over the group only in the moving averages: a training step is
    not equivariant, and the moving variance lacks the variance between the elements. The moving variance follows the
    unbiased one, ``n / (n - 1 - epsilon)``. ``statistics="group"`` leaves both behind. A layer
    that is not trainable normalises as in inference, as in Keras 3; in the original it did not.

    Args:
        h: ``"C4"`` or ``"D4"``; ``"Z2"`` for plain channels.
        axis: -1.
        momentum, epsilon, ..., gamma_constraint: As in ``keras.layers.BatchNormalization``.
        statistics: ``"element"``, as in the original, or ``"group"``: those of all elements of a group channel
            together, as in the TF2 layer.

    Input shape:
        ``(batch, ..., channels)``; the channels a multiple of the order of the group.

    Output shape:
        That of the input.

    Raises:
        ValueError: If an argument is out of its range, or the channels are no multiple of the order.
    """

    def update(self, variable: keras.Variable, value: tf.Tensor) -> None:
        """Give a variable a new value."""
        variable.assign(value)


@final
@_old
class GroupPool(_old_pointwise.GPool, keras.layers.Layer):
    """Pooling of keras_gcnn: the mean over the elements of each group channel.

    The TF2 layer is :class:`tf_symconv.layers.GroupPooling`, which takes the maximum unless told otherwise.

    Args:
        h_input: ``"C4"`` or ``"D4"``; ``"Z2"`` leaves the input as it is.
        reduction: ``"mean"``, as in the original, or ``"max"``.
        **kwargs: Arguments of ``keras.layers.Layer``.

    Input shape:
        ``(batch, ..., channels)``; the channels a multiple of the order of the group.

    Output shape:
        ``(batch, ..., channels / order)``.

    Raises:
        ValueError: If an argument is out of its range, or the channels are no multiple of the order.
    """


@final
@_old
class SymmetricConv2D(_old_symmetric.SymmetricConv, StructuredConv, keras.layers.Conv2D):
    """2-D convolution of CNN-Symmetry, whose filters come in flipped pairs and quadruples.

    The TF2 layer is :class:`tf_symconv.layers.FlipBankConv2D`; :func:`tf_symconv.kernels.import_cnn_symmetry` takes the
    weights there. Filters are ordered h, v, hv, the rest last, and each block has a variable: ``kernel_sym_h``,
    ``kernel_sym_v``, ``kernel_sym_hv``, ``kernel_nonsym``. Shared biases are ordered v, h, hv, the rest, so with both h
    and v filters in the layer some biases are not those of their pair; ``bias_order="filters"`` leaves this behind.

    This is the layer of ``symmetric_layers_tf1``; that of ``custom_layers`` is :class:`CustomSymmetricConv2D`.

    Args:
        filters: The number of output channels.
        kernel_size: The size of the kernel.
        symmetry: How many filters are flipped left-right (``"h"``), up-down (``"v"``) or both (``"hv"``): a dict of
            counts, or of percentages such as ``"50%"``, rounded down to pairs and quadruples. None for none.
        share_bias: Whether flipped filters share their bias.
        bias_order: ``"original"`` or ``"filters"``.
        fans: ``"variable"``: the initialiser sees the shape of each variable, as in the original. ``"kernel"``: that of
            the whole kernel, as in the TF2 layer.
        **kwargs: Arguments of ``keras.layers.Conv2D``, and ``implementation``.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, new height, new width, filters)``, or channels first.

    Raises:
        ValueError: If an argument is out of its range, or the counts exceed the filters.

    Reference:
        Treder, CNN-Symmetry, https://github.com/treder/CNN-Symmetry.
    """


@final
@_old
class CustomSymmetricConv2D(_old_symmetric.CustomSymmetricConv, StructuredConv, keras.layers.Conv2D):
    """The ``SymmetricConv2D`` of the module ``custom_layers``: :class:`SymmetricConv2D` with two quirks.

    Kinds of filters that ``symmetry`` does not name get 30% (h), 20% (v) and 20% (hv) of the filters; name all three to
    leave this behind. And the counts are written into the dict that was passed, or, without one, into one that all such
    layers of the process share: the next layer that gets the same dict has the same counts, whatever its filters. Pass
    a dict of its own to each layer to leave this behind.

    Args:
        filters, kernel_size, ...: As in :class:`SymmetricConv2D`.

    Raises:
        ValueError: As :class:`SymmetricConv2D`.
    """


@final
@_old
class SymmetricConv2DTranspose(
    _old_symmetric.SymmetricConvTranspose, StructuredConvTranspose, keras.layers.Conv2DTranspose
):
    """2-D transposed convolution of CNN-Symmetry, with flipped pairs and quadruples.

    The TF2 layer is :class:`tf_symconv.layers.FlipBankConv2DTranspose`. The original puts the pairs along the input
    channels of the kernel, and so takes only as many input channels as filters; ``orbits="filters"`` leaves both
    behind. Its ``output_padding`` raised an error in every call; here it works.

    Args:
        filters, kernel_size: As in :class:`SymmetricConv2D`.
        strides, output_padding, dilation_rate: As in ``keras.layers.Conv2DTranspose``.
        orbits: ``"channels"``, as in the original, or ``"filters"``.
        **kwargs: Arguments of :class:`SymmetricConv2D`, and of ``keras.layers.Conv2DTranspose``.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, new height, new width, filters)``, or channels first.

    Raises:
        ValueError: If an argument is out of its range; at build, if the number of channels does not fit.
    """


@final
@_old
class GlobalConv1D(_old_pointwise.GlobalConv, keras.layers.Layer):
    """1-D convolution of CNN-Symmetry with one weight for the position and one for all others.

    The TF2 layer is :class:`tf_symconv.layers.GlobalConv1D`, which has both weights in one variable. The original
    needed a known length; here any will do.

    Args:
        filters: The number of output channels.
        activation: The activation function.
        kernel_initializer: The initialiser of ``kernel`` and ``surround``, each of shape ``(1, channels, filters)``.
        bias_initializer: The initialiser of the bias.
        use_bias: Whether to add a bias.
        **kwargs: Arguments of ``keras.layers.Layer``.

    Input shape:
        ``(batch, length, channels)``, or ``(batch, length)`` for one channel.

    Output shape:
        ``(batch, length, filters)``.

    Raises:
        ValueError: If an argument is out of its range, or the input has another shape.
    """

    _keras = keras


@final
@_old
class TopKPool(_old_pointwise.TopK, keras.layers.Layer):
    """The k largest values of each channel, in descending order; pooling of CNN-Symmetry.

    The TF2 layer is :class:`tf_symconv.layers.TopKPooling1D`. Layers of equal ``k`` have equal names, as those of the
    original, so a functional model cannot have two of them; ``name`` leaves this behind.

    Args:
        k: How many values to keep.
        name: The name of the layer; ``"top_{k}_pool"`` unless it is given.

    Input shape:
        ``(batch, length, channels)``.

    Output shape:
        ``(batch, k, channels)``.

    Raises:
        ValueError: If ``k`` is not a positive integer or exceeds the length.
    """
