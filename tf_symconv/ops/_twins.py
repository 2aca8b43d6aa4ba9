"""How the outputs of a filter and of its flip become one."""

from collections.abc import Callable

import tensorflow as tf

_PAIRWISE: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "max": tf.maximum,
    "min": tf.minimum,
    "sum": tf.add,
    "mean": lambda first, second: (first + second) * 0.5,
}
REDUCTIONS = (*_PAIRWISE, "concat")


def check_reduction(reduction: str) -> str:
    """Return ``reduction`` if it is one of :data:`REDUCTIONS`, else raise a ValueError."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}. Received: reduction={reduction!r}")
    return reduction


def reduce_twins(first: tf.Tensor, second: tf.Tensor, reduction: str, data_format: str) -> tf.Tensor:
    """Return the two tensors reduced to one, or one after the other along the channels (``"concat"``).

    Raises:
        ValueError: If the reduction is not known.
    """
    if check_reduction(reduction) == "concat":
        return tf.concat([first, second], -1 if data_format == "channels_last" else 1)
    return _PAIRWISE[reduction](first, second)
