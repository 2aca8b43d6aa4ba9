"""Verified SavedModels for TensorFlow Serving.

Nothing here imports the TensorFlow Python package before it is needed: ``write_version`` traces a Keras model and
needs it, ``verify`` runs a version in a process that has the C library of TensorFlow and no Python package.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tf_symconv.serving._export import write_version
    from tf_symconv.serving._report import Comparison, ProbeResult, Report
    from tf_symconv.serving._saved_model import SavedModelError
    from tf_symconv.serving._verify import verify

__all__ = ["Comparison", "ProbeResult", "Report", "SavedModelError", "verify", "write_version"]

_HOMES = {
    "Comparison": "_report",
    "ProbeResult": "_report",
    "Report": "_report",
    "SavedModelError": "_saved_model",
    "verify": "_verify",
    "write_version": "_export",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
