"""Write a Keras model as a version that TensorFlow Serving can load.

A version is a SavedModel directory whose name is a number. It holds the signature ``serving_default``, whose inputs and
outputs have the names of the Keras model and whose graph checks the shape of every input first, so that a malformed
request is refused instead of aborting the server. It also holds example requests with the outputs that the Keras model
computed; their format is told in ``tf_symconv.serving._examples``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from tf_symconv.serving import _examples
from tf_symconv.serving._endpoint import Endpoint, keras_endpoint
from tf_symconv.serving._saved_model import read
from tf_symconv.serving._staging import staged_version

__all__ = ["write_version"]

_DEFAULT = "serving_default"


def write_version(model: keras.Model, version_dir: str | Path, examples: Any) -> Path:
    """Export a model for inference, whole or not at all.

    The version is written beside ``version_dir`` under a name that the server does not watch, and renamed once
    everything is on the disk.

    Args:
        model: a functional, Sequential or subclassed Keras model. Inputs are named as in Keras (those of a subclassed
            model after the keys of its dict, or after the argument of ``call``), outputs after the layers that make
            them or the keys of the model's dict (a subclassed model without keys: after the model itself).
        version_dir: the directory to make. Its name is the version, a number.
        examples: input for a batch of at least one example, as the model takes it: an array of shape
            (batch, ...), or a list or dict of arrays. It is recorded with the model's outputs, for ``verify``.

    Returns:
        The path of the version.

    Raises:
        FileExistsError: the version exists.
        ValueError: a name that is no number, examples that do not fit, a layer that demands XLA (some grouped and
            ``channels_first`` convolutions of Keras) or calls back to Python.
        TypeError: no Keras model; sparse or ragged inputs or outputs; examples of another type than the input.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model. Received: model={model!r}")
    with staged_version(version_dir) as temporary:
        _save(model, temporary, {_DEFAULT: keras_endpoint(model, examples)})
    return Path(version_dir)


def _save(model: keras.Model, directory: Path, endpoints: Mapping[str, Endpoint]) -> None:
    archive: Any = keras.export.ExportArchive()  # Its class depends on the backend of Keras.
    archive.track(model)
    for name, endpoint in endpoints.items():
        archive.add_endpoint(name, endpoint.function)
    archive.write_out(str(directory), verbose=False)
    _examples.save(directory, {name: endpoint.examples for name, endpoint in endpoints.items()})
    _examples.load(directory, read(directory).signatures)  # Names and types are those of the signatures.
