"""Modules that treat a sequence as a set: those that know no order of its positions."""

from typing import Any, final

import tensorflow as tf

from tf_symconv import ops
from tf_symconv.modules import _activations, _initializers
from tf_symconv.modules._activations import Activation
from tf_symconv.modules._arguments import check_count, check_switch
from tf_symconv.modules._base import LazyModule, check_data_format
from tf_symconv.modules._initializers import Initializer


@final
class GlobalConv1D(LazyModule):
    """1-D convolution with one weight for the position itself and one for all other positions.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.GlobalConv1D`, without regularisers and
    constraints.

    Args:
        filters, ...: As there; activations and initialisers are names or callables.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = GlobalConv1D(4)
        >>> module(tf.zeros((2, 10, 3))).shape.as_list(), module.kernel.shape.as_list()
        ([2, 10, 4], [2, 3, 4])
    """

    def __init__(
        self,
        filters: int,
        data_format: str | None = None,
        activation: str | Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        *,
        name: str | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.input_ranks = (2, 3)
        self.filters = check_count("filters", filters)
        self.data_format = check_data_format(data_format)
        self.activation = _activations.get(activation)
        self.use_bias = check_switch("use_bias", use_bias)
        self.kernel_initializer = _initializers.get(kernel_initializer)
        self.bias_initializer = _initializers.get(bias_initializer)
        self.bias: tf.Variable | None = None

    def _channels_of(self, shape: tuple[int | None, ...]) -> int:
        return 1 if len(shape) == 2 else super()._channels_of(shape)

    def make_weights(self, channels: int) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(2, channels, self.filters), initializer=self.kernel_initializer
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if inputs.shape.rank == 2:
            inputs = tf.expand_dims(inputs, -1 if self.data_format == "channels_last" else 1)
        outputs = ops.global_convolution(inputs, tf.convert_to_tensor(self.kernel), self.data_format)
        if self.bias is not None:
            bias = tf.cast(tf.convert_to_tensor(self.bias), outputs.dtype)
            outputs += bias if self.data_format == "channels_last" else bias[:, None]
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "data_format", "activation", "use_bias", "kernel_initializer", "bias_initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@final
class TopKPooling1D(LazyModule):
    """The k largest values of each channel, in descending order.

    Args, shapes and errors are those of :class:`tf_symconv.layers.TopKPooling1D`.

    Args:
        k, data_format: As there.
        name: The name of the module, a Python identifier.

    Example:
        >>> import tensorflow as tf
        >>> TopKPooling1D(2)(tf.constant([[[1.0], [3.0], [2.0]]])).numpy().ravel().tolist()
        [3.0, 2.0]
    """

    def __init__(self, k: int, data_format: str | None = None, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.input_ranks = (3,)
        self.k = check_count("k", k)
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: Any) -> None:
        """Take inputs of any number of channels: there are no variables."""
        self._built = True

    def make_weights(self, channels: int) -> None: ...

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return ops.top_k_pooling(inputs, self.k, self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "k": self.k, "data_format": self.data_format}
