"""The plain convolutions that structured modules build on: one for each kind that Keras has."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tf_symconv.modules import _activations, _initializers
from tf_symconv.modules._activations import Activation
from tf_symconv.modules._arguments import check_choice, check_count, check_sizes, check_switch
from tf_symconv.modules._base import LazyModule, check_data_format
from tf_symconv.modules._initializers import Initializer
from tf_symconv.modules._signature import with_signature_of
from tf_symconv.modules._structured import Structured

Sizes = int | Sequence[int]


class Convolution(LazyModule):
    """What all kinds have: a kernel's size and steps, a bias, an activation. Arguments are those of Keras."""

    rank: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give a structured class the signature of the convolution it builds on, and its own arguments as keywords."""
        super().__init_subclass__(**kwargs)
        if issubclass(cls, Structured):
            kind = next(base for base in cls.__mro__ if base.__module__ == __name__ and "__init__" in vars(base))
            with_signature_of(cls, kind)

    def __init__(
        self,
        *,
        kernel_size: Sizes,
        strides: Sizes,
        padding: str,
        data_format: str | None,
        dilation_rate: Sizes,
        activation: str | Activation | None,
        use_bias: bool,
        bias_initializer: str | Initializer,
        name: str | None,
        dtype: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.input_ranks = (self.rank + 2,)
        self.kernel_size = check_sizes("kernel_size", kernel_size, self.rank)
        self.strides = check_sizes("strides", strides, self.rank)
        self.padding = check_choice("padding", padding, self.paddings)
        self.data_format = check_data_format(data_format)
        self.dilation_rate = check_sizes("dilation_rate", dilation_rate, self.rank)
        self.activation = _activations.get(activation)
        self.use_bias = check_switch("use_bias", use_bias)
        self.bias_initializer = _initializers.get(bias_initializer)
        self.bias: tf.Variable | None = None

    def __call__(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Return the outputs; the first call makes the variables.

        Args:
            inputs: Floats of shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with
                ``channels_first``.
            training: Whether gradients will be taken: the whole training step is then made fast, not the outputs alone.

        Raises:
            ValueError: If the inputs have another rank or number of channels than the module is made for, or are not
                floats.
        """
        return self.call(self.checked(inputs), training)

    @abc.abstractmethod
    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return what a call returns, for inputs that fit."""

    def refuse_strides_with_dilation(self) -> None:
        """Raise a ValueError if the module has both."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "strides and dilation_rate must not both exceed 1. "
                f"Received: strides={self.strides}, dilation_rate={self.dilation_rate}"
            )

    def add_bias(self, filters: int) -> None:
        """Make the bias, if the module has one."""
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(filters,), initializer=self.bias_initializer)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor, so that ``from_config`` makes another such module."""
        names = ("kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "bias_initializer": self.bias_initializer,
        }


class Conv(Convolution):
    """A convolution with kernels of shape ``(*kernel_size, channels / groups, filters)``."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: str | Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        *,
        name: str | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            name=name,
            dtype=dtype,
        )
        self.filters = check_count("filters", filters)
        self.groups = check_count("groups", groups)
        self.kernel_initializer = _initializers.get(kernel_initializer)
        if self.filters % self.groups:
            raise ValueError(f"filters must be a multiple of groups. Received: filters={filters}, groups={groups}")
        self.refuse_strides_with_dilation()

    def make_weights(self, channels: int) -> None:
        if channels % self.groups:
            raise ValueError(
                f"The input channels must be a multiple of groups. Received: {channels} channels, groups={self.groups}"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.add_bias(self.filters)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "groups", "kernel_initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class ConvTranspose(Convolution):
    """A transposed convolution with kernels of shape ``(*kernel_size, filters, channels)``."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: str | Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        *,
        name: str | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            name=name,
            dtype=dtype,
        )
        self.filters = check_count("filters", filters)
        self.output_padding = (
            None if output_padding is None else check_sizes("output_padding", output_padding, self.rank, smallest=0)
        )
        self.kernel_initializer = _initializers.get(kernel_initializer)
        for extra, stride in zip(self.output_padding or (), self.strides, strict=False):
            if extra >= stride:
                raise ValueError(
                    "output_padding must be below the strides. "
                    f"Received: output_padding={output_padding}, strides={self.strides}"
                )
        self.refuse_strides_with_dilation()

    def make_weights(self, channels: int) -> None:
        shape = (*self.kernel_size, self.filters, channels)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.add_bias(self.filters)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "output_padding", "kernel_initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class DepthwiseConv(Convolution):
    """A depthwise convolution with kernels of shape ``(*kernel_size, channels, depth_multiplier)``."""

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: str | Activation | None = None,
        use_bias: bool = True,
        depthwise_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        *,
        name: str | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            name=name,
            dtype=dtype,
        )
        self.depth_multiplier = check_count("depth_multiplier", depth_multiplier)
        self.depthwise_initializer = _initializers.get(depthwise_initializer)

    def make_weights(self, channels: int) -> None:
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.depthwise_initializer)
        self.add_bias(channels * self.depth_multiplier)

    def get_config(self) -> dict[str, Any]:
        names = ("depth_multiplier", "depthwise_initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class SeparableConv(Convolution):
    """A depthwise convolution as above, and a convolution with kernels of size 1 after it."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: str | Activation | None = None,
        use_bias: bool = True,
        depthwise_initializer: str | Initializer = "glorot_uniform",
        pointwise_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        *,
        name: str | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            name=name,
            dtype=dtype,
        )
        self.filters = check_count("filters", filters)
        self.depth_multiplier = check_count("depth_multiplier", depth_multiplier)
        self.depthwise_initializer = _initializers.get(depthwise_initializer)
        self.pointwise_initializer = _initializers.get(pointwise_initializer)

    def make_weights(self, channels: int) -> None:
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        pointwise = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self.add_weight(
            name="depthwise_kernel", shape=depthwise, initializer=self.depthwise_initializer
        )
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel", shape=pointwise, initializer=self.pointwise_initializer
        )
        self.add_bias(self.filters)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "depth_multiplier", "depthwise_initializer", "pointwise_initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class Conv1D(Conv):
    """The convolution along one axis."""

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(Conv):
    """The convolution over height and width."""

    rank = 2


class Conv3D(Conv):
    """The convolution over depth, height and width."""

    rank = 3


class Conv1DTranspose(ConvTranspose):
    """The transposed convolution along one axis."""

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """The transposed convolution over height and width."""

    rank = 2


class Conv3DTranspose(ConvTranspose):
    """The transposed convolution over depth, height and width. As in Keras, ``data_format`` comes first here."""

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Sizes | None = None,
        dilation_rate: Sizes = 1,
        activation: str | Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        *,
        name: str | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            output_padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            name=name,
            dtype=dtype,
        )


class DepthwiseConv1D(DepthwiseConv):
    """The depthwise convolution along one axis."""

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """The depthwise convolution over height and width."""

    rank = 2


class SeparableConv1D(SeparableConv):
    """The separable convolution along one axis."""

    rank = 1


class SeparableConv2D(SeparableConv):
    """The separable convolution over height and width."""

    rank = 2
