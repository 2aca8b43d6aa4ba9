"""Kernels that are stored with their channel axes exchanged, as transposed convolutions store them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels._base import KernelMap, SpatialMap
from tf_symconv.kernels._mix import Symmetry, get, serialize


@final
@dataclasses.dataclass(frozen=True)
class SwapChannels(KernelMap):
    """Another map, for kernels of shape ``(*spatial, output channels, input channels)``.

    The latent is the other map's.

    Args:
        inner: The map, or what :func:`~tf_symconv.kernels.get` takes.

    Example:
        >>> SwapChannels("hv").latent_shape((3, 3, 16, 8))
        (2, 2, 8, 16)
    """

    inner: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "inner", get(self.inner))

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        return self.inner.latent_shape(_swap_shape(kernel_shape))

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        return _swap(self.inner.expand(latent, _swap_shape(kernel_shape)))

    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        return self.inner.select(_swap(kernel))

    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        return self.inner.project(_swap(kernel))

    def per_weight(self, kernel_shape: Sequence[int], rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return self.inner.per_weight(_swap_shape(kernel_shape), rule)

    def get_config(self) -> dict[str, Any]:
        return {"inner": serialize(self.inner)}


def swap_channels(symmetry: Symmetry) -> KernelMap:
    """Return the map for kernels whose channel axes are exchanged.

    A map that treats all pairs of channels alike is its own; any other is wrapped in :class:`SwapChannels`.
    """
    kernel_map = get(symmetry)
    return kernel_map if isinstance(kernel_map, SpatialMap) else SwapChannels(kernel_map)


def _swap_shape(shape: Sequence[int]) -> tuple[int, ...]:
    *spatial, first, second = shape
    return (*spatial, second, first)


def _swap(kernel: tf.Tensor) -> tf.Tensor:
    kernel = tf.convert_to_tensor(kernel)
    rank = kernel.shape.rank
    return tf.transpose(kernel, (*range(rank - 2), rank - 1, rank - 2))
