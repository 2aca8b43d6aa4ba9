"""How an array of a checkpoint becomes the value of a variable that may have another shape or order."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv import kernels
from tf_symconv.compat_v1 import _spectrum
from tf_symconv.compat_v1._targets import Target

__all__ = ["Fit", "fit"]

_EXACT = 1e-6


@dataclasses.dataclass(frozen=True)
class Fit:
    """A value for a variable, and how it came about.

    Args:
        value: Array of the variable's shape and type.
        action: ``"copied"``; ``"reshaped"`` if only the shape differs; ``"reordered"`` for filters on a group, whose
            input channels GrouPy keeps in another order; ``"transformed"`` for the spectrum of a filter; ``"selected"``
            if a full kernel has the structure of the layer; ``"projected"`` if it has not and the nearest one that has
            it is taken.
        residual: Norm of what the projection lost, relative to that of the kernel; 0 otherwise.
        move: What was done, where each number keeps its meaning, so that optimiser slots fit in the same way.
    """

    value: np.ndarray
    action: str
    residual: float = 0.0
    move: Callable[[np.ndarray], np.ndarray] | None = None


def fit(array: np.ndarray, target: Target, name: str) -> Fit | None:
    """Return the value for the variable, None if the shapes conflict.

    Args:
        array: The array of the checkpoint.
        target: The variable.
        name: Name of the array; a spectrum is known by it.
    """
    kernel_map = getattr(target.layer, "kernel_map", None)
    if isinstance(kernel_map, kernels.Spectral) and name.rpartition("/")[2] == "spectrum":
        return _fit_spectrum(array, target)
    if isinstance(kernel_map, kernels.GroupRegular) and array.shape == target.shape:
        return _moved(array, target, "reordered", _group_channels_first(target))
    if array.shape == target.shape:
        return _moved(array, target, "copied", lambda cells: cells)
    if kernel_map is not None and array.shape == tuple(target.layer.kernel_shape):
        return _fit_kernel(array, target)
    if _without_ones(array.shape) == _without_ones(target.shape) or (
        # The cells of the small kernel that a pattern spreads, in the order in which its labels appear.
        isinstance(kernel_map, kernels.Pattern)
        and array.ndim == 4
        and (array.shape[0] * array.shape[1], *array.shape[2:]) == target.shape
    ):
        return _moved(array, target, "reshaped", lambda cells: cells.reshape(target.shape))
    return None


def _moved(array: np.ndarray, target: Target, action: str, move: Callable[[np.ndarray], np.ndarray]) -> Fit:
    return Fit(move(array).astype(_dtype(target)), action, move=move)


def _group_channels_first(target: Target) -> Callable[[np.ndarray], np.ndarray]:
    """Return the change from GrouPy's input channels, (element, group channel), to (group channel, element)."""
    order = target.layer.kernel_shape[-1] // target.shape[-1]

    def move(cells: np.ndarray) -> np.ndarray:
        *spatial, channels, filters = cells.shape
        parted = cells.reshape(*spatial, order, channels // order, filters)
        return np.swapaxes(parted, -3, -2).reshape(cells.shape)

    return move


def _fit_spectrum(packed: np.ndarray, target: Target) -> Fit | None:
    """Return the latent of a filter whose packed spectrum has the axes channels, filters, height, width."""
    shape = tuple(target.layer.kernel_shape)
    if packed.ndim != 4 or (*packed.shape[2:], *packed.shape[:2]) != shape:
        return None
    with tf.init_scope():
        spectrum = _spectrum.unpack(tf.constant(packed, tf.float64))
        filters = tf.signal.irfft2d(_spectrum.half(spectrum), shape[:2])
        latent = target.layer.kernel_map.project(tf.transpose(filters, [2, 3, 0, 1])).numpy()
    return Fit(latent.astype(_dtype(target)), "transformed")


def _fit_kernel(kernel: np.ndarray, target: Target) -> Fit:
    """Return the latent of a full kernel; in double precision, so that the residual is that of the structure."""
    kernel_map = target.layer.kernel_map
    with tf.init_scope():
        full = tf.constant(kernel, tf.float64)
        projected = kernel_map.project(full)
        lost = tf.norm(full - kernel_map.expand(projected, kernel.shape)).numpy()
        residual = float(lost / max(tf.norm(full).numpy(), np.finfo(float).tiny))
        if residual <= _EXACT:
            return Fit(kernel_map.select(full).numpy().astype(_dtype(target)), "selected")
        return Fit(projected.numpy().astype(_dtype(target)), "projected", residual)


def _dtype(target: Target) -> Any:
    return tf.as_dtype(target.variable.dtype).as_numpy_dtype


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
