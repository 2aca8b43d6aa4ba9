"""Activations by name."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Activation = Callable[[Any], Any]

_NAMED: dict[str, Activation] = {
    "elu": tf.nn.elu,
    "exponential": tf.exp,
    "gelu": tf.nn.gelu,
    "leaky_relu": tf.nn.leaky_relu,
    "linear": tf.identity,
    "log_softmax": tf.nn.log_softmax,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "selu": tf.nn.selu,
    "sigmoid": tf.nn.sigmoid,
    "silu": tf.nn.silu,
    "softmax": tf.nn.softmax,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "swish": tf.nn.silu,
    "tanh": tf.nn.tanh,
}


def get(activation: str | Activation | None) -> Activation | None:
    """Return an activation: a name looked up, a callable or None as it is.

    Raises:
        ValueError: If the name is not known.
        TypeError: If it is neither a name, a callable nor None.
    """
    if activation is None or callable(activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(f"activation must be a name, a callable or None. Received: activation={activation!r}")
    if activation not in _NAMED:
        raise ValueError(
            f"activation must be one of {', '.join(_NAMED)}, a callable or None. Received: activation={activation!r}"
        )
    return _NAMED[activation]
