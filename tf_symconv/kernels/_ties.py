"""Which slices of a kernel along an axis are copies of each other."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import final

import numpy as np


@final
@dataclasses.dataclass(frozen=True)
class Ties:
    """One axis of a kernel: slice ``i`` is ``signs[i]`` times slice ``columns[i]`` of a smaller kernel.

    This is what folding needs to know of a structure: the inputs that meet tied slices can be added before they are
    multiplied.

    Args:
        columns: For each slice of the kernel the slice of the smaller kernel.
        signs: For each slice 1, -1, or 0 where it is zero.

    Example:
        >>> Ties((0, 1, 0), (1, 1, -1)).matrix.tolist()
        [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    """

    columns: tuple[int, ...]
    signs: tuple[int, ...]

    @classmethod
    def mirrored(cls, size: int, sign: int = 1) -> "Ties":
        """Return the ties of an axis that equals its own reflection (``sign=1``) or the negative of it (-1)."""
        half = (size + (sign > 0)) // 2
        cells = np.arange(size)
        first = cells < half
        columns = np.where(first, cells, np.minimum(size - 1 - cells, max(half - 1, 0)))
        signs = np.where(first, 1, np.where((cells == size - 1 - cells) & (sign < 0), 0, sign))
        return cls(tuple(columns.tolist()), tuple(signs.tolist()))

    @classmethod
    def none(cls, size: int) -> "Ties":
        """Return the ties of an axis whose slices are all free."""
        return cls(tuple(range(size)), (1,) * size)

    @classmethod
    def found_in(cls, slices: np.ndarray) -> "Ties":
        """Return the ties between the entries of an array along its first axis."""
        columns: list[int] = []
        signs: list[int] = []
        kept: list[np.ndarray] = []
        for one in slices:
            if not one.any():
                columns.append(0)
                signs.append(0)
                continue
            for column, known in enumerate(kept):
                sign = 1 if np.array_equal(one, known) else -1 if np.array_equal(one, -known) else 0
                if sign:
                    columns.append(column)
                    signs.append(sign)
                    break
            else:
                columns.append(len(kept))
                signs.append(1)
                kept.append(one)
        return cls(tuple(columns), tuple(signs))

    @property
    def size(self) -> int:
        """The number of slices of the kernel."""
        return len(self.columns)

    @functools.cached_property
    def reduced(self) -> int:
        """The number of slices of the smaller kernel."""
        return max(self.columns) + 1

    @property
    def is_free(self) -> bool:
        """Whether no slice is tied to another or zero."""
        return self.reduced == self.size

    @property
    def repeats(self) -> bool:
        """Whether the axis holds the smaller kernel several times, as a whole."""
        whole = tuple(range(self.reduced)) * (self.size // self.reduced)
        return set(self.signs) == {1} and self.columns == whole

    @functools.cached_property
    def representatives(self) -> tuple[int, ...]:
        """For each slice of the smaller kernel the first slice of the kernel that equals it."""
        places = {}
        for place, (column, sign) in enumerate(zip(self.columns, self.signs, strict=True)):
            if sign == 1:
                places.setdefault(column, place)
        return tuple(places[column] for column in range(self.reduced))

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """The map from the smaller kernel's slices to the kernel's, floats of shape ``(size, reduced)``."""
        matrix = np.zeros((self.size, self.reduced), np.float32)
        matrix[np.arange(self.size), self.columns] = self.signs
        return matrix


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Filters in pairs of reflections along one axis.

    The law: ``kernel[..., inputs[i], filters[f]]`` is ``kernel[..., i, f]`` reversed along the axis.

    Args:
        filters: For each filter the other one of its pair, integers of shape ``(filters,)``: an involution without
            fixed points.
        inputs: The same for the input channels; None where the reflection leaves them as they are.
    """

    filters: np.ndarray
    inputs: np.ndarray | None = None

    @classmethod
    def of_images(cls, filters: np.ndarray, inputs: np.ndarray | None = None) -> "Pairs | None":
        """Return the pairs that such images make; None where they make none. An image of -1 is none."""
        images = [filters] if inputs is None else [filters, inputs]
        return cls(filters, inputs) if all(_pairs_up(one) for one in images) else None


def _pairs_up(images: np.ndarray) -> bool:
    places = np.arange(len(images))
    return len(images) > 0 and bool(np.all((images >= 0) & (images != places) & (images[images] == places)))


def ties_of(cells: np.ndarray, rank: int) -> tuple[Ties, ...]:
    """Return the ties of each of the first ``rank`` axes of an array that tells kernels of a structure apart."""
    return tuple(Ties.found_in(np.moveaxis(cells, axis, 0)) for axis in range(rank))


def pick(places: Sequence[Sequence[int]]) -> tuple[np.ndarray, ...]:
    """Return the NumPy index of the cells at ``places`` along each axis."""
    return np.ix_(*[np.asarray(place, int) for place in places])
