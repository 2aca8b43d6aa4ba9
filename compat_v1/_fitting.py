"""How an array of a checkpoint becomes the value of a variable that may have another shape."""

import dataclasses

import numpy as np
import tensorflow as tf

from tf_symconv.compat_v1._targets import Target

__all__ = ["Fit", "fit"]

_EXACT = 1e-6


@dataclasses.dataclass(frozen=True)
class Fit:
    """A value for a variable, and how it came about.

    Args:
        value: Array of the variable's shape and type.
        action: ``"copied"``; ``"reshaped"`` if only axes of size one differ; ``"selected"`` if a full kernel has the
            structure of the layer; ``"projected"`` if it has not and the nearest one that has it is taken.
        residual: Norm of what the projection lost, relative to that of the kernel; 0 otherwise.
    """

    value: np.ndarray
    action: str
    residual: float = 0.0

    @property
    def keeps_cells(self) -> bool:
        """Whether each number keeps its meaning, so that optimiser slots fit in the same way."""
        return self.action in ("copied", "reshaped")


def fit(array: np.ndarray, target: Target) -> Fit | None:
    """Return the value for the variable, None if the shapes conflict."""
    dtype = tf.as_dtype(target.variable.dtype).as_numpy_dtype
    if array.shape == target.shape:
        return Fit(array.astype(dtype), "copied")
    if target.layer is not None and array.shape == tuple(target.layer.kernel_shape):
        return _fit_kernel(array, target)
    if _without_ones(array.shape) == _without_ones(target.shape):
        return Fit(array.reshape(target.shape).astype(dtype), "reshaped")
    return None


def _fit_kernel(kernel: np.ndarray, target: Target) -> Fit:
    """Return the latent of a full kernel; in double precision, so that the residual is that of the structure."""
    kernel_map, dtype = target.layer.kernel_map, tf.as_dtype(target.variable.dtype).as_numpy_dtype
    with tf.init_scope():
        full = tf.constant(kernel, tf.float64)
        projected = kernel_map.project(full)
        lost = tf.norm(full - kernel_map.expand(projected, kernel.shape)).numpy()
        residual = float(lost / max(tf.norm(full).numpy(), np.finfo(float).tiny))
        if residual <= _EXACT:
            return Fit(kernel_map.select(full).numpy().astype(dtype), "selected")
        return Fit(projected.numpy().astype(dtype), "projected", residual)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
