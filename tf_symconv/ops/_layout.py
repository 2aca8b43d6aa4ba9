"""The layout that the convolutions of the stock CPU run in every precision: channels last."""

import tensorflow as tf


def to_channels_last(tensor: tf.Tensor) -> tf.Tensor:
    """Return ``(batch, channels, *spatial)`` as ``(batch, *spatial, channels)``."""
    return tf.transpose(tensor, (0, *range(2, tensor.shape.rank), 1))


def to_channels_first(tensor: tf.Tensor) -> tf.Tensor:
    """Return ``(batch, *spatial, channels)`` as ``(batch, channels, *spatial)``."""
    rank = tensor.shape.rank
    return tf.transpose(tensor, (0, rank - 1, *range(1, rank - 1)))
