"""A training run from data to a verified model and a report: what ``symconv train`` is made of.

A run lives in a directory of its own. Every file appears whole; whatever stops the process, the same call goes on where
it was, and ends with the weights of a run that was never stopped.

TensorFlow is imported when ``train`` is, so that settings can be read and refused without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tf_symconv.training._directory import RunDirectory, RunDirectoryError
from tf_symconv.training._settings import ROLES, Settings, parse_kernel_size, parse_parity, parse_symmetry

if TYPE_CHECKING:
    from tf_symconv.training._run import train
    from tf_symconv.training._trainer import TrainingError

__all__ = [
    "ROLES",
    "RunDirectory",
    "RunDirectoryError",
    "Settings",
    "TrainingError",
    "parse_kernel_size",
    "parse_parity",
    "parse_symmetry",
    "train",
]

_HOMES = {"TrainingError": "_trainer", "train": "_run"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
