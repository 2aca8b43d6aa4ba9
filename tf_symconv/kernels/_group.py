"""Kernels of group-equivariant convolutions: every filter comes with its transform under each element of a group."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, cast, final

import numpy as np
import tensorflow as tf

from tf_symconv import groups
from tf_symconv.kernels._base import KernelMap, split_shape, static_shape
from tf_symconv.kernels._ties import Pairs


class GroupMap(KernelMap):
    """Kernels whose output channels are the transforms of one filter per group channel.

    Channels that carry a group are laid out group channel major, group element minor; elements are ordered as in
    :mod:`tf_symconv.groups`. The latent holds the filters of the identity: shape
    ``(*spatial, input channels, output channels / order)``.
    """

    group: str

    def __post_init__(self) -> None:
        groups.get(self.group, 2)

    @property
    @abc.abstractmethod
    def inputs_per_channel(self) -> int:
        """How many input channels make one group channel: 1 for images, the order for maps on the group."""

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        spatial, (inputs, outputs) = split_shape(kernel_shape)
        order = self._group_for(spatial).order
        for name, channels, multiple in (("output", outputs, order), ("input", inputs, self.inputs_per_channel)):
            if channels % multiple:
                below = channels // multiple * multiple
                nearest = f"{below} or {below + multiple}" if below else f"{multiple}"
                raise ValueError(
                    f"The group {self.group!r} needs a multiple of {multiple} {name} channels; the nearest is "
                    f"{nearest}. Received: {channels} {name} channels"
                )
        return (*spatial, inputs, outputs // order)

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        spatial, (inputs, _) = split_shape(kernel_shape)
        sources = self._sources(spatial, inputs)
        copies = _gather_copies(tf.reshape(latent, (sources.shape[1], -1)), sources)
        return tf.reshape(_elements_last(copies), tuple(kernel_shape))

    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(kernel)
        shape = static_shape(kernel)
        order = self._group_for(split_shape(shape)[0]).order
        return tf.gather(tf.reshape(kernel, (*shape[:-1], shape[-1] // order, order)), 0, axis=-1)

    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(kernel)
        shape = static_shape(kernel)
        spatial, (inputs, _) = split_shape(shape)
        sources = self._sources(spatial, inputs)
        order, rows = sources.shape
        copies = tf.reshape(tf.transpose(tf.reshape(kernel, (-1, order))), (order, rows, -1))
        return tf.reshape(_sum_of_copies(copies, sources) / order, self.latent_shape(shape))

    def pairs(self, kernel_shape: Sequence[int], axis: int) -> Pairs | None:
        spatial, (inputs, filters) = split_shape(kernel_shape)
        group = self._group_for(spatial)
        flip = groups.Element(tuple(range(len(spatial))), tuple(i == axis for i in range(len(spatial))))
        if flip not in group.elements:
            return None
        images = group.multiplication_table[group.elements.index(flip)]

        def of(channels: int) -> np.ndarray:
            return (np.arange(channels // group.order)[:, None] * group.order + images).ravel()

        return Pairs.of_images(of(filters), of(inputs) if self.inputs_per_channel > 1 else None)

    def _group_for(self, spatial: tuple[int, ...]) -> groups.Group:
        group = groups.get(self.group, max(len(spatial), 2))
        if len(spatial) < 2 or not group.preserves(spatial):
            raise ValueError(
                f"The group {self.group!r} needs a kernel that it maps to itself: 2 spatial axes or more, and equal "
                f"height and width where it turns by 90 degrees. Received: spatial shape {spatial}"
            )
        return group

    def _sources(self, spatial: tuple[int, ...], inputs: int) -> np.ndarray:
        """Return where each element's copy of the latent has its rows from.

        A row holds the weights of all filters at a cell and an input channel; where elements move cells alone, at a
        cell and all input channels: longer rows are faster to gather.

        Returns:
            Integers of shape ``(order, rows)``.
        """
        planes = self.inputs_per_channel
        return _sources(self._group_for(spatial), spatial, inputs if planes > 1 else 1, planes)


def _gather_copies(rows: tf.Tensor, sources: np.ndarray) -> tf.Tensor:
    """Return ``rows[sources]``, whose rows are permutations; the gradient is a gather too, not a scatter.

    Args:
        rows: Shape ``(n, width)``.
        sources: Integers of shape ``(order, n)``.

    Returns:
        Shape ``(order, n, width)``.
    """

    @tf.custom_gradient
    def run(rows: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.gather(rows, sources), lambda copies: _sum_of_copies(copies, sources)

    return cast(Any, run)(rows)


def _sum_of_copies(copies: tf.Tensor, sources: np.ndarray) -> tf.Tensor:
    """Return, for each row, the sum of its copies, the transpose of :func:`_gather_copies`."""
    order, rows = sources.shape
    back = (np.argsort(sources, axis=1) + rows * np.arange(order)[:, None]).astype(np.int32)
    return tf.reduce_sum(tf.gather(tf.reshape(copies, (order * rows, -1)), back), 0)


def _elements_last(copies: tf.Tensor) -> tf.Tensor:
    """Return the copies as columns: shape ``(numbers of one, order)``.

    A product with the identity, in less than half the time of a transposition (``benchmarks/README.md``).
    """
    order = static_shape(copies)[0]
    return tf.matmul(tf.reshape(copies, (order, -1)), tf.eye(order, dtype=copies.dtype), transpose_a=True)


@functools.lru_cache(maxsize=256)
def _sources(group: groups.Group, spatial: tuple[int, ...], inputs: int, planes: int) -> np.ndarray:
    # The transform of a filter under g carries at (cell, h) what the filter has at (g^-1 cell, g^-1 h).
    cells = np.arange(int(np.prod(spatial))).reshape(spatial)
    copies = []
    for index, element in enumerate(group.elements):
        cell = element(cells).reshape(-1, 1, 1)
        moved = group.multiplication_table[group.inverses[index]] if planes > 1 else np.zeros(1, int)
        channel = np.arange(inputs // planes).reshape(1, -1, 1) * planes + moved
        copies.append((cell * inputs + channel).ravel())
    return np.stack(copies).astype(np.int32)


@final
@dataclasses.dataclass(frozen=True)
class GroupLift(GroupMap):
    """Kernels of the first group convolution, from images to maps on the group.

    Output channel ``c * order + g`` is filter ``c`` transformed by element ``g``.

    Args:
        group: A group of the square: ``"c2"``, ``"c4"``, ``"d4"``, ``"h"``, ``"v"``, ``"hv"``, ``"diag"``.

    Raises:
        ValueError: If there is no such group; at use, if the group does not map the kernel to itself (``c4``, ``d4``
            and ``diag`` need square kernels) or the output channels are not a multiple of its order.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, eq. 10.

    Example:
        >>> GroupLift("c4").latent_shape((3, 3, 1, 32))
        (3, 3, 1, 8)
    """

    group: str

    @property
    def inputs_per_channel(self) -> int:
        return 1


@final
@dataclasses.dataclass(frozen=True)
class GroupRegular(GroupMap):
    """Kernels of a group convolution from maps on the group to maps on the group.

    Output channel ``c * order + g`` is filter ``c`` transformed by element ``g``, which turns each plane and permutes
    the planes of every input group channel: plane ``h`` comes from plane ``g^-1 h``.

    Args:
        group: A group of the square: ``"c2"``, ``"c4"``, ``"d4"``, ``"h"``, ``"v"``, ``"hv"``, ``"diag"``.

    Raises:
        ValueError: If there is no such group; at use, if the group does not map the kernel to itself, or the input or
            output channels are not a multiple of its order.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, eq. 11.

    Example:
        >>> GroupRegular("c4").latent_shape((3, 3, 32, 32))
        (3, 3, 32, 8)
    """

    group: str

    @property
    def inputs_per_channel(self) -> int:
        return groups.get(self.group, 2).order
