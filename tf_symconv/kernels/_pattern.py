"""Kernels whose cells are tied by a drawn pattern, and kernels that repeat a small one."""

import dataclasses
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels._base import SpatialMap, Table, split_shape

ZERO = "."


@final
@dataclasses.dataclass(frozen=True)
class Pattern(SpatialMap):
    """Kernels whose cells are tied where a pattern has the same label.

    The latent has one weight per distinct label, in the order in which the labels appear, per channel pair.

    Args:
        labels: Text with one letter per cell and rows parted by ``/`` or newlines (``"AAB/CCD"``), a list of such
            rows, or a 2-D array of labels. The label ``"."`` is a structural zero. A pattern of one row fits a 1-D
            kernel too.

    Raises:
        ValueError: If the rows differ in length, there is no cell, or all cells are zero; at use, if the kernel's
            spatial shape is not the pattern's.

    Example:
        >>> Pattern("AABCC/AABCC/DDEFF/GGHII/GGHII").latent_shape((5, 5, 8, 16))
        (9, 8, 16)
    """

    labels: Any

    def __post_init__(self) -> None:
        rows = _rows(self.labels)
        lengths = sorted({len(row) for row in rows})
        if not rows or lengths == [0]:
            raise ValueError(f"A pattern needs at least one cell. Received: labels={self.labels!r}")
        if len(lengths) > 1:
            raise ValueError(
                f"All rows of a pattern need the same length; these have {', '.join(map(str, lengths))}. "
                f"Received: labels={self.labels!r}"
            )
        if all(label == ZERO for row in rows for label in row):
            raise ValueError(
                f"A pattern needs a label other than {ZERO!r} (a structural zero). Received: labels={self.labels!r}"
            )
        object.__setattr__(self, "labels", rows)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and columns."""
        return len(self.labels), len(self.labels[0])

    def _table(self, spatial: tuple[int, ...]) -> Table:
        if spatial not in (self.shape, self.shape[1:] if self.shape[0] == 1 else None):
            raise ValueError(f"The pattern is {self.shape[0]}x{self.shape[1]}. Received: spatial shape {spatial}")
        cells = [label for row in self.labels for label in row]
        order = list(dict.fromkeys(label for label in cells if label != ZERO))
        index = np.array([0 if label == ZERO else order.index(label) for label in cells])
        return Table.of_labels(index, np.array([float(label != ZERO) for label in cells]))


def _rows(labels: Any) -> tuple[tuple[str | int, ...], ...]:
    if isinstance(labels, str):
        labels = [row for row in labels.replace("/", "\n").split("\n") if row.strip()]
    if not isinstance(labels, Sequence | np.ndarray):
        raise TypeError(f"A pattern must be text, rows of text or a 2-D array. Received: labels={labels!r}")
    rows = []
    for row in labels:
        if isinstance(row, str):
            row = row.strip()
        elif isinstance(row, np.ndarray):
            row = row.tolist()
        if not isinstance(row, Sequence) or not all(isinstance(label, str | int) for label in row):
            raise TypeError(f"Every row of a pattern must hold letters or integers. Received: labels={labels!r}")
        if " " in row:
            raise ValueError(
                f"The rows of a pattern are parted by '/' or newlines, not by spaces. Received: labels={labels!r}"
            )
        rows.append(tuple(row))
    return tuple(rows)


def repeat_pattern(rows: Sequence[int], columns: Sequence[int]) -> Pattern:
    """Return the pattern of a small kernel whose rows and columns are each repeated.

    Args:
        rows: How often each row of the small kernel stands in the pattern.
        columns: The same for its columns.

    Raises:
        ValueError: If a count is not a positive integer.

    Example:
        >>> repeat_pattern((2, 1, 2), (2, 1, 2)).shape
        (5, 5)
    """
    for name, counts in (("rows", rows), ("columns", columns)):
        if (
            not isinstance(counts, Sequence | np.ndarray)
            or len(counts) == 0
            or any(not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1 for n in counts)
        ):
            raise ValueError(f"{name} must be positive integers. Received: {name}={counts!r}")
    small = np.arange(len(rows) * len(columns)).reshape(len(rows), len(columns))
    return Pattern(np.repeat(np.repeat(small, rows, axis=0), columns, axis=1))


@final
@dataclasses.dataclass(frozen=True)
class Tile(SpatialMap):
    """Kernels that repeat a small kernel as a whole, as ``np.tile`` does.

    The latent is the small kernel: ``(*spatial / multiples, input channels, output channels)``.

    Args:
        multiples: How often the small kernel stands along each spatial axis; one integer serves all axes.

    Raises:
        ValueError: If a multiple is not a positive integer; at use, if the kernel's size is not a multiple of it, or
            the number of axes differs.

    Example:
        >>> Tile((5, 1)).latent_shape((5, 5, 8, 16))
        (1, 5, 8, 16)
    """

    multiples: int | tuple[int, ...]

    def __post_init__(self) -> None:
        given: Any = self.multiples
        whole = isinstance(given, int | np.integer)
        each = (given,) if whole else given
        if (
            not isinstance(each, tuple | list)
            or not 1 <= len(each) <= 3
            or any(not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1 for n in each)
        ):
            raise ValueError(
                "multiples must be a positive integer, or one for each of 1 to 3 spatial axes. "
                f"Received: multiples={self.multiples!r}"
            )
        object.__setattr__(self, "multiples", int(each[0]) if whole else tuple(int(n) for n in each))

    def each(self, rank: int) -> tuple[int, ...]:
        """Return the multiple of each of ``rank`` spatial axes."""
        each = (self.multiples,) * rank if isinstance(self.multiples, int) else self.multiples
        if len(each) != rank:
            raise ValueError(
                f"multiples must have one entry for each of the {rank} spatial axes. Received: multiples={each}"
            )
        return each

    def latent_spatial(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        multiples = self.each(len(spatial))
        if any(size % multiple for size, multiple in zip(spatial, multiples, strict=True)):
            raise ValueError(
                f"Every size of a tiled kernel must be a multiple of its entry in multiples={multiples}. "
                f"Received: spatial shape {spatial}"
            )
        return tuple(size // multiple for size, multiple in zip(spatial, multiples, strict=True))

    def _table(self, spatial: tuple[int, ...]) -> Table:
        small = self.latent_spatial(spatial)
        return Table.of_labels(np.tile(np.arange(int(np.prod(small))).reshape(small), self.each(len(spatial))))

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        spatial, _ = split_shape(kernel_shape)
        return tf.tile(latent, (*self.each(len(spatial)), 1, 1))
