"""Verified SavedModels for TensorFlow Serving, and what runs and calls a server.

Nothing here imports the TensorFlow Python package before it is needed: ``export`` and ``write_version`` trace a model
and need it, ``verify`` runs a version in a process that has the C library of TensorFlow and no Python package.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tf_symconv.serving._answers import Classification, Metadata, ServingError, VersionStatus
    from tf_symconv.serving._client import Client
    from tf_symconv.serving._configs import (
        ServedModel,
        batching_config,
        model_config,
        monitoring_config,
        write_config,
    )
    from tf_symconv.serving._export import ExportError, export, write_version
    from tf_symconv.serving._images import ImageBytes
    from tf_symconv.serving._labels import LabelError, Move, promote, rollback
    from tf_symconv.serving._report import Comparison, ProbeResult, Report
    from tf_symconv.serving._saved_model import SavedModelError
    from tf_symconv.serving._verify import verify

__all__ = [
    "Classification",
    "Client",
    "Comparison",
    "ExportError",
    "ImageBytes",
    "LabelError",
    "Metadata",
    "Move",
    "ProbeResult",
    "Report",
    "SavedModelError",
    "ServedModel",
    "ServingError",
    "VersionStatus",
    "batching_config",
    "export",
    "model_config",
    "monitoring_config",
    "promote",
    "rollback",
    "verify",
    "write_config",
    "write_version",
]

_HOMES = {
    "Classification": "_answers",
    "Client": "_client",
    "Comparison": "_report",
    "ExportError": "_export",
    "ImageBytes": "_images",
    "LabelError": "_labels",
    "Metadata": "_answers",
    "Move": "_labels",
    "ProbeResult": "_report",
    "Report": "_report",
    "SavedModelError": "_saved_model",
    "ServedModel": "_configs",
    "ServingError": "_answers",
    "VersionStatus": "_answers",
    "batching_config": "_configs",
    "export": "_export",
    "model_config": "_configs",
    "monitoring_config": "_configs",
    "promote": "_labels",
    "rollback": "_labels",
    "verify": "_verify",
    "write_config": "_configs",
    "write_version": "_export",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
