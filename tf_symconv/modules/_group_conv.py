"""Group-equivariant convolutions: transform the input, and the output transforms with it."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from tf_symconv import groups, kernels, ops
from tf_symconv.modules._bases import Conv2D, Conv2DTranspose
from tf_symconv.modules._convolutions import StructuredConv, StructuredConvTranspose
from tf_symconv.modules._structured import Structured

EQUIVARIANCES = ("exact", "relaxed")
_ANY_SIZE = 64


class GroupKernel(Structured):
    """Mixin: every group channel holds one filter, transformed by each element of a group, and one bias."""

    def __init__(
        self,
        *args: Any,
        group: str = "c4",
        input_group: str | None = None,
        equivariance: str = "exact",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        elements = groups.get(group, 2)
        if input_group is not None and (
            not isinstance(input_group, str) or groups.get(input_group, 2).name != elements.name
        ):
            raise ValueError(
                f"input_group must be None (the input is an image) or the group of the layer, {group!r}. "
                f"Received: input_group={input_group!r}"
            )
        if equivariance not in EQUIVARIANCES:
            raise ValueError(
                f"equivariance must be one of {', '.join(EQUIVARIANCES)}. Received: equivariance={equivariance!r}"
            )
        self.group = group
        self.input_group = input_group
        self.equivariance = equivariance
        structure = kernels.GroupLift(group) if input_group is None else kernels.GroupRegular(group)
        self.fewest_channels = structure.inputs_per_channel
        self.kernel_map = self.as_stored(structure)
        self.check_structure()
        per_channel_group = self.filters // getattr(self, "groups", 1)
        if per_channel_group % elements.order:
            raise ValueError(
                f"The filters of each of the {self.groups} channel groups must be a multiple of {elements.order}, the "
                f"order of the group {group!r}. Received: filters={self.filters}, groups={self.groups}"
            )
        self.shared_bias = tuple(np.repeat(np.arange(self.filters // elements.order), elements.order).tolist())
        if self.equivariance == "exact":
            self._check_steps(elements)

    def _check_steps(self, group: groups.Group) -> None:
        """Refuse strides and dilations that differ between axes which the group exchanges."""
        if group.preserves((2, 3)):
            return
        for name in ("strides", "dilation_rate"):
            steps = getattr(self, name)
            if steps[0] != steps[1]:
                raise ValueError(
                    f"The group {self.group!r} exchanges height and width, so it needs equal {name} along both; "
                    f"equivariance='relaxed' accepts the loss. Received: {name}={steps}"
                )

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the variables, and refuse sizes that break equivariance."""
        super().build(input_shape)
        self._check_sizes(input_shape)

    def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
        checks = self._check_sizes(tuple(inputs.shape), tf.shape(inputs))
        with tf.control_dependencies(checks):
            return super().convolve(tf.identity(inputs) if checks else inputs)

    def _check_sizes(self, shape: Sequence[int | None], sizes: Any = None) -> list[Any]:
        """Raise a ValueError if a spatial size breaks equivariance; return checks of unknown sizes for the graph."""
        checks = []
        if self.equivariance == "exact":
            first = 1 if self.data_format == "channels_last" else 2
            elements = groups.get(self.group, 2).elements
            for axis in [axis for axis in range(2) if any(element.reversal[axis] for element in elements)]:
                size = shape[first + axis]
                if size is not None or self._size_is_irrelevant(axis):
                    self._check_size(_ANY_SIZE if size is None else size, axis, shape)
                elif sizes is not None:
                    centred = self._is_centred(sizes[first + axis], axis)
                    checks.append(tf.debugging.Assert(centred, [self._cause(axis), sizes]))
        return checks

    def _effective_size(self, axis: int) -> int:
        return self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1

    def _size_is_irrelevant(self, axis: int) -> bool:
        return self.strides[axis] == 1

    def _excess(self, size: Any, axis: int) -> Any:
        """Return by how many cells the steps of the kernel reach beyond an axis of this many cells."""
        kernel, stride = self._effective_size(axis), self.strides[axis]
        steps = -(-size // stride) if self.padding == "same" else (size - kernel) // stride + 1
        return (steps - 1) * stride + kernel - size

    def _is_centred(self, size: Any, axis: int) -> Any:
        """Tell whether the steps of the kernel lie the same when the axis is reversed."""
        excess = self._excess(size, axis)
        return (excess >= 0) & (excess % 2 == 0) if self.padding == "same" else excess == 0

    def _cause(self, axis: int) -> str:
        return (
            f"{type(self).__name__} {self.name!r} with padding {self.padding!r}, stride {self.strides[axis]} and a "
            f"kernel that spans {self._effective_size(axis)} cells does not meet both ends of the "
            f"{('height', 'width')[axis]} alike, so transforming the input does not transform the output."
        )

    def _check_size(self, size: int, axis: int, shape: Sequence[int | None]) -> None:
        if self._is_centred(size, axis):
            return
        smallest = 1 if self.padding == "same" else self._effective_size(axis)
        reach = range(1, 2 * self.strides[axis] + 1)
        below = next((size - d for d in reach if size - d >= smallest and self._is_centred(size - d, axis)), None)
        above = next((size + d for d in reach if self._is_centred(size + d, axis)), None)
        nearest = [str(n) for n in (below, above) if n is not None]
        way_out = (
            f"The nearest sizes that keep it: {' and '.join(nearest)}."
            if nearest
            else "No size keeps it: choose another kernel size or padding (odd sizes with 'same', any with 'valid')."
        )
        raise ValueError(
            f"{self._cause(axis)} {way_out} equivariance='relaxed' accepts the loss. "
            f"Received: input shape {tuple(shape)}"
        )

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        own = {"group": self.group, "input_group": self.input_group, "equivariance": self.equivariance}
        return {**super().get_config(), **own}


class GroupTransposeKernel(GroupKernel):
    """Mixin: the same for transposed convolutions."""

    def _size_is_irrelevant(self, axis: int) -> bool:
        return True

    def _excess(self, size: Any, axis: int) -> Any:
        size = self._effective_size(axis)
        extra = None if self.output_padding is None else self.output_padding[axis]
        return size - ops.transposed_end(size, self.strides[axis], extra, self.padding)


@final
class GroupConv2D(GroupKernel, StructuredConv, Conv2D):
    """2-D convolution that is equivariant under a group of the square.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.GroupConv2D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        group, input_group, equivariance, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = GroupConv2D(8, 3, group="c4")
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 8], [3, 3, 3, 2])
    """


@final
class GroupConv2DTranspose(GroupTransposeKernel, StructuredConvTranspose, Conv2DTranspose):
    """2-D transposed convolution that is equivariant under a group of the square.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.GroupConv2DTranspose`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        group, input_group, equivariance, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = GroupConv2DTranspose(8, 3, group="c4")
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 10, 10, 8], [3, 3, 3, 2])
    """
