"""Convolutions that see every pattern and its flip: each filter works together with its own flip."""

from typing import Any, final

import tensorflow as tf

from tf_symconv import groups, kernels, ops
from tf_symconv.modules._bases import Conv1D, Conv2D, Conv3D
from tf_symconv.modules._convolutions import StructuredConv


class TwinFlip(StructuredConv):
    """Mixin: convolve with each filter and with its flip, and reduce each pair of outputs to one channel.

    The kernel holds the filters; their flips are taken when the layer convolves.
    """

    def __init__(self, *args: Any, axes: str = "h", reduction: str = "max", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        letters = "hvz"[: self.rank]
        if not isinstance(axes, str) or not axes or len(set(axes) & set(letters)) < len(axes):
            raise ValueError(f"axes must be distinct letters out of {letters!r}. Received: axes={axes!r}")
        self.axes = axes
        self.flipped_axes = tuple(groups.axis_of(letter, self.rank) for letter in axes)
        self.reduction = ops.check_reduction(reduction)
        self.kernel_map = kernels.Free()
        self.check_structure()
        if self.reduction == "concat":
            self.shared_bias = (*range(self.unique_filters),) * 2

    @property
    def unique_filters(self) -> int:
        """The number of filters with weights of their own: half of the channels with ``"concat"``, else all."""
        return self.filters // 2 if self.reduction == "concat" else self.filters

    def check_structure(self) -> None:
        if self.reduction == "concat" and self.filters % (2 * self.groups):
            raise ValueError(
                f'reduction="concat" gives two output channels per filter, so filters must be a multiple of '
                f"{2 * self.groups} (2 x groups). Received: filters={self.filters} with groups={self.groups}"
            )

    def add_weight(self, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Add a weight; the kernel holds the unique filters only."""
        if name == self.structured_weight:
            kwargs["shape"] = (*kwargs["shape"][:-1], self.unique_filters)
        return super().add_weight(*args, name=name, **kwargs)

    def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
        latent = tf.convert_to_tensor(self.latent)
        return ops.twin_convolution(inputs, latent, self.kernel_map, self.kernel_shape, **self.convolution_arguments())

    def convolution_arguments(self) -> dict[str, Any]:
        """Return what the layer's convolution takes besides its inputs and its kernel."""
        twins = {"flipped_axes": self.flipped_axes, "reduction": self.reduction}
        return {**super().convolution_arguments(), **twins}

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "axes": self.axes, "reduction": self.reduction}


@final
class TwinFlipConv1D(TwinFlip, Conv1D):
    """1-D convolution with each filter and its flip, reduced pairwise.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.TwinFlipConv1D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        axes, reduction, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = TwinFlipConv1D(4, 3)
        >>> module(tf.zeros((2, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 4], [3, 3, 4])
    """


@final
class TwinFlipConv2D(TwinFlip, Conv2D):
    """2-D convolution with each filter and its flip, reduced pairwise.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.TwinFlipConv2D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        axes, reduction, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = TwinFlipConv2D(4, 3)
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 4], [3, 3, 3, 4])
    """


@final
class TwinFlipConv3D(TwinFlip, Conv3D):
    """3-D convolution with each filter and its flip, reduced pairwise.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.TwinFlipConv3D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        axes, reduction, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = TwinFlipConv3D(4, 3)
        >>> module(tf.zeros((2, 8, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 6, 4], [3, 3, 3, 3, 4])
    """
