"""Layers that treat all elements of a group channel alike: what stands between group convolutions stays equivariant."""

from collections.abc import Sequence
from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv import groups
from tf_symconv.layers._signature import with_stock_signature
from tf_symconv.modules._group_pointwise import (
    GroupLayerNormalizing,
    GroupReduction,
    check_channels,
    resolve_axis,
    sizes_of,
    split_shape,
)


@final
@with_stock_signature
@keras.saving.register_keras_serializable(package="tf_symconv")
class GroupBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation with statistics, scale and offset shared over the elements of each group channel.

    Law: it commutes with the group's action on its input, in training and in inference.

    Args:
        axis, momentum, ...: All arguments of ``keras.layers.BatchNormalization``, with its defaults.
        group: The group that the channels carry, as in :class:`~tf_symconv.layers.GroupConv2D`.

    Input shape:
        Any, with a multiple of the group's order channels along ``axis``.

    Output shape:
        That of the input.

    Raises:
        ValueError: If there is no such group, or the channels are no multiple of its order.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, section 6.3.

    Example:
        >>> import numpy as np
        >>> layer = GroupBatchNormalization(group="c4")
        >>> layer(np.zeros((2, 5, 5, 8), "float32")).shape.as_list(), layer.gamma.shape.as_list()
        ([2, 5, 5, 8], [2])
    """

    def __init__(self, *args: Any, group: str = "c4", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups.get(group, 2)
        self.group = group
        self.channel_axis = self.axis
        # The stock layer sees the input with its channels split into group channels, along this axis, and elements.
        self.axis = self.axis - 1 if self.axis < 0 else self.axis

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create one scale, offset, mean and variance for each group channel."""
        channels = input_shape[resolve_axis(self.channel_axis, len(input_shape))]
        check_channels(channels, self.group)
        super().build(split_shape(tuple(input_shape), self.channel_axis, self.group))
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.channel_axis: channels})

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Return the normalised input."""
        sizes = sizes_of(inputs)
        split = tf.reshape(inputs, split_shape(sizes, self.channel_axis, self.group))
        mask = None if mask is None else mask[..., None]
        outputs: Any = super().call(split, training=training, mask=mask)
        return tf.reshape(outputs, sizes)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "axis": self.channel_axis, "group": self.group}


@final
@with_stock_signature
@keras.saving.register_keras_serializable(package="tf_symconv")
class GroupLayerNormalization(GroupLayerNormalizing, keras.layers.LayerNormalization):
    """Layer normalisation of all channels at a position, with scale and offset shared over each group channel.

    Law: it commutes with the group's action on its input.

    Args:
        axis, epsilon, ...: All arguments of ``keras.layers.LayerNormalization``, with its defaults; ``axis`` is the one
            axis of the channels.
        group: The group that the channels carry, as in :class:`~tf_symconv.layers.GroupConv2D`.

    Input shape:
        Any, with a multiple of the group's order channels along ``axis``.

    Output shape:
        That of the input.

    Raises:
        ValueError: If there is no such group, ``axis`` is no single axis, or the channels are no multiple of the order.

    Reference:
        Ba, Kiros and Hinton, "Layer Normalization" (2016), arXiv:1607.06450.

    Example:
        >>> import numpy as np
        >>> layer = GroupLayerNormalization(group="c4")
        >>> layer(np.zeros((2, 5, 5, 8), "float32")).shape.as_list(), layer.gamma.shape.as_list()
        ([2, 5, 5, 8], [2])
    """

    def __init__(self, *args: Any, group: str = "c4", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups.get(group, 2)
        self.group = group
        axes = self.axis if isinstance(self.axis, list | tuple) else [self.axis]
        if len(axes) != 1:
            raise ValueError(f"axis must be the one axis of the channels. Received: axis={self.axis!r}")
        self.channel_axis = int(axes[0])

    def add_weight(self, *args: Any, shape: Sequence[int] = (), **kwargs: Any) -> keras.Variable:
        """Add one scale or offset for each group channel."""
        return super().add_weight(*args, shape=(shape[0] // groups.get(self.group, 2).order,), **kwargs)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create one scale and offset for each group channel."""
        check_channels(input_shape[resolve_axis(self.channel_axis, len(input_shape))], self.group)
        super().build(tuple(input_shape))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the normalised input."""
        return tf.cast(self.normalized(inputs), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "axis": self.channel_axis, "group": self.group}


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class GroupPooling(GroupReduction, keras.layers.Layer):
    """Maximum or mean over the elements of each group channel.

    Law: the output of a transformed input is the transformed output; the group no longer permutes channels. Pooled over
    space as well (for example by ``keras.layers.GlobalAveragePooling2D``), it is invariant.

    Args:
        group: The group that the channels carry, as in :class:`~tf_symconv.layers.GroupConv2D`.
        reduction: ``"max"`` or ``"mean"``.
        axis: The axis of the channels.
        **kwargs: Arguments of ``keras.layers.Layer``.

    Input shape:
        Any, with a multiple of the group's order channels along ``axis``.

    Output shape:
        That of the input, with as many channels as there are group channels.

    Raises:
        ValueError: If there is no such group or reduction, or the channels are no multiple of the group's order.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, section 6.3.

    Example:
        >>> import numpy as np
        >>> GroupPooling(group="c4")(np.zeros((2, 5, 5, 8), "float32")).shape.as_list()
        [2, 5, 5, 2]
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Check the channels."""
        check_channels(input_shape[resolve_axis(self.axis, len(input_shape))], self.group)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the input with the group channels only."""
        axis = resolve_axis(self.axis, len(input_shape))
        check_channels(input_shape[axis], self.group)
        shape = split_shape(tuple(input_shape), axis, self.group)
        return (*shape[: axis + 1], *shape[axis + 2 :])
