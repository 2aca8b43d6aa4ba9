"""Layers that treat all elements of a group channel alike: what stands between group convolutions stays equivariant."""

from collections.abc import Sequence
from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv import groups
from tf_symconv.layers._signature import with_stock_signature

_REDUCTIONS = {"max": tf.reduce_max, "mean": tf.reduce_mean}


def _check_channels(channels: int | None, group: str) -> None:
    order = groups.get(group, 2).order
    if channels is None or channels % order:
        raise ValueError(
            f"The group {group!r} needs a known number of channels that is a multiple of {order}. "
            f"Received: {channels} channels"
        )


def _split(shape: Sequence[Any], axis: int, order: int) -> list[Any]:
    """Return a shape whose ``axis`` is split into group channels and elements."""
    axis %= len(shape)
    return [*shape[:axis], shape[axis] // order, order, *shape[axis + 1 :]]


def _sizes(tensor: tf.Tensor) -> list[Any]:
    """Return the sizes of a tensor: integers where they are known, else scalar tensors."""
    dynamic = tf.shape(tensor)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(tensor.shape)]


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
        channels = input_shape[self.channel_axis]
        _check_channels(channels, self.group)
        super().build(_split(tuple(input_shape), self.channel_axis, groups.get(self.group, 2).order))
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.channel_axis: channels})

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Return the normalised input."""
        sizes = _sizes(inputs)
        split = tf.reshape(inputs, _split(sizes, self.channel_axis, groups.get(self.group, 2).order))
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
class GroupLayerNormalization(keras.layers.LayerNormalization):
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
        _check_channels(input_shape[self.channel_axis], self.group)
        super().build(tuple(input_shape))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the normalised input."""
        precise = tf.cast(inputs, tf.float32) if inputs.dtype.size < 4 else inputs
        mean, variance = tf.nn.moments(precise, self.channel_axis, keepdims=True)
        outputs = (precise - mean) * tf.math.rsqrt(variance + tf.cast(self.epsilon, precise.dtype))
        if self.gamma is not None:
            outputs *= self._spread(self.gamma, outputs)
        if self.beta is not None:
            outputs += self._spread(self.beta, outputs)
        return tf.cast(outputs, self.compute_dtype)

    def _spread(self, weight: keras.Variable, outputs: tf.Tensor) -> tf.Tensor:
        shape = [1] * outputs.shape.rank
        shape[self.channel_axis] = -1
        each = tf.repeat(tf.cast(tf.convert_to_tensor(weight), outputs.dtype), groups.get(self.group, 2).order)
        return tf.reshape(each, shape)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "axis": self.channel_axis, "group": self.group}


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class GroupPooling(keras.layers.Layer):
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

    def __init__(self, group: str = "c4", reduction: str = "max", axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        groups.get(group, 2)
        if reduction not in _REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(_REDUCTIONS)}. Received: reduction={reduction!r}")
        if not isinstance(axis, int) or isinstance(axis, bool) or axis == 0:
            raise ValueError(f"axis must be the index of the channel axis, not 0. Received: axis={axis!r}")
        self.group = group
        self.reduction = reduction
        self.axis = axis

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Check the channels."""
        _check_channels(input_shape[self.axis], self.group)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the pooled input."""
        axis = self.axis % inputs.shape.rank
        split = tf.reshape(inputs, _split(_sizes(inputs), axis, groups.get(self.group, 2).order))
        return _REDUCTIONS[self.reduction](split, axis + 1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the input with the group channels only."""
        _check_channels(input_shape[self.axis], self.group)
        axis = self.axis % len(input_shape)
        shape = _split(tuple(input_shape), axis, groups.get(self.group, 2).order)
        return (*shape[: axis + 1], *shape[axis + 2 :])

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "group": self.group, "reduction": self.reduction, "axis": self.axis}
