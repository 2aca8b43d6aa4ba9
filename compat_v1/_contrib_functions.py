"""The functions of ``tf.contrib.layers`` that make no variables: initialisers, regularisers, small operations."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_symconv.compat_v1._arg_scope import add_arg_scope

__all__ = [
    "apply_regularization",
    "dropout",
    "flatten",
    "l1_l2_regularizer",
    "l1_regularizer",
    "l2_regularizer",
    "one_hot_encoding",
    "repeat",
    "softmax",
    "sum_regularizer",
    "variance_scaling_initializer",
    "xavier_initializer",
    "xavier_initializer_conv2d",
]

v1 = tf.compat.v1
_Regularizer = Callable[[Any], Any]


def variance_scaling_initializer(
    factor: float = 2.0, mode: str = "FAN_IN", uniform: bool = False, seed: int | None = None, dtype: Any = tf.float32
) -> Any:
    """Return an initialiser of variance ``factor / fan``; the normal one is truncated and widened by 1.3, as it was."""
    modes = {"FAN_IN": "fan_in", "FAN_OUT": "fan_out", "FAN_AVG": "fan_avg"}
    if mode not in modes:
        raise ValueError(f"mode is one of {', '.join(map(repr, modes))}. Received: mode={mode!r}")
    # The variance of a normal distribution cut at two deviations is 0.7737; 1.3 undoes that, but for half a percent.
    scale = factor if uniform else factor * 1.3 * 0.87962566103423978**2
    return v1.variance_scaling_initializer(
        scale, modes[mode], "uniform" if uniform else "truncated_normal", seed=seed, dtype=dtype
    )


def xavier_initializer(uniform: bool = True, seed: int | None = None, dtype: Any = tf.float32) -> Any:
    """Return the initialiser of Glorot and Bengio."""
    return variance_scaling_initializer(1.0, "FAN_AVG", uniform, seed, dtype)


def xavier_initializer_conv2d(uniform: bool = True, seed: int | None = None, dtype: Any = tf.float32) -> Any:
    """Return the initialiser of Glorot and Bengio."""
    return xavier_initializer(uniform, seed, dtype)


def l1_regularizer(scale: float, scope: str | None = None) -> _Regularizer:
    """Return ``scale`` times the sum of magnitudes."""
    return _regularizer(scale, scope, "l1_regularizer", lambda weights: tf.reduce_sum(tf.abs(weights)))


def l2_regularizer(scale: float, scope: str | None = None) -> _Regularizer:
    """Return ``scale`` times half the sum of squares."""
    return _regularizer(scale, scope, "l2_regularizer", tf.nn.l2_loss)


def l1_l2_regularizer(scale_l1: float = 1.0, scale_l2: float = 1.0, scope: str | None = None) -> _Regularizer:
    """Return the sum of both."""
    return sum_regularizer([l1_regularizer(scale_l1), l2_regularizer(scale_l2)], scope or "l1_l2_regularizer")


def sum_regularizer(regularizer_list: Sequence[_Regularizer], scope: str | None = None) -> _Regularizer:
    """Return the sum of several regularisers, None of an empty list."""
    regularizers = [regularizer for regularizer in regularizer_list if regularizer is not None]

    def total(weights: Any) -> Any:
        with v1.name_scope(scope, "sum_regularizer", [weights]) as name:
            values = [value for regularizer in regularizers if (value := regularizer(weights)) is not None]
            return tf.add_n(values, name=name) if values else None

    return total


def apply_regularization(regularizer: _Regularizer, weights_list: Sequence[Any] | None = None) -> tf.Tensor:
    """Return the sum of the penalties of ``weights_list``, by default of the collection ``WEIGHTS``."""
    weights = v1.get_collection(v1.GraphKeys.WEIGHTS) if weights_list is None else list(weights_list)
    if not weights:
        raise ValueError(f"There are no weights to regularise. Received: weights_list={weights_list!r}")
    penalties = [value for each in weights if (value := regularizer(each)) is not None]
    penalty = tf.add_n(penalties) if penalties else tf.constant(0.0)
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, penalty)
    return penalty


@add_arg_scope
def flatten(inputs: tf.Tensor, outputs_collections: Any = None, scope: str | None = None) -> tf.Tensor:
    """Join all axes but the first."""
    with v1.name_scope(scope, "Flatten", [inputs]):
        size = inputs.shape[1:].num_elements()
        outputs = tf.reshape(inputs, [tf.shape(inputs)[0], -1] if size is None else [-1, size])
        v1.add_to_collections(outputs_collections or (), outputs)
        return outputs


@add_arg_scope
def dropout(
    inputs: tf.Tensor,
    keep_prob: Any = 0.5,
    noise_shape: Any = None,
    is_training: Any = True,
    outputs_collections: Any = None,
    scope: str | None = None,
    seed: int | None = None,
) -> tf.Tensor:
    """Keep each element with probability ``keep_prob``, scaled up, in training; keep all otherwise."""
    with v1.name_scope(scope, "Dropout", [inputs]):
        kept = tf.nn.dropout(inputs, rate=1 - keep_prob, noise_shape=noise_shape, seed=seed)
        if isinstance(is_training, bool):
            outputs = kept if is_training else tf.identity(inputs)
        else:
            outputs = tf.where(tf.cast(is_training, tf.bool), kept, inputs)
        outputs.set_shape(inputs.shape)
        v1.add_to_collections(outputs_collections or (), outputs)
        return outputs


@add_arg_scope
def one_hot_encoding(
    labels: tf.Tensor,
    num_classes: int,
    on_value: float = 1.0,
    off_value: float = 0.0,
    outputs_collections: Any = None,
    scope: str | None = None,
) -> tf.Tensor:
    """Return one-hot rows of 32-bit floats."""
    with v1.name_scope(scope, "OneHotEncoding", [labels]):
        outputs = tf.one_hot(labels, num_classes, on_value=on_value, off_value=off_value)
        v1.add_to_collections(outputs_collections or (), outputs)
        return outputs


@add_arg_scope
def repeat(inputs: tf.Tensor, repetitions: int, layer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Apply a layer several times, in the scopes ``scope/scope_1``, ``scope/scope_2``, ..."""
    scope = kwargs.pop("scope", None)
    with v1.variable_scope(scope, "Repeat", [inputs]):
        for number in range(1, repetitions + 1):
            inputs = layer(inputs, *args, **kwargs, scope=f"{scope or layer.__name__}_{number}")
    return inputs


@add_arg_scope
def softmax(logits: tf.Tensor, scope: str | None = None) -> tf.Tensor:
    """Return the softmax of the last axis."""
    with v1.name_scope(scope, "softmax", [logits]):
        return tf.nn.softmax(logits)


def _regularizer(scale: float, scope: str | None, name: str, measure: Callable[[Any], Any]) -> _Regularizer:
    if isinstance(scale, bool) or scale < 0:
        raise ValueError(f"The scale of a regulariser is not negative. Received: scale={scale!r}")

    def penalty(weights: Any) -> Any:
        # The original has no penalty at all at scale zero, so that the collection of losses stays without it.
        if scale == 0:
            return None
        with v1.name_scope(scope, name, [weights]) as entered:
            return tf.multiply(tf.cast(scale, weights.dtype.base_dtype), measure(weights), name=entered)

    return penalty
