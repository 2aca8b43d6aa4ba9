"""Timings of structured layers beside the layers that they replace: the code behind ``symconv bench``, and scripts.

Scripts run as ``python -m tf_symconv.benchmarks.NAME``, or ``python -m benchmarks.NAME`` in a checkout. TensorFlow is
imported when something is measured, so that help and mistakes are told at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tf_symconv.benchmarks._bars import BARS
from tf_symconv.benchmarks._cases import KINDS, LAYERS, Case, Layer, grid, matching
from tf_symconv.benchmarks._peers import PeerError
from tf_symconv.benchmarks._profiles import PROFILES
from tf_symconv.benchmarks._run import Work, execute
from tf_symconv.benchmarks._stablehlo import read_timed
from tf_symconv.benchmarks._store import RESULTS, TABLES, RunDirectoryError, Store, code_version, machine
from tf_symconv.benchmarks._tables import Sheet, missed, sheets, stale
from tf_symconv.benchmarks._timing import Patience, interleave

if TYPE_CHECKING:
    from tf_symconv.benchmarks._lower import lower
    from tf_symconv.benchmarks._plots import draw
    from tf_symconv.benchmarks._subjects import Options, folds

__all__ = [
    "BARS",
    "KINDS",
    "LAYERS",
    "PROFILES",
    "RESULTS",
    "TABLES",
    "Case",
    "Layer",
    "Options",
    "Patience",
    "PeerError",
    "RunDirectoryError",
    "Sheet",
    "Store",
    "Work",
    "code_version",
    "draw",
    "execute",
    "folds",
    "grid",
    "interleave",
    "lower",
    "machine",
    "matching",
    "missed",
    "read_timed",
    "sheets",
    "stale",
]

_HOMES = {"Options": "_subjects", "draw": "_plots", "folds": "_subjects", "lower": "_lower"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
