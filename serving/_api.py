"""The protocol of TensorFlow Serving, from the package ``tensorflow-serving-api``, which imports TensorFlow."""

import importlib
from typing import Any

__all__ = ["protocol"]


def protocol(name: str) -> Any:
    """Import a module of ``tensorflow_serving``, such as ``"apis.predict_pb2"``; type checkers know nothing of it.

    Raises:
        ImportError: the package is missing.
    """
    return importlib.import_module(f"tensorflow_serving.{name}")
