"""The convolution that knows two kinds of positions: this one, and all others."""

from collections.abc import Sequence
from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv import ops


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class GlobalConv1D(keras.layers.Layer):
    """1-D convolution with one weight for the position itself and one for all other positions.

    ``y[i] = activation(x[i] @ kernel[0] + (sum of x[j] over all j other than i) @ kernel[1] + bias)``. The layer takes
    any length; it sums over the positions once, so the cost is linear in the length.

    Law: permuting the positions of the input permutes those of the output in the same way. In exact arithmetic only:
    sums in another order round differently.

    The entries of the kernel have the variance that the initialiser gives a kernel of length 2, whatever the length of
    the input; the sum over the other positions grows with it. Normalise the output, or choose an initialiser, where
    that matters.

    Args:
        filters: The number of output channels.
        data_format: ``"channels_last"`` or ``"channels_first"``; None for the default of Keras.
        activation: The activation function; None for none.
        use_bias: Whether to add a bias.
        kernel_initializer: The initialiser of the kernel of shape ``(2, channels, filters)``.
        bias_initializer: The initialiser of the bias of shape ``(filters,)``.
        kernel_regularizer: An optional regulariser of the kernel.
        bias_regularizer: An optional regulariser of the bias.
        activity_regularizer: An optional regulariser of the output.
        kernel_constraint: An optional constraint of the kernel.
        bias_constraint: An optional constraint of the bias.

    Input shape:
        ``(batch, length, channels)``, or ``(batch, channels, length)`` with ``data_format="channels_first"``; or
        ``(batch, features)``, where the features are the positions of one channel.

    Output shape:
        ``(batch, length, filters)``, or ``(batch, filters, length)``.

    Raises:
        ValueError: If ``filters`` is not a positive integer, or the input has neither 2 nor 3 axes or an unknown number
            of channels.

    Reference:
        The linear maps that commute with permutations: Zaheer et al., "Deep Sets" (NeurIPS 2017), arXiv:1703.06114,
        lemma 3.

    Example:
        >>> import numpy as np
        >>> layer = GlobalConv1D(4)
        >>> x = np.random.default_rng(0).normal(size=(2, 10, 3)).astype("float32")
        >>> layer(x).shape.as_list(), layer.kernel.shape.as_list()
        ([2, 10, 4], [2, 3, 4])
        >>> order = np.random.default_rng(1).permutation(10)
        >>> np.testing.assert_allclose(layer(x[:, order]), layer(x).numpy()[:, order], atol=1e-5)
    """

    def __init__(
        self,
        filters: int,
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if not isinstance(filters, int) or isinstance(filters, bool) or filters < 1:
            raise ValueError(f"filters must be a positive integer. Received: filters={filters!r}")
        self.filters = filters
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f"data_format must be 'channels_last' or 'channels_first'. Received: data_format={data_format!r}"
            )
        self.activation: Any = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.input_spec = keras.layers.InputSpec(min_ndim=2, max_ndim=3)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights for inputs of this shape."""
        channels = 1
        if len(input_shape) == 3:
            axis = self._channel_axis
            if input_shape[axis] is None:
                raise ValueError(f"The number of input channels must be known. Received: input_shape={input_shape}")
            channels = input_shape[axis]
            self.input_spec = keras.layers.InputSpec(ndim=3, axes={axis: channels})
        else:
            self.input_spec = keras.layers.InputSpec(ndim=2)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(2, channels, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=False,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the convolution of the inputs."""
        if len(inputs.shape) == 2:
            inputs = tf.expand_dims(inputs, self._channel_axis)
        outputs = ops.global_convolution(inputs, tf.convert_to_tensor(self.kernel), self.data_format)
        if self.bias is not None:
            bias = tf.convert_to_tensor(self.bias)
            outputs += bias if self.data_format == "channels_last" else bias[:, None]
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the output for inputs of this shape."""
        batch, *rest = input_shape
        if self.data_format == "channels_last":
            return (batch, rest[0], self.filters)
        return (batch, self.filters, rest[-1])

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "data_format": self.data_format,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }
