"""The layers of ``tf.contrib.layers`` that networks of the TF1 era are made of, on ``get_variable`` alone.

Arguments, defaults, scopes and variable names are the originals', so their checkpoints restore: ``Conv/weights``,
``fully_connected/biases``, ``BatchNorm/moving_mean``.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_symconv.compat_v1._arg_scope import add_arg_scope
from tf_symconv.compat_v1._contrib_functions import xavier_initializer

__all__ = ["avg_pool2d", "batch_norm", "conv2d", "conv2d_transpose", "fully_connected", "max_pool2d"]

v1 = tf.compat.v1
_Function = Callable[..., Any] | None
_XAVIER, _ZEROS, _ONES = xavier_initializer(), v1.zeros_initializer(), v1.ones_initializer()


@add_arg_scope
def fully_connected(
    inputs: tf.Tensor,
    num_outputs: int,
    activation_fn: _Function = tf.nn.relu,
    normalizer_fn: _Function = None,
    normalizer_params: dict[str, Any] | None = None,
    weights_initializer: Any = _XAVIER,
    weights_regularizer: _Function = None,
    biases_initializer: Any = _ZEROS,
    biases_regularizer: _Function = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> tf.Tensor:
    """Multiply the last axis by ``weights``, then normalise or add ``biases``, then apply the activation."""
    layer = _Layer(
        *(activation_fn, normalizer_fn, normalizer_params, weights_initializer, weights_regularizer),
        *(biases_initializer, biases_regularizer, variables_collections, outputs_collections, trainable),
    )
    with v1.variable_scope(scope, "fully_connected", [inputs], reuse=reuse):
        outputs = tf.tensordot(inputs, layer.weights([_channels(inputs), num_outputs]), 1)
        outputs.set_shape([*inputs.shape[:-1], num_outputs])
        return layer.finish(outputs, num_outputs)


@add_arg_scope
def conv2d(
    inputs: tf.Tensor,
    num_outputs: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: int | Sequence[int] = 1,
    activation_fn: _Function = tf.nn.relu,
    normalizer_fn: _Function = None,
    normalizer_params: dict[str, Any] | None = None,
    weights_initializer: Any = _XAVIER,
    weights_regularizer: _Function = None,
    biases_initializer: Any = _ZEROS,
    biases_regularizer: _Function = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> tf.Tensor:
    """Convolve with ``weights``, then normalise or add ``biases``, then apply the activation."""
    layer = _Layer(
        *(activation_fn, normalizer_fn, normalizer_params, weights_initializer, weights_regularizer),
        *(biases_initializer, biases_regularizer, variables_collections, outputs_collections, trainable),
    )
    _check_format(data_format)
    with v1.variable_scope(scope, "Conv", [inputs], reuse=reuse):
        weights = layer.weights([*_pair(kernel_size), _channels(inputs), num_outputs])
        outputs = v1.nn.convolution(inputs, weights, padding, list(_pair(stride)), list(_pair(rate)))
        return layer.finish(outputs, num_outputs)


@add_arg_scope
def conv2d_transpose(
    inputs: tf.Tensor,
    num_outputs: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    activation_fn: _Function = tf.nn.relu,
    normalizer_fn: _Function = None,
    normalizer_params: dict[str, Any] | None = None,
    weights_initializer: Any = _XAVIER,
    weights_regularizer: _Function = None,
    biases_initializer: Any = _ZEROS,
    biases_regularizer: _Function = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> tf.Tensor:
    """Apply the transpose of a convolution, then normalise or add ``biases``, then apply the activation."""
    layer = _Layer(
        *(activation_fn, normalizer_fn, normalizer_params, weights_initializer, weights_regularizer),
        *(biases_initializer, biases_regularizer, variables_collections, outputs_collections, trainable),
    )
    _check_format(data_format)
    kernel, strides = _pair(kernel_size), _pair(stride)
    extra = [max(k - s, 0) if padding == "VALID" else 0 for k, s in zip(kernel, strides, strict=True)]
    with v1.variable_scope(scope, "Conv2d_transpose", [inputs], reuse=reuse):
        weights = layer.weights([*kernel, num_outputs, _channels(inputs)])
        static, dynamic = inputs.shape.as_list()[1:3], tf.shape(inputs)
        sizes = [
            (dynamic[axis] if n is None else n) * s + e
            for axis, n, s, e in zip((1, 2), static, strides, extra, strict=True)
        ]
        outputs = v1.nn.conv2d_transpose(
            inputs, weights, tf.stack([dynamic[0], *sizes, num_outputs]), [1, *strides, 1], padding
        )
        known = [None if n is None else n * s + e for n, s, e in zip(static, strides, extra, strict=True)]
        outputs.set_shape([inputs.shape[0], *known, num_outputs])
        return layer.finish(outputs, num_outputs)


@add_arg_scope
def batch_norm(
    inputs: tf.Tensor,
    decay: float = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 0.001,
    activation_fn: _Function = None,
    param_initializers: dict[str, Any] | None = None,
    param_regularizers: dict[str, Any] | None = None,
    updates_collections: Any = v1.GraphKeys.UPDATE_OPS,
    is_training: Any = True,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> tf.Tensor:
    """Normalise each channel (the last axis) by the batch in training, by the moving averages otherwise.

    The updates of the averages go into ``updates_collections``; None runs them with the output. Like the fused kernel
    of the original, the averages see the variance with the divisor n - 1.
    """
    initial = {"beta": _ZEROS, "gamma": _ONES, "moving_mean": _ZEROS, "moving_variance": _ONES}
    initial.update(param_initializers or {})
    with v1.variable_scope(scope, "BatchNorm", [inputs], reuse=reuse):

        def variable(name: str, train: bool) -> Any:
            regularizer = (param_regularizers or {}).get(name)
            return _variable(name, [_channels(inputs)], initial[name], regularizer, train, variables_collections)

        wanted = {"gamma": scale, "beta": center}
        # The original makes them in this order for images and in the other one for vectors.
        names = [name for name in wanted if wanted[name]][:: 1 if len(inputs.shape) == 4 else -1]
        made = {name: variable(name, trainable) for name in names}
        mean, variance = variable("moving_mean", False), variable("moving_variance", False)
        used = [mean, variance]
        if is_training is not False:
            training = tf.cast(is_training, tf.bool)
            batch = tf.nn.moments(inputs, list(range(len(inputs.shape) - 1)))
            count = tf.cast(tf.size(inputs) // tf.size(batch[0]), inputs.dtype)
            unbiased = batch[1] * count / tf.maximum(count - 1, 1)
            # Outside training the averages stay: they move towards themselves.
            updates = [
                v1.assign_sub(average, (average - tf.where(training, new, average)) * (1 - decay))
                for average, new in ((mean, batch[0]), (variance, unbiased))
            ]
            used = [tf.where(training, new, average) for new, average in zip(batch, used, strict=True)]
            if updates_collections is None:
                with tf.control_dependencies(updates):
                    used = [tf.identity(value) for value in used]
            for update in updates if updates_collections is not None else ():
                v1.add_to_collections(updates_collections, update)
        outputs = v1.nn.batch_normalization(inputs, *used, made.get("beta"), made.get("gamma"), epsilon)
        outputs.set_shape(inputs.shape)
        return _collected(outputs if activation_fn is None else activation_fn(outputs), outputs_collections)


@add_arg_scope
def max_pool2d(
    inputs: tf.Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 2,
    padding: str = "VALID",
    data_format: str | None = None,
    outputs_collections: Any = None,
    scope: Any = None,
) -> tf.Tensor:
    """Return the maximum of each window."""
    _check_format(data_format)
    with v1.name_scope(scope, "MaxPool2D", [inputs]):
        outputs = v1.nn.max_pool(inputs, [1, *_pair(kernel_size), 1], [1, *_pair(stride), 1], padding)
        return _collected(outputs, outputs_collections)


@add_arg_scope
def avg_pool2d(
    inputs: tf.Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 2,
    padding: str = "VALID",
    data_format: str | None = None,
    outputs_collections: Any = None,
    scope: Any = None,
) -> tf.Tensor:
    """Return the mean of each window."""
    _check_format(data_format)
    with v1.name_scope(scope, "AvgPool2D", [inputs]):
        outputs = v1.nn.avg_pool(inputs, [1, *_pair(kernel_size), 1], [1, *_pair(stride), 1], padding)
        return _collected(outputs, outputs_collections)


@dataclasses.dataclass(frozen=True)
class _Layer:
    """The arguments that the layers with weights share."""

    activation_fn: _Function
    normalizer_fn: _Function
    normalizer_params: dict[str, Any] | None
    weights_initializer: Any
    weights_regularizer: _Function
    biases_initializer: Any
    biases_regularizer: _Function
    variables_collections: Any
    outputs_collections: Any
    trainable: bool

    def weights(self, shape: Sequence[int]) -> Any:
        return _variable(
            *("weights", shape, self.weights_initializer, self.weights_regularizer),
            *(self.trainable, self.variables_collections),
        )

    def finish(self, outputs: tf.Tensor, channels: int) -> tf.Tensor:
        """Normalise, or add biases if there are any, and activate."""
        if self.normalizer_fn is not None:
            outputs = self.normalizer_fn(outputs, **(self.normalizer_params or {}))
        elif self.biases_initializer is not None:
            outputs += _variable(
                *("biases", [channels], self.biases_initializer, self.biases_regularizer),
                *(self.trainable, self.variables_collections),
            )
        return _collected(
            outputs if self.activation_fn is None else self.activation_fn(outputs), self.outputs_collections
        )


def _variable(
    name: str, shape: Sequence[int], initializer: Any, regularizer: Any, trainable: bool, collections: Any
) -> Any:
    if isinstance(collections, dict):
        collections = collections.get(name)
    keys = [v1.GraphKeys.GLOBAL_VARIABLES, v1.GraphKeys.MODEL_VARIABLES, *(collections or [])]
    return v1.get_variable(
        name, shape, initializer=initializer, regularizer=regularizer, trainable=trainable, collections=keys
    )


def _collected(outputs: tf.Tensor, collections: Any) -> tf.Tensor:
    if collections:
        v1.add_to_collections(collections, outputs)
    return outputs


def _channels(inputs: tf.Tensor) -> int:
    size = tf.compat.dimension_value(inputs.shape[-1])
    if size is None:
        raise ValueError(f"The channels of the input are known. Received: inputs.shape={inputs.shape}")
    return size


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


def _check_format(data_format: str | None) -> None:
    if data_format not in (None, "NHWC"):
        raise ValueError(f"These layers read the format NHWC only. Received: data_format={data_format!r}")
