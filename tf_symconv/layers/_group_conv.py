"""Group-equivariant convolutions: transform the input, and the output transforms with it."""

from typing import final

import keras

from tf_symconv.layers._convolutions import StructuredConv, StructuredConvTranspose
from tf_symconv.modules._group_conv import GroupKernel, GroupTransposeKernel


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class GroupConv2D(GroupKernel, StructuredConv, keras.layers.Conv2D):
    """2-D convolution that is equivariant under a group of the square.

    Law: transforming the input by an element of the group transforms the output in space and permutes the elements of
    every
    group channel: output ``(c, g)`` of the transformed input is the transform of output ``(c, k^-1 g)``. It is exact
    where the steps of the kernel meet both ends of each axis alike; other sizes raise a ValueError with the nearest
    ones that do, unless ``equivariance="relaxed"``. Where a size is unknown until the graph runs, the graph asserts it
    (XLA drops assertions).

    Channels that carry a group are laid out group channel major, group element minor. Elements are ordered as in
    :mod:`tf_symconv.groups`: rotations counter-clockwise by growing angle; ``d4``: the same, then the same followed by
    the up-down reflection; reflections: identity, h, v, hv.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2D``, in its order and with its defaults.
            ``filters`` is the number of output channels, a multiple of the group's order. One bias per group channel.
        group: ``"c2"``, ``"c4"``, ``"d4"``, ``"h"``, ``"v"``, ``"hv"`` or ``"diag"``.
        input_group: None for images (the first layer), or the group of the input, which is that of the layer.
        equivariance: ``"exact"`` or ``"relaxed"``.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first; channels is a multiple of the group's order where the
        input carries the group.

    Output shape:
        ``(batch, new height, new width, filters)``, or channels first.

    Raises:
        ValueError: If an argument is out of its range, channels or filters are no multiple of the group's order, the
            group does not map the kernel to itself, or a size breaks equivariance.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, eqs. 10 and 11.

    Example:
        >>> import numpy as np
        >>> lift = GroupConv2D(32, 3, group="c4", padding="same")
        >>> y = lift(np.zeros((1, 8, 8, 3), "float32"))
        >>> layer = GroupConv2D(64, 3, group="c4", input_group="c4", padding="same")
        >>> layer(y).shape.as_list(), layer.latent.shape.as_list()
        ([1, 8, 8, 64], [3, 3, 32, 16])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class GroupConv2DTranspose(GroupTransposeKernel, StructuredConvTranspose, keras.layers.Conv2DTranspose):
    """Transposed 2-D convolution that is equivariant under a group of the square.

    Law, layout of channels and order of elements: those of :class:`GroupConv2D`. With ``"same"``, the kernel must span
    as many cells as the stride or more, and the two must be both even or both odd; with ``"valid"``, it must span as
    many cells as the stride or more.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2DTranspose``, in its order and with its
            defaults. ``filters`` is the number of output channels, a multiple of the group's order. One bias per group
            channel.
        group: ``"c2"``, ``"c4"``, ``"d4"``, ``"h"``, ``"v"``, ``"hv"`` or ``"diag"``.
        input_group: None for images, or the group of the input, which is that of the layer.
        equivariance: ``"exact"`` or ``"relaxed"``.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, new height, new width, filters)``, or channels first.

    Raises:
        ValueError: As :class:`GroupConv2D`.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576.

    Example:
        >>> import numpy as np
        >>> layer = GroupConv2DTranspose(16, 4, 2, "same", group="d4", input_group="d4")
        >>> layer(np.zeros((1, 5, 5, 8), "float32")).shape.as_list()
        [1, 10, 10, 16]
    """
