"""Operations on a set of positions: those that treat all positions alike, in any order."""

import tensorflow as tf

from tf_symconv.ops._layout import to_channels_first, to_channels_last
from tf_symconv.ops._setting import unconverted


@unconverted
def global_convolution(inputs: tf.Tensor, kernel: tf.Tensor, data_format: str = "channels_last") -> tf.Tensor:
    """Return ``y[i] = x[i] @ kernel[0] + (sum of x[j] over all j other than i) @ kernel[1]``.

    The sum over all positions is taken once, in float32 or wider, so the cost is linear in the length.

    Args:
        inputs: Shape ``(batch, length, channels)``, or ``(batch, channels, length)`` with ``channels_first``.
        kernel: Shape ``(2, channels, filters)``, of the type of the inputs or a wider one.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        Shape ``(batch, length, filters)`` or ``(batch, filters, length)``, in the dtype of the inputs.
    """
    if data_format == "channels_first":
        return to_channels_first(global_convolution(to_channels_last(inputs), kernel))
    itself, others = tf.unstack(kernel)
    wide = inputs.dtype if inputs.dtype.size > 4 else tf.float32
    total = tf.reduce_sum(tf.cast(inputs, wide), axis=1, keepdims=True)
    everywhere = tf.cast(tf.einsum("bnc,cf->bnf", total, tf.cast(others, wide)), inputs.dtype)
    return tf.einsum("bnc,cf->bnf", inputs, tf.cast(itself - others, inputs.dtype)) + everywhere


def check_k(k: int, length: int | None) -> int:
    """Return ``k`` if inputs of this length have so many values, else raise a ValueError."""
    if length is not None and k > length:
        raise ValueError(f"k must not exceed the length of the inputs. Received: k={k} with inputs of length {length}")
    return k


@unconverted
def top_k_pooling(inputs: tf.Tensor, k: int, data_format: str = "channels_last") -> tf.Tensor:
    """Return the ``k`` largest values of each channel in descending order.

    Args:
        inputs: Shape ``(batch, length, channels)``, or ``(batch, channels, length)`` with ``channels_first``.
        k: How many values to keep, at most the length.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        Shape ``(batch, k, channels)`` or ``(batch, channels, k)``, in the dtype of the inputs.

    Raises:
        ValueError: If the length is known and smaller than ``k``.
        tf.errors.InvalidArgumentError: When it runs, if the length was not known and is smaller than ``k``.
    """
    last = data_format == "channels_last"
    length = inputs.shape[1 if last else 2]
    check_k(k, length)
    rows = to_channels_first(inputs) if last else inputs
    if length is None:
        message = f"k must not exceed the length of the inputs. Received: k={k}"
        with tf.control_dependencies([tf.debugging.assert_greater_equal(tf.shape(rows)[2], k, message)]):
            rows = tf.identity(rows)
    values = tf.math.top_k(rows, k).values
    return to_channels_last(values) if last else values
