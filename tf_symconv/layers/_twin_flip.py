"""Convolution layers that see every pattern and its flip: each filter works together with its own flip."""

from typing import final

import keras

from tf_symconv.layers._structured import StructuredKernel
from tf_symconv.modules._twin_flip import TwinFlip


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class TwinFlipConv1D(TwinFlip, StructuredKernel, keras.layers.Conv1D):
    """1-D convolution with each filter and its reversal, reduced pairwise to ``filters`` channels.

    Law: reversing the input reverses the output, whatever the weights, where strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with an odd effective kernel size; ``"concat"`` exchanges the two halves of the
    channels too. The bias of a filter is added, and the activation applied, after the reduction; with ``"concat"`` a
    filter and its flip share the bias.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv1D``, in its order and with its defaults.
            ``filters`` is the number of output channels. The kernel holds the filters, whose shape the initialiser
            sees; the layer convolves with their flips as well, at twice the cost. LoRA is refused.
        axes: ``"h"``, the only reflection in 1-D.
        reduction: What becomes of the outputs of a filter and its flip: ``"max"``, ``"min"``, ``"sum"``, ``"mean"``, or
            ``"concat"``, which lists those of the ``filters / 2`` filters, then those of their flips.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, steps, channels)``, or ``(batch, channels, steps)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, new steps, filters)``, or ``(batch, filters, new steps)``.

    Raises:
        ValueError: If an argument is out of its range: axes that the input does not have, an unknown reduction, or an
            odd number of filters with ``"concat"``.

    Reference:
        Filters that act together with their transforms, here flips in the place of rotations: Marcos, Volpi and Tuia,
        "Learning rotation invariant convolutional filters for texture classification" (ICPR 2016), arXiv:1604.06720.

    Example:
        >>> import numpy as np
        >>> layer = TwinFlipConv1D(4, 5, padding="same")
        >>> x = np.random.default_rng(0).normal(size=(2, 10, 3)).astype("float32")
        >>> np.testing.assert_allclose(layer(x[:, ::-1]), layer(x)[:, ::-1], atol=1e-6)
        >>> layer.kernel.shape.as_list()
        [5, 3, 4]
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class TwinFlipConv2D(TwinFlip, StructuredKernel, keras.layers.Conv2D):
    """2-D convolution with each filter and its flip, reduced pairwise to ``filters`` channels.

    Law: flipping the input flips the output, whatever the weights, where strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with odd effective kernel sizes; ``"concat"`` exchanges the two halves of the
    channels too. The bias of a filter is added, and the activation applied, after the reduction; with ``"concat"`` a
    filter and its flip share the bias.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2D``, in its order and with its defaults.
            ``filters`` is the number of output channels. The kernel holds the filters, whose shape the initialiser
            sees; the layer convolves with their flips as well, at twice the cost. LoRA is refused.
        axes: The flip: ``"h"`` (left-right), ``"v"`` (up-down), or ``"hv"``, which turns both axes at once.
        reduction: What becomes of the outputs of a filter and its flip: ``"max"``, ``"min"``, ``"sum"``, ``"mean"``, or
            ``"concat"``, which lists those of the ``filters / 2`` filters, then those of their flips.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new height, new width, filters)``, or ``(batch, filters, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: axes that the input does not have, an unknown reduction, or an
            odd number of filters with ``"concat"``.

    Reference:
        Filters that act together with their transforms, here flips in the place of rotations: Marcos, Volpi and Tuia,
        "Learning rotation invariant convolutional filters for texture classification" (ICPR 2016), arXiv:1604.06720.

    Example:
        >>> import numpy as np
        >>> layer = TwinFlipConv2D(4, 3, axes="v", reduction="mean")
        >>> x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
        >>> np.testing.assert_allclose(layer(x[:, ::-1]), layer(x)[:, ::-1], atol=1e-6)
        >>> layer.kernel.shape.as_list()
        [3, 3, 3, 4]
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class TwinFlipConv3D(TwinFlip, StructuredKernel, keras.layers.Conv3D):
    """3-D convolution with each filter and its flip, reduced pairwise to ``filters`` channels.

    Law: flipping the input flips the output, whatever the weights, where strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with odd effective kernel sizes; ``"concat"`` exchanges the two halves of the
    channels too. The bias of a filter is added, and the activation applied, after the reduction; with ``"concat"`` a
    filter and its flip share the bias.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv3D``, in its order and with its defaults; kernels
            are depth, height, width. ``filters`` is the number of output channels. The kernel holds the filters, whose
            shape the initialiser sees; the layer convolves with their flips as well, at twice the cost. LoRA is
            refused.
        axes: The flip: letters out of ``"h"`` (width), ``"v"`` (height) and ``"z"`` (depth), whose axes are turned at
            once.
        reduction: What becomes of the outputs of a filter and its flip: ``"max"``, ``"min"``, ``"sum"``, ``"mean"``, or
            ``"concat"``, which lists those of the ``filters / 2`` filters, then those of their flips.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, depth, height, width, channels)``, or ``(batch, channels, depth, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new depth, new height, new width, filters)``, or
        ``(batch, filters, new depth, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: axes that the input does not have, an unknown reduction, or an
            odd number of filters with ``"concat"``.

    Reference:
        Filters that act together with their transforms, here flips in the place of rotations: Marcos, Volpi and Tuia,
        "Learning rotation invariant convolutional filters for texture classification" (ICPR 2016), arXiv:1604.06720.

    Example:
        >>> import numpy as np
        >>> layer = TwinFlipConv3D(4, 3, axes="z", reduction="concat")
        >>> x = np.random.default_rng(0).normal(size=(1, 5, 5, 5, 2)).astype("float32")
        >>> np.testing.assert_allclose(layer(x[:, ::-1])[..., :2], layer(x)[:, ::-1, :, :, 2:], atol=1e-6)
        >>> layer.kernel.shape.as_list()
        [3, 3, 3, 2, 2]
    """
