"""Banks of filters that come in orbits: a filter, and its flips as further filters."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from tf_symconv import groups
from tf_symconv.kernels._base import KernelMap, split_shape, static_shape
from tf_symconv.kernels._counts import Count, check_count, filters_of, percentage
from tf_symconv.kernels._ties import Pairs

_BLOCKS = [name for name in groups.names(3) if not set(name) - set("hvz")]


@final
@dataclasses.dataclass(frozen=True)
class FlipBank(KernelMap):
    """Filters in orbits under flips: pairs, quadruples and octuples that share their weights.

    Filters are ordered by block: h, v, z, hv, hz, vz, hvz, free filters last. A block lists all its unique filters,
    then all their images under one flip, then under the next: identity, h, v, z, hv, hz, vz, hvz (those of the block).
    The latent holds the unique filters and the free ones, in that order: ``(*spatial, input channels, unique)``.

    Args:
        symmetry: ``{reflections: count}`` or pairs of these. Reflections are ``"h"``, ``"v"``, ``"z"`` (orbits of 2),
            ``"hv"``, ``"hz"``, ``"vz"`` (of 4) or ``"hvz"`` (of 8). A count is a number of output filters, whole
            orbits, or a percentage of them such as ``"50%"``, rounded down to whole orbits.

    Raises:
        ValueError: If the reflections are not known or named twice, a count is not whole orbits, or percentages exceed
            100 in all; at use, if the kernel has no such axis, or the counts exceed the output filters.

    Example:
        >>> bank = FlipBank({"hv": 8, "h": 2})
        >>> bank.latent_shape((3, 3, 16, 12))
        (3, 3, 16, 5)
        >>> bank.orbits(12).tolist()
        [0, 0, 1, 2, 1, 2, 1, 2, 1, 2, 3, 4]
    """

    symmetry: Any

    def __post_init__(self) -> None:
        pairs = list(self.symmetry.items()) if isinstance(self.symmetry, Mapping) else self.symmetry
        if (
            not isinstance(pairs, list | tuple)
            or not pairs
            or any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs)
        ):
            raise ValueError(
                "symmetry must be a dict {reflections: count} with at least one entry. "
                f"Received: symmetry={self.symmetry!r}"
            )
        counts: dict[str, Count] = {}
        for key, count in pairs:
            name = _block_name(key)
            if name in counts:
                raise ValueError(f"symmetry names the block {name!r} twice. Received: symmetry={self.symmetry!r}")
            counts[name] = _whole_orbits(name, count)
        if sum(map(percentage, counts.values())) > 100:
            raise ValueError(f"Percentages must not exceed 100 in all. Received: symmetry={self.symmetry!r}")
        object.__setattr__(self, "symmetry", tuple((name, counts[name]) for name in _BLOCKS if name in counts))

    def counts(self, filters: int) -> dict[str, int]:
        """Return how many of ``filters`` output filters each block has; ``"free"`` is the rest.

        Raises:
            ValueError: If the blocks claim more than there are.
        """
        counts = {}
        for name, count in self.symmetry:
            size = filters_of(count, filters)
            counts[name] = size - size % 2 ** len(name)
        claimed = sum(counts.values())
        if claimed > filters:
            raise ValueError(
                f"The counts of a flip bank must not exceed the number of filters, {filters}. "
                f"Received: symmetry={dict(self.symmetry)}, which is {claimed} filters"
            )
        return {**counts, "free": filters - claimed}

    def unique_filters(self, filters: int) -> int:
        """Return the number of filters with weights of their own."""
        return int(self.orbits(filters).max()) + 1

    def orbits(self, filters: int) -> np.ndarray:
        """Return for each output filter the place of its unique filter in the latent: integers of shape ``(filters,)``.

        All filters of an orbit share this place.
        """
        orbits, start = [], 0
        for name, count in self.counts(filters).items():
            images = 1 if name == "free" else 2 ** len(name)
            unique = count // images
            orbits.append(np.tile(np.arange(start, start + unique), images))
            start += unique
        return np.concatenate(orbits)

    def images(self, flip: str, filters: int, rank: int) -> np.ndarray:
        """Return where flipping finds each filter again, integers of shape ``(filters,)``.

        The law of the bank: with ``images = bank.images(flip, filters, rank)``, the flip of filter ``i`` is filter
        ``images[i]``, for every ``i`` whose entry is not -1. It is -1 in the blocks that the flip does not belong to,
        and for free filters.

        Args:
            flip: The reflections to apply at once, such as ``"h"`` or ``"hv"``.
            filters: The number of output filters.
            rank: The number of spatial axes.
        """
        axes = {groups.axis_of(letter, rank) for letter in flip}
        element = groups.Element(tuple(range(rank)), tuple(axis in axes for axis in range(rank)))
        places, start = [], 0
        for name, count in self.counts(filters).items():
            group = None if name == "free" else groups.get(name, rank)
            if group is None or element not in group.elements:
                places.append(np.full(count, -1))
            else:
                unique = count // group.order
                images = group.multiplication_table[group.elements.index(element)]
                places.append((start + images[:, None] * unique + np.arange(unique)).ravel())
            start += count
        return np.concatenate(places)

    def pairs(self, kernel_shape: Sequence[int], axis: int) -> Pairs | None:
        spatial, (_, filters) = split_shape(kernel_shape)
        return Pairs.of_images(self.images("hvz"[len(spatial) - 1 - axis], filters, len(spatial)))

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        spatial, (inputs, filters) = split_shape(kernel_shape)
        for name, _ in self.symmetry:
            groups.get(name, len(spatial))
        return (*spatial, inputs, self.unique_filters(filters))

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        blocks = list(self._blocks(kernel_shape))
        uniques = tf.split(latent, [count // len(flips) for flips, count in blocks], axis=-1)
        return tf.concat(
            [_flip(unique, axes) for unique, (flips, _) in zip(uniques, blocks, strict=True) for axes in flips], axis=-1
        )

    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        return tf.concat([images[0] for _, images in self._split(kernel)], axis=-1)

    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        means = [
            tf.add_n([_flip(image, axes) for image, axes in zip(images, flips, strict=True)]) / len(flips)
            for flips, images in self._split(kernel)
        ]
        return tf.concat(means, axis=-1)

    def _blocks(self, kernel_shape: Sequence[int]) -> Iterator[tuple[list[list[int]], int]]:
        """Yield the flips (as reversed axes, the identity first) and the filters of each block that is not empty."""
        spatial, (_, filters) = split_shape(kernel_shape)
        for name, count in self.counts(filters).items():
            if name == "free":
                flips = [[]]
            else:
                elements = groups.get(name, len(spatial)).elements
                flips = [[axis for axis, flip in enumerate(element.reversal) if flip] for element in elements]
            if count:
                yield flips, count

    def _split(self, kernel: tf.Tensor) -> Iterator[tuple[list[list[int]], list[tf.Tensor]]]:
        """Yield the flips of each block and, for each flip, the filters that are images under it."""
        kernel = tf.convert_to_tensor(kernel)
        blocks = list(self._blocks(static_shape(kernel)))
        pieces = tf.split(kernel, [count for _, count in blocks], axis=-1)
        for (flips, _), piece in zip(blocks, pieces, strict=True):
            yield flips, tf.split(piece, len(flips), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"symmetry": [list(pair) for pair in self.symmetry]}


def _flip(kernel: tf.Tensor, axes: list[int]) -> tf.Tensor:
    return tf.reverse(kernel, axes) if axes else kernel


def _block_name(key: Any) -> str:
    name = "".join(sorted(key)) if isinstance(key, str) else ""
    if name not in _BLOCKS:
        raise ValueError(f"The blocks of a flip bank are {', '.join(_BLOCKS)}. Received: {key!r}")
    return name


def _whole_orbits(name: str, count: Any) -> Count:
    size = 2 ** len(name)
    whole = check_count(count)
    if isinstance(whole, int) and whole % size:
        below = whole - whole % size
        raise ValueError(
            f"The block {name!r} has orbits of {size} filters, so its count must be a multiple of {size}: the nearest "
            f"are {below} and {below + size}. Received: {whole}"
        )
    return whole
