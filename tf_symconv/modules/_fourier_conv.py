"""Convolution in the frequency domain."""

from typing import Any, final

import tensorflow as tf

from tf_symconv.modules import _activations, _initializers
from tf_symconv.modules._activations import Activation
from tf_symconv.modules._arguments import check_count, check_sizes, check_switch
from tf_symconv.modules._base import LazyModule, check_data_format
from tf_symconv.modules._initializers import Initializer
from tf_symconv.ops._fourier import fourier_convolution
from tf_symconv.ops._layout import to_channels_first, to_channels_last


@final
class FourierConv2D(LazyModule):
    """2-D convolution with a circular boundary, computed as a product of spectra.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.FourierConv2D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = FourierConv2D(4, 5)
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.kernel.shape.as_list()
        ([2, 8, 8, 4], [5, 5, 3, 4])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
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
        self.input_ranks = (4,)
        self.filters = check_count("filters", filters)
        self.kernel_size = check_sizes("kernel_size", kernel_size, 2)
        self.data_format = check_data_format(data_format)
        self.activation = _activations.get(activation)
        self.use_bias = check_switch("use_bias", use_bias)
        self.kernel_initializer = _initializers.get(kernel_initializer)
        self.bias_initializer = _initializers.get(bias_initializer)
        self.bias: tf.Variable | None = None

    def make_weights(self, channels: int) -> None:
        shape = (*self.kernel_size, channels, self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        first = self.data_format == "channels_first"
        # A Fourier transform needs 32 bits or more.
        images = tf.cast(inputs, tf.float32) if inputs.dtype.size < 4 else inputs
        images = to_channels_last(images) if first else images
        outputs = fourier_convolution(images, tf.cast(self.kernel, images.dtype))
        if self.bias is not None:
            outputs += tf.cast(self.bias, outputs.dtype)
        outputs = tf.cast(to_channels_first(outputs) if first else outputs, inputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "kernel_size", "data_format", "activation", "use_bias")
        initializers = {"kernel_initializer": self.kernel_initializer, "bias_initializer": self.bias_initializer}
        return {**super().get_config(), **{name: getattr(self, name) for name in names}, **initializers}
