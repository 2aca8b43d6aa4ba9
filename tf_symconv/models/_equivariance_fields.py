"""How a tensor transforms: what a transformation of the model's input does to the output of a layer."""

import dataclasses
from typing import Any, final

import numpy as np

from tf_symconv import groups

_NAMES: dict[tuple[tuple[int, ...], tuple[bool, ...]], str] = {
    ((0, 1), (False, False)): "identity",
    ((0, 1), (False, True)): "h",
    ((0, 1), (True, False)): "v",
    ((0, 1), (True, True)): "rot180",
    ((1, 0), (True, False)): "rot90",
    ((1, 0), (False, True)): "rot270",
    ((1, 0), (False, False)): "transpose",
    ((1, 0), (True, True)): "antitranspose",
}


def name_of(element: groups.Element) -> str:
    """Return the name of a symmetry of the square."""
    return _NAMES[element.permutation, element.reversal]


@final
@dataclasses.dataclass(frozen=True)
class Field:
    """How a tensor transforms.

    Images and maps (batch, height, width, channels, or channels first) are turned in space; vectors (batch, channels)
    are not. In both, an element may permute the channels: those of an image or an invariant vector stay in place,
    those of a map on the group are permuted within every group channel.

    Attributes:
        shape: The shape of the tensor; the batch is None.
        channel_axis: The axis of the channels.
        permutations: Integers of shape (order, channels): channel ``c`` of the transformed tensor is channel
            ``permutations[g, c]`` of the tensor.
        carries: What the channels carry, in words: the name of a group, or nothing.
    """

    shape: tuple[int | None, ...]
    channel_axis: int
    permutations: np.ndarray
    carries: str = ""

    @property
    def is_map(self) -> bool:
        """Whether the tensor has spatial axes."""
        return len(self.shape) == 4

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """The axes of height and width; none for vectors."""
        return ((1, 2) if self.channel_axis == 3 else (2, 3)) if self.is_map else ()

    @property
    def spatial_shape(self) -> tuple[Any, ...]:
        """Height and width; nothing for vectors."""
        return tuple(self.shape[axis] for axis in self.spatial_axes)

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.permutations.shape[1]

    @property
    def data_format(self) -> str:
        """The Keras name of the order of axes."""
        return "channels_last" if self.channel_axis == len(self.shape) - 1 else "channels_first"

    @property
    def permutes(self) -> bool:
        """Whether an element permutes the channels."""
        return bool((self.permutations != np.arange(self.channels)).any())

    def transform(self, group: groups.Group, index: int, array: np.ndarray) -> np.ndarray:
        """Return an array that transforms so, transformed by one element."""
        turned = group.elements[index](array, axes=self.spatial_axes) if self.is_map else array
        return np.take(turned, self.permutations[index], axis=self.channel_axis)

    def __str__(self) -> str:
        size = "x".join(str(n) for n in self.spatial_shape)
        if not self.carries:
            return f"{size} images, {self.channels} channels" if self.is_map else f"invariant vector, {self.channels}"
        return f"{size} maps on {self.carries}, {self.channels}" if self.is_map else f"vector on {self.carries}"


@final
@dataclasses.dataclass(frozen=True)
class Action:
    """What the elements of a group do to channels."""

    group: groups.Group

    def trivial(self, channels: int) -> np.ndarray:
        """Return the permutations of channels that stay in place."""
        return np.tile(np.arange(channels), (self.group.order, 1))

    def regular(self, name: str, channels: int) -> np.ndarray:
        """Return the permutations of maps on the group ``name``, group channel major and element minor.

        Elements that are not in that group leave the channels in place.
        """
        carried = groups.get(name, 2)
        permutations = self.trivial(channels)
        if channels % carried.order:
            return permutations
        starts = np.arange(0, channels, carried.order)[:, None]
        for index, element in enumerate(self.group.elements):
            if element in carried.elements:
                inverse = carried.inverses[carried.elements.index(element)]
                permutations[index] = (starts + carried.multiplication_table[inverse]).ravel()
        return permutations

    def missing_from(self, name: str) -> list[str]:
        """Return the names of the elements that are not in the group ``name``."""
        return [name_of(element) for element in self.group.elements if element not in groups.get(name, 2).elements]

    def preserves_axes(self, field: Field, axes: set[int]) -> bool:
        """Whether every element maps this set of axes of a tensor to itself."""
        spatial = [axis for axis, place in enumerate(field.spatial_axes) if place in axes]
        return all(
            [axis for axis in range(2) if element.permutation[axis] in spatial] == spatial
            for element in self.group.elements
        )


def induced(permutations: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Return how elements permute cells of channels, given how they permute channels.

    Args:
        permutations: Integers of shape (order, channels).
        labels: The cell of every channel; cells are numbered from 0.

    Returns:
        Integers of shape (order, cells), or None if an element tears a cell apart.
    """
    cells = np.zeros((len(permutations), int(labels.max()) + 1), int)
    for row, permutation in zip(cells, permutations, strict=True):
        row[labels] = labels[permutation]
        if (row[labels] != labels[permutation]).any():
            return None
    return cells
