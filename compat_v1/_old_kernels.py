"""Kernel maps whose latents have the shapes of variables of the TF1 era."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import GroupRegular, KernelMap, repeat_pattern, static_shape

__all__ = ["PlanesFirst", "Spread"]


class _Rearranged(KernelMap):
    """A kernel map whose latent holds that of another one in another order."""

    @property
    @abc.abstractmethod
    def plain(self) -> KernelMap:
        """The other map."""

    @abc.abstractmethod
    def _to_plain(self, latent: tf.Tensor) -> tf.Tensor: ...

    @abc.abstractmethod
    def _from_plain(self, latent: tf.Tensor) -> tf.Tensor: ...

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        return self.plain.expand(self._to_plain(latent), kernel_shape)

    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        return self._from_plain(self.plain.select(kernel))

    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        return self._from_plain(self.plain.project(kernel))


@final
@dataclasses.dataclass(frozen=True)
class PlanesFirst(_Rearranged):
    """Kernels from maps on the group to maps on the group, stored with the planes before the channels.

    The latent has shape ``(n, n, order * input channels, output channels)``, group element major, as the filters of
    :func:`tf_symconv.compat_v1.gconv2d`; kernels have the group channel major, as everywhere else.

    Args:
        group: ``"c4"`` or ``"d4"``.
    """

    group: str

    @property
    def plain(self) -> GroupRegular:
        """The map with the channels before the planes."""
        return GroupRegular(self.group)

    @property
    def inputs_per_channel(self) -> int:
        """How many input channels make one group channel."""
        return self.plain.inputs_per_channel

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        return self.plain.latent_shape(kernel_shape)

    def _to_plain(self, latent: tf.Tensor) -> tf.Tensor:
        return self._exchanged(latent, channels_first=False)

    def _from_plain(self, latent: tf.Tensor) -> tf.Tensor:
        return self._exchanged(latent, channels_first=True)

    def _exchanged(self, latent: tf.Tensor, channels_first: bool) -> tf.Tensor:
        height, width, inputs, outputs = static_shape(latent)
        order = self.inputs_per_channel
        parts = [inputs // order, order] if channels_first else [order, inputs // order]
        split = tf.reshape(latent, [height, width, *parts, outputs])
        return tf.reshape(tf.transpose(split, [0, 1, 3, 2, 4]), [height, width, inputs, outputs])


@final
@dataclasses.dataclass(frozen=True)
class Spread(_Rearranged):
    """Kernels of 5x5 cells that 3x3 weights fill as ``AABCC/AABCC/DDEFF/GGHII/GGHII``, stored as 3x3 kernels."""

    @property
    def plain(self) -> KernelMap:
        """The map from a list of nine weights."""
        return repeat_pattern((2, 1, 2), (2, 1, 2))

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        return (3, 3, *self.plain.latent_shape(kernel_shape)[1:])

    def per_weight(self, kernel_shape: Sequence[int], rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Work out one number for every free weight from the cells that it fills."""
        return self.plain.per_weight(kernel_shape, rule).reshape(3, 3, 1, 1)

    def _to_plain(self, latent: tf.Tensor) -> tf.Tensor:
        return tf.reshape(latent, [9, *static_shape(latent)[2:]])

    def _from_plain(self, latent: tf.Tensor) -> tf.Tensor:
        return tf.reshape(latent, [3, 3, *static_shape(latent)[1:]])
