"""The layout that the convolutions of the stock CPU run in every precision: channels last; and sizes in a graph."""

from typing import Any

import tensorflow as tf


def to_channels_last(tensor: tf.Tensor) -> tf.Tensor:
    """Return ``(batch, channels, *spatial)`` as ``(batch, *spatial, channels)``."""
    return tf.transpose(tensor, (0, *range(2, tensor.shape.rank), 1))


def to_channels_first(tensor: tf.Tensor) -> tf.Tensor:
    """Return ``(batch, *spatial, channels)`` as ``(batch, channels, *spatial)``."""
    rank = tensor.shape.rank
    return tf.transpose(tensor, (0, rank - 1, *range(1, rank - 1)))


def sizes_of(tensor: tf.Tensor) -> list[Any]:
    """Return the sizes of a tensor: integers where they are known, else scalar tensors."""
    if tensor.shape.is_fully_defined():
        return tensor.shape.as_list()
    dynamic = tf.shape(tensor)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(tensor.shape)]
