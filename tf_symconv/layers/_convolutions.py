"""The kinds of convolution that Keras has, with a structured kernel."""

from tf_symconv.layers._structured import StructuredKernel
from tf_symconv.modules import _convolutions as kinds


class StructuredConv(kinds.StructuredConv, StructuredKernel):
    """Mixin for the layers that convolve with one kernel of shape ``(*kernel_size, channels / groups, filters)``."""


class StructuredConvTranspose(kinds.StructuredConvTranspose, StructuredKernel):
    """Mixin for the transposed layers, whose kernel has the shape ``(*kernel_size, filters, channels)``."""


class StructuredDepthwiseConv(kinds.StructuredDepthwiseConv, StructuredKernel):
    """Mixin for the depthwise layers, whose kernel has the shape ``(*kernel_size, channels, depth_multiplier)``."""


class StructuredSeparableConv(kinds.StructuredSeparableConv, StructuredKernel):
    """Mixin for the separable layers: their depthwise kernel is structured, their pointwise kernel is free."""
