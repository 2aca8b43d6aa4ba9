"""Symmetry by degrees: a regulariser that pulls a plain kernel towards a symmetry, and a callback that pulls harder."""

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv import kernels


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SymmetryPenalty(keras.regularizers.Regularizer):
    """The squared distance of a kernel from the nearest kernel that has a symmetry, times a strength.

    ``strength * sum((kernel - expand(project(kernel))) ** 2)``. It is zero for kernels that have the symmetry, and its
    gradient, ``2 * strength * (kernel - expand(project(kernel)))``, leaves the symmetric part of a kernel alone.

    For the kernel of a plain convolution such as ``keras.layers.Conv2D``, in 1-D to 3-D, also depthwise. Transposed
    convolutions store their channels the other way round, which mixes alone notice: give these as
    ``kernels.swap_channels(mix)``. Once the distance is small, :func:`~tf_symconv.models.symmetrize` makes the symmetry
    exact.

    Args:
        symmetry: What :func:`tf_symconv.kernels.get` takes.
        strength: A finite number, not negative. It is kept in a variable, :attr:`strength`, that
            :class:`SymmetryAnnealing` changes while a model trains, compiled functions included.
        parity: The parity of mirror symmetries.

    Raises:
        ValueError: If there is no such symmetry, or the strength is out of its range; at use, if no kernel of this
            shape has the symmetry.

    Example:
        >>> import numpy as np
        >>> penalty = SymmetryPenalty("h", 0.5)
        >>> float(penalty(np.array([1.0, 0.0, 3.0], "float32").reshape(1, 3, 1, 1)))
        1.0
    """

    def __init__(
        self, symmetry: kernels.Symmetry = "hv", strength: float = 0.01, parity: str | Sequence[str] = "even"
    ) -> None:
        self.kernel_map = kernels.get(symmetry, parity)
        self.symmetry = symmetry if isinstance(symmetry, str) else self.kernel_map
        self.parity = parity if isinstance(parity, str) else tuple(parity)
        # In eager mode, wherever the layer is made: graphs read it, and see what the callback sets.
        with tf.init_scope():
            self.strength = keras.Variable(check_strength("strength", strength), dtype="float32", trainable=False)

    def distance(self, kernel: Any) -> tf.Tensor:
        """Return the squared distance of ``kernel`` from its projection, a scalar."""
        kernel = tf.convert_to_tensor(kernel)
        kernel = tf.cast(kernel, tf.float32) if kernel.dtype.size < 4 else kernel
        nearest = self.kernel_map.expand(self.kernel_map.project(kernel), kernels.static_shape(kernel))
        return tf.reduce_sum(tf.square(kernel - nearest))

    def __call__(self, x: Any) -> Any:
        """Return the penalty of the kernel ``x``, a scalar."""
        distance = self.distance(x)
        return tf.cast(tf.convert_to_tensor(self.strength), distance.dtype) * distance

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor, with the strength as it is now."""
        symmetry = self.symmetry if isinstance(self.symmetry, str) else kernels.serialize(self.symmetry)
        parity = self.parity if isinstance(self.parity, str) else list(self.parity)
        return {"symmetry": symmetry, "strength": float(self.strength.numpy()), "parity": parity}


SCHEDULES: dict[str, Callable[[float, float, float], float]] = {
    "linear": lambda start, end, share: start + (end - start) * share,
    "exponential": lambda start, end, share: start * (end / start) ** share,
    "cosine": lambda start, end, share: end + (start - end) * (1 + math.cos(math.pi * share)) / 2,
}


@final
class SymmetryAnnealing(keras.callbacks.Callback):
    """Raise the strength of every :class:`SymmetryPenalty` of a model while it trains.

    The strength is ``start`` in the epoch ``first_epoch`` and before, and ``end`` from ``epochs - 1`` epochs later on.
    It depends on the number of the epoch alone, so that a run that was resumed with ``initial_epoch`` goes on where it
    stopped. The logs of an epoch hold it as ``symmetry_strength``, and as ``symmetry_residual`` the distance of the
    kernels from their projections relative to their norm: 0 for symmetric kernels.

    Args:
        end: The strength at the end.
        epochs: Over how many epochs it is raised, at least 1.
        start: The strength at the beginning; positive if the schedule is ``"exponential"``.
        schedule: ``"linear"``, ``"exponential"`` or ``"cosine"``; or a callable that takes the number of the epoch and
            returns the strength, to which the other arguments do not matter.
        first_epoch: The epoch in which it begins, counted from 0.

    Raises:
        ValueError: If an argument is out of its range; when training starts, if no weight of the model has a penalty.

    Example:
        >>> SymmetryAnnealing(1.0, epochs=5).strength_at(2)
        0.5
    """

    def __init__(
        self,
        end: float = 1.0,
        epochs: int = 10,
        start: float = 0.0,
        schedule: str | Callable[[int], float] = "linear",
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        if not callable(schedule) and schedule not in SCHEDULES:
            raise ValueError(
                f"schedule must be one of {', '.join(SCHEDULES)}, or a callable. Received: schedule={schedule!r}"
            )
        for name, number, least in (("epochs", epochs, 1), ("first_epoch", first_epoch, 0)):
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise ValueError(f"{name} must be an integer of at least {least}. Received: {name}={number!r}")
        self.end, self.start = check_strength("end", end), check_strength("start", start)
        if schedule == "exponential" and not (self.start > 0 and self.end > 0):
            raise ValueError(f"An exponential schedule needs positive strengths. Received: start={start}, end={end}")
        self.epochs = epochs
        self.schedule = schedule
        self.first_epoch = first_epoch

    def strength_at(self, epoch: int) -> float:
        """Return the strength in an epoch, counted from 0."""
        if callable(self.schedule):
            return check_strength("schedule(epoch)", self.schedule(epoch))
        share = min(max((epoch - self.first_epoch) / (self.epochs - 1), 0.0), 1.0) if self.epochs > 1 else 1.0
        share = share if epoch >= self.first_epoch else 0.0
        return SCHEDULES[self.schedule](self.start, self.end, share)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Look for penalties."""
        if not self._penalised():
            raise ValueError(
                "There must be a weight with a SymmetryPenalty as its regulariser for the strength to be raised. "
                f"Received: model {self.model.name!r}"  # pyright: ignore
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the strength of this epoch."""
        strength = self.strength_at(epoch)
        for _, penalty in self._penalised():
            penalty.strength.assign(strength)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the strength, and how far the kernels are from symmetry, to the logs."""
        if logs is None:
            return
        weights = self._penalised()
        distance = sum(float(penalty.distance(weight.value)) for weight, penalty in weights)
        norm = sum(float(tf.reduce_sum(tf.square(tf.cast(weight.value, tf.float32)))) for weight, _ in weights)
        logs["symmetry_strength"] = self.strength_at(epoch)
        logs["symmetry_residual"] = math.sqrt(distance / norm) if norm else 0.0

    def _penalised(self) -> list[tuple[Any, SymmetryPenalty]]:
        """Return the weights that have a penalty, and it."""
        model: Any = self.model
        found = [(weight, weight.regularizer) for weight in model.trainable_weights]
        return [(weight, regularizer) for weight, regularizer in found if isinstance(regularizer, SymmetryPenalty)]


def check_strength(name: str, strength: Any) -> float:
    """Return a strength if it is a finite number that is not negative, else raise a ValueError."""
    is_number = isinstance(strength, numbers.Real) and not isinstance(strength, bool)
    if not is_number or not 0 <= float(strength) < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0. Received: {name}={strength!r}")
    return float(strength)
