"""The state of TF1 optimisers, for the optimisers of today that take the same steps."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tf_symconv.compat_v1._checkpoint_files import Checkpoint

__all__ = ["optimizer_state"]

#: Keras optimiser: slot of Keras -> suffix of TF1. The formulas are the same, up to what ``_scale`` does.
_SLOTS = {
    "Adadelta": {"accumulated_grad": "Adadelta", "accumulated_delta_var": "Adadelta_1"},
    "Adagrad": {"accumulator": "Adagrad"},
    "Adam": {"momentum": "Adam", "velocity": "Adam_1"},
    "Ftrl": {"accumulator": "Ftrl", "linear": "Ftrl_1"},
    "RMSprop": {"velocity": "RMSProp", "momentum": "RMSProp_1"},
    "SGD": {"momentum": "Momentum"},
}
_CENTERED = {"velocity": "RMSProp", "average_gradient": "RMSProp_1", "momentum": "RMSProp_2"}


def optimizer_state(
    checkpoint: Checkpoint, optimizer: Any, sources: Mapping[str, tuple[Any, Callable[[np.ndarray], np.ndarray]]]
) -> Iterator[tuple[str, Any, np.ndarray]]:
    """Yield (name in the checkpoint, variable of the optimiser, value) for all state that the optimiser shares.

    Args:
        checkpoint: The checkpoint.
        optimizer: A built Keras optimiser, or one of ``tf.compat.v1.train``.
        sources: For each name in the checkpoint whose variable is restored cell by cell, that variable and what
            moves the cells to their places.
    """
    if callable(getattr(optimizer, "variables", None)):
        for variable in optimizer.variables():
            name = variable.name.partition(":")[0]
            if name in checkpoint and checkpoint.shapes[name] == tuple(variable.shape):
                yield name, variable, checkpoint[name]
        return
    state = {variable.path: variable for variable in optimizer.variables}
    scale = _scale(optimizer)
    for source, (variable, move) in sources.items():
        for slot, suffix in _suffixes(optimizer).items():
            name = _find(checkpoint, rf"(?:.*/)?{re.escape(source)}/{suffix}")
            own = state.get(f"{optimizer.name}/{_key(variable)}_{slot}")
            if name is not None and own is not None and checkpoint.shapes[name] == checkpoint.shapes[source]:
                yield name, own, scale(move(checkpoint[name]))
    counter = _iterations(checkpoint, optimizer)
    if counter is not None:
        yield counter[0], optimizer.iterations, np.asarray(counter[1])


def _suffixes(optimizer: Any) -> dict[str, str]:
    if getattr(optimizer, "centered", False):
        return _CENTERED
    return _SLOTS.get(type(optimizer).__name__, {})


def _scale(optimizer: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Momentum of TF1 sums gradients; that of Keras sums steps, which are gradients times minus the learning rate."""
    if type(optimizer).__name__ != "SGD":
        return lambda value: value
    rate = float(np.asarray(optimizer.learning_rate))
    return lambda value: -rate * value


def _key(variable: Any) -> str:
    """Return what Keras calls a variable inside the names of its slots."""
    return getattr(variable, "path", variable.name).replace("/", "_").replace(":", "_")


def _iterations(checkpoint: Checkpoint, optimizer: Any) -> tuple[str, int] | None:
    """Return the number of steps taken: for Adam from the powers of its betas, which count its own steps."""
    if type(optimizer).__name__ == "Adam":
        for beta, value in (("beta1", optimizer.beta_1), ("beta2", optimizer.beta_2)):
            name = _find(checkpoint, rf"(?:.*/)?{beta}_power")
            power = 0.0 if name is None else float(checkpoint[name])
            # Single precision ends at 1e-38; the second power fades a hundred times more slowly.
            if name is not None and 1e-30 < power < 1:
                return name, max(round(math.log(power) / math.log(value)) - 1, 0)
    name = _find(checkpoint, "(?:.*/)?global_step")
    return None if name is None else (name, int(checkpoint[name]))


def _find(checkpoint: Checkpoint, pattern: str) -> str | None:
    """Return the only name that matches the whole pattern."""
    names = [name for name in checkpoint.shapes if re.fullmatch(pattern, name)]
    return names[0] if len(names) == 1 else None
