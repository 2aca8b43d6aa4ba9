"""Does symmetry help? Test accuracy against the number of training images: what ``symconv compare`` is made of.

Images are turned at random; a plain network, a plain one with augmentation and networks with structured kernels learn
from fewer or more of them, at equal numbers of weights and at equal numbers of multiplications.

TensorFlow is imported when ``compare`` is, so that settings can be read and refused without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tf_symconv.comparison._directory import ComparisonDirectory
from tf_symconv.comparison._settings import (
    BUDGETS,
    METHODS,
    ComparisonSettings,
    parse_group,
    parse_methods,
    parse_odd_kernel_size,
    parse_sizes,
)
from tf_symconv.comparison._summary import markdown
from tf_symconv.training import RunDirectoryError

if TYPE_CHECKING:
    from tf_symconv.comparison._run import compare
    from tf_symconv.comparison._trial import ComparisonError

__all__ = [
    "BUDGETS",
    "METHODS",
    "ComparisonDirectory",
    "ComparisonError",
    "ComparisonSettings",
    "RunDirectoryError",
    "compare",
    "markdown",
    "parse_group",
    "parse_methods",
    "parse_odd_kernel_size",
    "parse_sizes",
]

_HOMES = {"ComparisonError": "_trial", "compare": "_run"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
