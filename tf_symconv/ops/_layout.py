"""The layout that the convolutions of the stock CPU run in every precision: channels last; and sizes in a graph.

Where the batch size is not known, TensorFlow's own gradients of reshaping, joining and cutting ask for the shape of
what came in, and so for a forward pass that is needed for nothing else. Those here know all other sizes.
"""

from collections.abc import Sequence
from typing import Any, cast

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
    return [dynamic[axis] if size is None else size for axis, size in enumerate(known_sizes(tensor))]


def known_sizes(tensor: tf.Tensor) -> list[Any]:
    """Return the sizes of a tensor as integers, None where they are not known: with TensorFlow 1's behaviour too."""
    return tensor.shape.as_list()


def reshape_examples(tensor: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Give every example of a batch a new shape.

    Args:
        tensor: Shape ``(batch, ...)``, all sizes known but that of the batch.
        shape: The new shape without the batch.
    """
    own = known_sizes(tensor)[1:]

    @tf.custom_gradient
    def run(tensor: tf.Tensor) -> Any:
        return tf.reshape(tensor, [-1, *shape]), lambda dy: reshape_examples(dy, own)

    return cast(Any, run)(tensor)


def concat(tensors: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
    """Join tensors along an axis of which their sizes are known."""
    sizes = [known_sizes(tensor)[axis] for tensor in tensors]

    @tf.custom_gradient
    def run(*tensors: tf.Tensor) -> Any:
        return tf.concat(tensors, axis), lambda dy: tf.split(dy, sizes, axis)

    return cast(Any, run)(*tensors)


def cut(tensor: tf.Tensor, axis: int, start: int, length: int) -> tf.Tensor:
    """Return so many entries of an axis of known size."""
    size = known_sizes(tensor)[axis]
    if length == size:
        return tensor

    @tf.custom_gradient
    def run(tensor: tf.Tensor) -> Any:
        part = tensor[(slice(None),) * axis + (slice(start, start + length),)]
        return part, lambda dy: extend(dy, axis, start, size - start - length)

    return cast(Any, run)(tensor)


def extend(tensor: tf.Tensor, axis: int, before: int, after: int) -> tf.Tensor:
    """Add zeros before and after the entries of an axis of known size."""
    size = known_sizes(tensor)[axis]
    if not before and not after:
        return tensor
    paddings = [[0, 0]] * axis + [[before, after]] + [[0, 0]] * (tensor.shape.rank - axis - 1)

    @tf.custom_gradient
    def run(tensor: tf.Tensor) -> Any:
        return tf.pad(tensor, paddings), lambda dy: cut(dy, axis, before, size)

    return cast(Any, run)(tensor)
