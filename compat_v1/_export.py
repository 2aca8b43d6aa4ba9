"""Export what TF1 code built as a version that TensorFlow Serving runs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.compat_v1._graphs import V1Graph, source_of
from tf_symconv.compat_v1._saved_model import SignatureTensors, Source, reason
from tf_symconv.serving import _examples
from tf_symconv.serving._saved_model import read
from tf_symconv.serving._staging import staged_version

__all__ = ["export_saved_model", "record", "signature_tensors", "write"]

v1 = tf.compat.v1
_METHODS = {name: f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")}


def export_saved_model(
    session: tf.compat.v1.Session | V1Graph,
    version_dir: str | os.PathLike[str],
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    *,
    signature_name: str = "serving_default",
    method: str = "predict",
    examples: Mapping[str, Any] | None = None,
    freeze: bool = False,
) -> Path:
    """Write a TF1 session's graph as a SavedModel that passes ``symconv verify`` and serves.

    Only what the outputs need is written, so training operations stay out. Every input is checked against its shape in
    the graph: a malformed request is refused instead of ending the server. Reference variables become resource
    variables of the same names, so that TF2 can load the model too. The version appears whole or not at all.

    Args:
        session: A session whose variables have values, or a loaded :class:`V1Graph`, which is written with all its
            signatures and the present values of its variables.
        version_dir: The directory to make. Its name is the version, a number.
        inputs: Tensors of the session's graph, or their names, by the names that requests shall use. Any tensor can be
            fed; of placeholders, those that the outputs need must be among them.
        outputs: Tensors or names, likewise.
        signature_name: Name of the signature.
        method: ``"predict"``, ``"classify"`` or ``"regress"``.
        examples: A batch for each input, recorded with the session's outputs for ``symconv verify``; by default two
            examples of random numbers (zeros for integers). For a :class:`V1Graph` with several signatures, a dict of
            such dicts by signature.
        freeze: Whether to turn the variables into constants, at most 2 GB.

    Returns:
        The path of the version.

    Raises:
        FileExistsError: If the version exists.
        TypeError: If ``session`` is something else.
        ValueError: If the name of the directory is no number, a name is unknown, a shape is not known well enough to
            be checked, an input is missing, variables have no value, the graph calls back to Python or writes to
            variables, or the examples do not fit.
    """
    if isinstance(session, V1Graph):
        if inputs is not None or outputs is not None:
            raise ValueError("A V1Graph has its own inputs and outputs. Received: inputs or outputs")
        source = source_of(session)
        given = examples if len(source.signatures) > 1 else {name: examples for name in source.signatures}
        with source.session:
            return _export(source, Path(version_dir), given or {}, freeze)
    if not hasattr(session, "graph") or not hasattr(session, "run"):
        raise TypeError(f"session is a tf.compat.v1.Session or a V1Graph. Received: session={session!r}")
    signature = signature_tensors(session.graph, inputs, outputs, method)
    source = Source(session, {signature_name: signature})
    return _export(source, Path(version_dir), {signature_name: examples}, freeze)


def _export(source: Source, version_dir: Path, examples: Mapping[str, Any], freeze: bool) -> Path:
    recorded = record(source, examples)
    with staged_version(version_dir) as temporary:
        write(source, temporary, freeze)
        _examples.save(temporary, recorded)
        _examples.load(temporary, read(temporary).signatures)
    return version_dir


def record(source: Source, examples: Mapping[str, Any]) -> dict[str, _examples.Examples]:
    """Run the session on examples for each signature; where there are none, they are invented."""
    return {
        name: _record(source.session, name, signature, examples.get(name))
        for name, signature in source.signatures.items()
    }


def write(source: Source, directory: Path, freeze: bool) -> None:
    """Write a SavedModel that does not call back to Python."""
    source.write(directory, freeze)
    foreign = read(directory).graph.foreign_ops()
    if foreign:
        raise ValueError(f"The graph must not call back to Python. Received: {', '.join(map(str, foreign))}")


def signature_tensors(
    graph: tf.Graph, inputs: Mapping[str, Any] | None, outputs: Mapping[str, Any] | None, method: str
) -> SignatureTensors:
    """Return a signature of a graph from tensors or their names."""
    if method not in _METHODS:
        raise ValueError(f"method is one of {', '.join(map(repr, _METHODS))}. Received: method={method!r}")
    return SignatureTensors(_tensors(graph, "inputs", inputs), _tensors(graph, "outputs", outputs), _METHODS[method])


def _tensors(graph: tf.Graph, argument: str, tensors: Mapping[str, Any] | None) -> dict[str, Any]:
    if not tensors:
        raise ValueError(f"{argument} is a dict of tensors by name. Received: {argument}={tensors!r}")
    found = {}
    for key, tensor in tensors.items():
        name = getattr(tensor, "name", tensor)
        try:
            found[key] = graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
        except (KeyError, ValueError, TypeError):
            raise ValueError(f"The graph has no such tensor. Received: {argument}[{key!r}]={tensor!r}") from None
    return found


def _record(
    session: tf.compat.v1.Session, name: str, signature: SignatureTensors, examples: Mapping[str, Any] | None
) -> _examples.Examples:
    """Run the session on the examples."""
    for key, tensor in signature.inputs.items():
        if tensor.shape.rank is None:
            raise ValueError(
                "The shape of an input is known, so that it can be checked; call set_shape on the placeholder. "
                f"Received: inputs[{key!r}]={tensor!r}"
            )
    if examples is None:
        arrays = {key: _invented(name, key, tensor) for key, tensor in signature.inputs.items()}
    elif set(examples) == set(signature.inputs):
        arrays = {
            key: np.asarray(examples[key], tensor.dtype.as_numpy_dtype) for key, tensor in signature.inputs.items()
        }
    else:
        raise ValueError(
            f"The examples of {name!r} are one batch for each of {sorted(signature.inputs)}. "
            f"Received: examples={sorted(examples)}"
        )
    for key, tensor in signature.inputs.items():
        if not tensor.shape.is_compatible_with(arrays[key].shape):
            raise ValueError(
                f"The example for {key!r} has the shape {tensor.shape}. Received: shape={arrays[key].shape}"
            )
    feed = {tensor: arrays[key] for key, tensor in signature.inputs.items()}
    try:
        answers = session.run(dict(signature.outputs), feed)
    except tf.errors.FailedPreconditionError as error:
        raise ValueError(f"The variables have values before they are saved. Received: {reason(error)}") from None
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"The inputs determine the outputs. Received: {reason(error)}") from None
    return _examples.Examples(arrays, {key: np.asarray(value) for key, value in answers.items()})


def _invented(signature: str, key: str, tensor: Any) -> np.ndarray:
    shape = tensor.shape.as_list()
    if None in shape[1:]:
        raise ValueError(
            f"Only the first axis may be free where examples are invented; give examples for {signature!r}. "
            f"Received: inputs[{key!r}] of shape {tensor.shape}"
        )
    sizes = [size if size is not None else 2 for size in shape]
    dtype = tensor.dtype.as_numpy_dtype
    if tensor.dtype.is_floating:
        return np.random.default_rng(0).normal(size=sizes).astype(dtype)
    return np.full(sizes, b"", object) if tensor.dtype == tf.string else np.zeros(sizes, dtype)
