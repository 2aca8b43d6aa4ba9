"""Signatures as a SavedModel on the disk."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tf_symconv.serving._core import Core
from tf_symconv.serving._signatures import Endpoint

__all__ = ["write_saved_model"]


def write_saved_model(directory: Path, core: Core, endpoints: Mapping[str, Endpoint]) -> None:
    """Write a SavedModel that ``tf.saved_model.load`` and the server load."""
    root: Any = tf.__internal__.tracking.AutoTrackable()
    root.variables = list(core.variables)
    root.trainable_variables = [variable for variable in core.variables if variable.trainable]
    root.resources = list(core.resources)
    signatures = {}
    for name, endpoint in endpoints.items():
        setattr(root, name, endpoint.function)
        signatures[name] = endpoint.function.get_concrete_function()
    with _quiet():
        tf.saved_model.save(root, str(directory), signatures=signatures)
    _set_methods(directory / "saved_model.pb", {name: endpoint.method for name, endpoint in endpoints.items()})


def _set_methods(file: Path, methods: Mapping[str, str]) -> None:
    """Write the methods of the signatures, which TensorFlow 2 calls ``predict`` without exception."""
    proto: Any = saved_model_pb2.SavedModel()  # pyright: ignore[reportAttributeAccessIssue]
    proto.ParseFromString(file.read_bytes())
    for graph in proto.meta_graphs:
        for name, method in methods.items():
            graph.signature_def[name].method_name = method
    file.write_bytes(proto.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TensorFlow from telling where it writes: a directory that will have another name."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
