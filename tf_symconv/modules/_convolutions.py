"""Mixins that convolve with a structured kernel: one for each kind of convolution that Keras has."""

import math
from typing import Any

import tensorflow as tf

from tf_symconv import kernels, ops
from tf_symconv.kernels import KernelMap
from tf_symconv.modules._structured import ExpandedKernel, Structured


class StructuredConv(Structured):
    """Mixin for the layers that convolve with one kernel of shape ``(*kernel_size, channels / groups, filters)``."""

    def check_structure(self) -> None:
        self.kernel_map.latent_shape((*self.kernel_size, self.fewest_channels, self.filters))

    def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
        latent = tf.convert_to_tensor(self.latent)
        return ops.convolution(inputs, latent, self.kernel_map, self.kernel_shape, **self.convolution_arguments())

    def convolution_arguments(self) -> dict[str, Any]:
        """Return what the layer's convolution takes besides its inputs and its kernel."""
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilations": self.dilation_rate,
            "groups": self.groups,
            "data_format": self.data_format,
            "implementation": self.implementation,
        }

    def _plan(self, input_shape: tuple[int | None, ...], **setting: Any) -> ops.Plan:
        arguments = {**self.convolution_arguments(), **setting}
        return ops.plan_convolution(input_shape, self.kernel_map, self.kernel_shape, **arguments)


class StructuredConvTranspose(Structured):
    """Mixin for the transposed layers, whose kernel has the shape ``(*kernel_size, filters, channels)``."""

    def as_stored(self, kernel_map: KernelMap) -> KernelMap:
        return kernels.swap_channels(kernel_map)

    def check_structure(self) -> None:
        self.kernel_map.latent_shape((*self.kernel_size, self.filters, self.fewest_channels))

    def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
        return ops.transposed_convolution(
            inputs,
            tf.convert_to_tensor(self.latent),
            self.kernel_map,
            self.kernel_shape,
            strides=self.strides,
            padding=self.padding,
            output_padding=self.output_padding,
            dilations=self.dilation_rate,
            data_format=self.data_format,
            implementation=self.implementation,
        )

    def _plan(self, input_shape: tuple[int | None, ...], **setting: Any) -> ops.Plan:
        sizes = input_shape[1:-1] if self.data_format == "channels_last" else input_shape[2:]
        products = None if None in sizes else math.prod((*sizes, *self.kernel_shape))  # pyright: ignore
        return ops.Plan.dense(products, "transposed convolutions have no folded form")


class StructuredDepthwiseConv(Structured):
    """Mixin for the depthwise layers, whose kernel has the shape ``(*kernel_size, channels, depth_multiplier)``."""

    def check_structure(self) -> None:
        self.kernel_map.latent_shape((*self.kernel_size, 1, self.depth_multiplier))

    def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
        latent = tf.convert_to_tensor(self.latent)
        arguments = self.convolution_arguments()
        return ops.depthwise_convolution(inputs, latent, self.kernel_map, self.kernel_shape, **arguments)

    def convolution_arguments(self) -> dict[str, Any]:
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilations": self.dilation_rate,
            "data_format": self.data_format,
            "implementation": self.implementation,
        }

    def _plan(self, input_shape: tuple[int | None, ...], **setting: Any) -> ops.Plan:
        arguments = {**self.convolution_arguments(), "depthwise": True, **setting}
        return ops.plan_convolution(input_shape, self.kernel_map, self.kernel_shape, **arguments)


class StructuredSeparableConv(StructuredDepthwiseConv):
    """Mixin for the separable layers: their depthwise kernel is structured, their pointwise kernel is free."""

    structured_weight = "depthwise_kernel"
    depthwise_kernel = ExpandedKernel()

    @property
    def kernel(self) -> Any:
        """The full depthwise kernel, the one that is structured."""
        return self.depthwise_kernel

    def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
        return ops.dense_convolution(
            super().convolve(inputs),
            tf.cast(tf.convert_to_tensor(self.pointwise_kernel), inputs.dtype),
            strides=(1,) * self.rank,
            padding="valid",
            dilations=(1,) * self.rank,
            groups=1,
            data_format=self.data_format,
        )
