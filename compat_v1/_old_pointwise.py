"""What the other layers of the TF1 era do, whether Keras 3 or Keras 2 holds their variables."""

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tf_symconv import ops
from tf_symconv.compat_v1._old_convolutions import fresh, group_order, one_of

if TYPE_CHECKING:
    from tf_symconv.modules._structured import _Layer
else:
    _Layer = object

__all__ = ["GBatchNormalization", "GPool", "GlobalConv", "TopK"]


def _group_channels(shape: Sequence[Any], order: int, argument: str, value: str) -> int:
    channels = shape[-1]
    if channels is None or int(channels) % order:
        raise ValueError(
            f"{argument}={value!r} needs a known number of channels that is a multiple of {order}. "
            f"Received: {channels} channels"
        )
    return int(channels) // order


def _precise(inputs: tf.Tensor) -> tf.Tensor:
    return tf.cast(inputs, tf.float32) if inputs.dtype.size < 4 else inputs


class GBatchNormalization(_Layer):
    """Mixin: ``GBatchNorm``."""

    def __init__(
        self,
        h: str,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        *,
        statistics: str = "element",
        **kwargs: Any,
    ) -> None:
        order = group_order("h", h)
        if isinstance(axis, list | tuple) and len(axis) == 1:
            axis = axis[0]
        if axis != -1:
            raise ValueError(f"axis must be -1, the last one. Received: axis={axis!r}")
        super().__init__(
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            **kwargs,
        )
        self.h = h
        self.statistics = one_of("statistics", statistics, ("element", "group"))
        self._order = order

    def phase(self, training: Any) -> Any:
        """Return whether the layer trains, a boolean or a tensor, from the argument of its call."""
        return bool(training) if training is None or isinstance(training, int) else training

    @abc.abstractmethod
    def update(self, variable: Any, value: tf.Tensor) -> None:
        """Give a variable a new value at this step."""

    def build(self, input_shape: Any) -> None:
        """Create one scale, offset, mean and variance for each group channel."""
        shape = (_group_channels(tuple(input_shape), self._order, "h", self.h),)

        def add(name: str, wanted: bool = True, trainable: bool = True) -> Any:
            rules = {rule: getattr(self, f"{name}_{rule}", None) for rule in ("regularizer", "constraint")}
            initializer = getattr(self, f"{name}_initializer")
            return (
                self.add_weight(name=name, shape=shape, initializer=initializer, trainable=trainable, **rules)
                if wanted
                else None
            )

        self.gamma = add("gamma", self.scale)
        self.beta = add("beta", self.center)
        self.moving_mean = add("moving_mean", trainable=False)
        self.moving_variance = add("moving_variance", trainable=False)
        self.built = True

    def call(self, inputs: tf.Tensor, training: Any = None, mask: Any = None) -> tf.Tensor:
        """Return the normalised inputs."""
        del mask
        x = _precise(inputs)
        mean, variance = (
            self._spread(tf.cast(tf.convert_to_tensor(each), x.dtype))
            for each in (self.moving_mean, self.moving_variance)
        )
        training = self.trainable and self.phase(training)
        if tf.is_tensor(training) or training:
            mean, variance = self._in_training(x, mean, variance, training)
        outputs = (x - mean) * tf.math.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            outputs *= self._spread(tf.cast(tf.convert_to_tensor(self.gamma), x.dtype))
        if self.beta is not None:
            outputs += self._spread(tf.cast(tf.convert_to_tensor(self.beta), x.dtype))
        return tf.cast(outputs, inputs.dtype)

    def _in_training(self, x: tf.Tensor, moving_mean: Any, moving_variance: Any, training: Any) -> tuple[Any, Any]:
        """Return mean and variance of the batch, and let the moving ones follow."""
        axes = list(range(x.shape.rank - 1))
        mean, variance = tf.nn.moments(x, axes)
        seen_mean, seen_variance = self._per_group(mean), self._per_group(variance)
        if self.statistics == "group":
            seen_variance += self._per_group(tf.square(mean - self._spread(seen_mean)))
            mean, variance = self._spread(seen_mean), self._spread(seen_variance)
        else:
            count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), x.dtype)
            seen_variance *= count / (count - (1.0 + self.epsilon))
        on = tf.cast(training, tf.bool)
        for variable, seen in ((self.moving_mean, seen_mean), (self.moving_variance, seen_variance)):
            before = tf.convert_to_tensor(variable)
            after = before * self.momentum + tf.cast(seen, before.dtype) * (1.0 - self.momentum)
            self.update(variable, tf.where(on, after, before))
        return tf.where(on, mean, moving_mean), tf.where(on, variance, moving_variance)

    def _spread(self, values: tf.Tensor) -> tf.Tensor:
        return tf.repeat(values, self._order)

    def _per_group(self, values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.reshape(values, [-1, self._order]), 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "axis": -1, "h": self.h, "statistics": self.statistics}


