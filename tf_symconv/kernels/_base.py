"""What a kernel map is, and the maps that treat every pair of channels alike."""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels._ties import Pairs, Ties, pick, ties_of

KernelMapT = TypeVar("KernelMapT", bound="KernelMap")


class KernelMap(abc.ABC):
    """An immutable, stateless, linear rule from the free weights (latent) to a full kernel.

    Kernels have the axis order of Keras: spatial axes, input channels, output channels. Subclasses are frozen
    dataclasses, so maps are hashable, comparable, and rebuilt by ``from_config(get_config())``.

    The laws that every map obeys: ``project(expand(z)) == z``; ``expand . project`` is idempotent and self-adjoint (the
    orthogonal projection onto the structured kernels); ``select(expand(z)) == z``; and the number of latent weights is
    the rank of ``expand``.
    """

    @abc.abstractmethod
    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the latent of a kernel.

        Args:
            kernel_shape: ``(*spatial, input channels, output channels)``, all known.

        Raises:
            ValueError: If no kernel of this shape can have the structure.
        """

    @abc.abstractmethod
    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        """Return the kernel of shape ``kernel_shape`` that the ``latent`` stands for."""

    @abc.abstractmethod
    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        """Return the latent made of one representative entry of ``kernel`` for each free weight.

        Entries keep their variance, so an initialiser made for the full kernel stays what it is.
        """

    @abc.abstractmethod
    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        """Return the latent whose expansion is nearest to ``kernel`` (least squares)."""

    def per_weight(self, kernel_shape: Sequence[int], rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Work out one number for every free weight from the cells that it fills.

        The default holds for maps that tie no two cells of one filter.

        Args:
            kernel_shape: The shape of the full kernel.
            rule: Takes the footprints of weights, floats of shape ``(*spatial, weights)``: what one unit of a weight
                puts into each cell of one filter, for one input channel. Returns floats of shape ``(weights,)``.

        Returns:
            Floats that broadcast to the latent.
        """
        return rule(np.ones((1,) * (len(kernel_shape) - 1)))

    def multiplicity(self, kernel_shape: Sequence[int]) -> np.ndarray:
        """Return how many cells of one filter each free weight fills: numbers that broadcast to the latent."""
        return self.per_weight(
            kernel_shape, lambda footprints: np.count_nonzero(footprints, axis=tuple(range(footprints.ndim - 1)))
        )

    def ties(self, spatial: Sequence[int]) -> tuple[Ties, ...]:
        """Return, for each spatial axis, which slices of every kernel of this structure are copies of each other.

        The default knows of none.
        """
        return tuple(Ties.none(size) for size in spatial)

    def point_symmetric(self, spatial: Sequence[int]) -> bool:
        """Return whether every 2-D kernel equals its half turn though no axis of it is mirrored."""
        return False

    def pairs(self, kernel_shape: Sequence[int], axis: int) -> Pairs | None:
        """Return how reversing a spatial axis pairs the filters; None where it does not."""
        return None

    def cells(self, latent: tf.Tensor, kernel_shape: Sequence[int], places: Sequence[Sequence[int]]) -> tf.Tensor:
        """Return the part of the kernel at some places along each spatial axis."""
        kernel = self.expand(latent, kernel_shape)
        for axis, place in enumerate(places):
            if len(place) < kernel_shape[axis]:
                kernel = tf.gather(kernel, np.asarray(place), axis=axis)
        return kernel

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # pyright: ignore

    @classmethod
    def from_config(cls: type[KernelMapT], config: dict[str, Any]) -> KernelMapT:
        """Return the map that :meth:`get_config` describes."""
        return cls(**config)


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A sparse linear map from free weights to cells: cell ``c`` is ``sum_t weight[t, c] * free[index[t, c]]``.

    Args:
        index: Integers of shape ``(terms, cells)``.
        weight: Floats of shape ``(terms, cells)``; 0 makes a structural zero.
        size: The number of free weights.
    """

    index: np.ndarray
    weight: np.ndarray
    size: int

    @classmethod
    def of_labels(cls, labels: np.ndarray, weight: np.ndarray | None = None) -> "Table":
        """Return the table that ties the cells of equal label (0, 1, ...), times an optional weight per cell."""
        index = labels.reshape(1, -1)
        ones = np.ones(index.shape)
        return cls(index, ones if weight is None else weight.reshape(1, -1), int(labels.max()) + 1)

    def cells(self, free: tf.Tensor, chosen: np.ndarray) -> tf.Tensor:
        """Return some cells, shape ``(chosen, channels)``, for free weights of shape ``(size, channels)``.

        The gradient is one product, which takes less time than those of gathers and additions.
        """

        @tf.custom_gradient
        def run(free: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            made: Any = None
            for index, weight in zip(self.index[:, chosen], self.weight[:, chosen], strict=True):
                term = free if np.array_equal(index, np.arange(self.size)) else tf.gather(free, index)
                if np.any(weight != 1.0):
                    term *= tf.constant(weight[:, None], free.dtype)
                made = term if made is None else made + term
            matrix = self.matrix[chosen]
            return made, lambda dy: tf.matmul(tf.constant(matrix, dy.dtype), dy, transpose_a=True)

        return cast(Any, run)(free)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """The map as floats of shape ``(cells, size)``."""
        matrix = np.zeros((self.index.shape[1], self.size))
        for index, weight in zip(self.index, self.weight, strict=True):
            matrix[np.arange(len(index)), index] += weight
        return matrix

    @functools.cached_property
    def pseudo_inverse(self) -> np.ndarray:
        """The least-squares inverse, floats of shape ``(size, cells)``."""
        return np.linalg.pinv(self.matrix)

    @functools.cached_property
    def representatives(self) -> np.ndarray:
        """For each free weight the first cell that equals it, integers of shape ``(size,)``."""
        alone = (self.matrix == 1.0) & (np.count_nonzero(self.matrix, axis=1, keepdims=True) == 1)
        return alone.argmax(axis=0)


class SpatialMap(KernelMap):
    """A kernel map that does the same to every pair of input and output channel, given by a :class:`Table`.

    The latent has the shape ``(*latent_spatial(spatial), input channels, output channels)``.
    """

    @abc.abstractmethod
    def _table(self, spatial: tuple[int, ...]) -> Table:
        """Work out what :meth:`table` returns."""

    @final
    def table(self, spatial: tuple[int, ...]) -> Table:
        """Return the map from the free weights (flattened) to the cells of a kernel of this spatial shape."""
        return _cached_table(self, spatial)

    def latent_spatial(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Return the leading axes of the latent; their product is the number of free weights per channel pair."""
        return (self.table(spatial).size,)

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        spatial, channels = split_shape(kernel_shape)
        return self.latent_spatial(spatial) + channels

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        return self.cells(latent, kernel_shape, [range(size) for size in split_shape(kernel_shape)[0]])

    def ties(self, spatial: Sequence[int]) -> tuple[Ties, ...]:
        return _cached_ties(self, tuple(spatial))

    def point_symmetric(self, spatial: Sequence[int]) -> bool:
        cells = self.table(tuple(spatial)).matrix
        turned = len(spatial) == 2 and np.array_equal(cells, cells[::-1])
        return turned and all(ties.is_free for ties in self.ties(spatial))

    def cells(self, latent: tf.Tensor, kernel_shape: Sequence[int], places: Sequence[Sequence[int]]) -> tf.Tensor:
        spatial, channels = split_shape(kernel_shape)
        table = self.table(spatial)
        flat = tf.reshape(latent, (table.size, -1))
        chosen = np.arange(math.prod(spatial)).reshape(spatial)[pick(places)].ravel()
        return tf.reshape(table.cells(flat, chosen), (*map(len, places), *channels))

    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        table, flat, shape = self._flatten(kernel)
        return tf.reshape(tf.gather(flat, table.representatives), shape)

    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        table, flat, shape = self._flatten(kernel)
        return tf.reshape(tf.matmul(tf.constant(table.pseudo_inverse, flat.dtype), flat), shape)

    def per_weight(self, kernel_shape: Sequence[int], rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        spatial, _ = split_shape(kernel_shape)
        numbers = rule(self.table(spatial).matrix.reshape(*spatial, -1))
        return numbers.reshape(*self.latent_spatial(spatial), 1, 1)

    def _flatten(self, kernel: tf.Tensor) -> tuple[Table, tf.Tensor, tuple[int, ...]]:
        kernel = tf.convert_to_tensor(kernel)
        shape = static_shape(kernel)
        table = self.table(split_shape(shape)[0])
        return table, tf.reshape(kernel, (table.index.shape[1], -1)), self.latent_shape(shape)


@functools.lru_cache(maxsize=512)
def _cached_table(kernel_map: SpatialMap, spatial: tuple[int, ...]) -> Table:
    return kernel_map._table(spatial)


@functools.lru_cache(maxsize=512)
def _cached_ties(kernel_map: SpatialMap, spatial: tuple[int, ...]) -> tuple[Ties, ...]:
    return ties_of(kernel_map.table(spatial).matrix.reshape(*spatial, -1), len(spatial))


def split_shape(kernel_shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split a kernel shape into its spatial sizes and its two channel counts.

    Raises:
        ValueError: If the rank is not 3 to 5, or a size is unknown or below 1.
    """
    shape = tuple(kernel_shape)
    if not 3 <= len(shape) <= 5 or any(not isinstance(n, int | np.integer) or n < 1 for n in shape):
        raise ValueError(
            "A kernel shape is 1 to 3 spatial sizes, input channels and output channels, all positive integers. "
            f"Received: kernel_shape={shape}"
        )
    return tuple(int(n) for n in shape[:-2]), tuple(int(n) for n in shape[-2:])


def size_of(shape: Sequence[int]) -> int:
    """Return the number of entries of an array of this shape."""
    return math.prod(shape)


def static_shape(kernel: tf.Tensor) -> tuple[int, ...]:
    """Return the shape of a kernel, whose sizes must all be known."""
    return tuple(-1 if size is None else int(size) for size in kernel.shape)