class GPool(_Layer):
    """Mixin: ``GroupPool``."""

    def __init__(self, h_input: str, *, reduction: str = "mean", **kwargs: Any) -> None:
        order = group_order("h_input", h_input)
        super().__init__(**kwargs)
        self.h_input = h_input
        self.nti = order
        self.reduction = one_of("reduction", reduction, ("mean", "max"))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the pooled input."""
        channels = _group_channels(inputs.shape.as_list(), self.nti, "h_input", self.h_input)
        split = tf.reshape(inputs, tf.concat([tf.shape(inputs)[:-1], [channels, self.nti]], 0))
        pooled = (tf.reduce_mean if self.reduction == "mean" else tf.reduce_max)(split, -1)
        pooled.set_shape([*inputs.shape.as_list()[:-1], channels])
        return pooled

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input with the group channels only."""
        return (*tuple(input_shape)[:-1], _group_channels(tuple(input_shape), self.nti, "h_input", self.h_input))

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "h_input": self.h_input, "reduction": self.reduction}


class GlobalConv(_Layer):
    """Mixin: ``GlobalConv1D``."""

    #: The functions that turn names into initialisers and activations, and back: those of the Keras underneath.
    _keras: Any

    def __init__(
        self,
        filters: int,
        activation: Any = "linear",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(filters, int) or isinstance(filters, bool) or filters < 1:
            raise ValueError(f"filters must be a positive integer. Received: filters={filters!r}")
        self.filters = filters
        self.activation = self._keras.activations.get(activation)
        self.kernel_initializer = self._keras.initializers.get(kernel_initializer)
        self.bias_initializer = self._keras.initializers.get(bias_initializer)
        self.use_bias = use_bias
        self.bias = None

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of this shape."""
        shape = tuple(input_shape)
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] is None):
            raise ValueError(
                "The input must have shape (batch, positions) or (batch, positions, channels), the channels known. "
                f"Received: input shape {shape}"
            )
        cell = (1, 1 if len(shape) == 2 else int(shape[2]), self.filters)
        self.kernel = self.add_weight(name="kernel", shape=cell, initializer=self.kernel_initializer)
        self.surround = self.add_weight(name="surround", shape=cell, initializer=fresh(self.kernel_initializer))
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(1, 1, self.filters), initializer=self.bias_initializer)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the convolution of the inputs."""
        if inputs.shape.rank == 2:
            inputs = tf.expand_dims(inputs, -1)
        kernel = tf.concat([tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.surround)], 0)
        outputs = ops.global_convolution(inputs, kernel)
        if self.bias is not None:
            outputs += tf.cast(tf.convert_to_tensor(self.bias), outputs.dtype)
        return self.activation(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output."""
        return (*tuple(input_shape)[:2], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "activation": self._keras.activations.serialize(self.activation),
            "kernel_initializer": self._keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": self._keras.initializers.serialize(self.bias_initializer),
            "use_bias": self.use_bias,
        }


class TopK(_Layer):
    """Mixin: ``TopKPool``."""

    def __init__(self, k: int, *, name: str | None = None, trainable: bool = False, **kwargs: Any) -> None:
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k must be a positive integer. Received: k={k!r}")
        super().__init__(name=f"top_{k}_pool" if name is None else name, trainable=trainable, **kwargs)
        self.k = k

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the k largest values of each channel."""
        return ops.top_k_pooling(inputs, self.k)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output."""
        batch, length, channels = input_shape
        ops.check_k(self.k, length)
        return (batch, self.k, channels)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "k": self.k}
