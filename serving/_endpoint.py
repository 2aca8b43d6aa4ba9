"""A Keras model as the function behind a signature."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_symconv.serving._examples import Examples
from tf_symconv.serving._graph import Finding, Graph

__all__ = ["Endpoint", "keras_endpoint"]

_Call = Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]]
_ARRAYS = (np.ndarray, np.generic, tf.Tensor)
_STRINGS = "OSU"  # kinds of NumPy types that become strings
_INPUT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A signature ready to save.

    Attributes:
        function: a ``tf.function``, traced once, from named input tensors to a dict of named outputs.
        examples: a request, and the outputs that the Keras model computes for it.
    """

    function: Any
    examples: Examples


def keras_endpoint(model: keras.Model, examples: Any) -> Endpoint:
    """Wrap a model's inference: Keras names, shapes checked in the graph, batch dimension free, no XLA.

    Args:
        model: a functional, Sequential or subclassed model.
        examples: its input for a batch of at least one example: an array, or a list or dict of them.

    Raises:
        ValueError: examples that do not fit the model, names that no signature can carry, layers that do not run
            without XLA or call back to Python.
        TypeError: examples or outputs that are not dense tensors.
    """
    structure, specs, arrays = _inputs(model, examples)

    def call(tensors: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        return _named_outputs(model, model(keras.tree.pack_sequence_as(structure, list(tensors)), training=False))

    with tf.device("CPU:0"):  # The answers of the server's device; a GPU may round to fewer bits.
        tensors = {name: tf.constant(arrays[name], spec.dtype) for name, spec in specs.items()}
        outputs = {name: tensor.numpy() for name, tensor in call(list(tensors.values())).items()}
    inputs = {name: tensor.numpy() for name, tensor in tensors.items()}
    return Endpoint(_traced(model, call, list(specs.values())), Examples(inputs, outputs))


def _traced(model: keras.Model, call: _Call, specs: list[tf.TensorSpec]) -> Any:
    """Trace ``call`` behind a check of every input's shape, and refuse what the stock server does not run."""

    def serve(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return call([tf.ensure_shape(tensor, spec.shape) for tensor, spec in zip(inputs, specs, strict=True)])

    function = tf.function(serve, input_signature=specs, autograph=False)
    concrete: Any = function.get_concrete_function()
    graph = Graph.parse(concrete.graph.as_graph_def().SerializeToString())
    demands = graph.xla_demands()
    if demands:
        raise ValueError(
            "no layer may demand XLA, which the stock server has disabled on the CPU (Keras compiles grouped "
            f"convolutions and channels_first Conv3D with it). Received: {_layers(model, demands)}"
        )
    callbacks = graph.foreign_ops()
    if callbacks:
        raise ValueError(
            f"no layer may call back to Python, which the server does not have. Received: {_layers(model, callbacks)}"
        )
    return function


def _layers(model: keras.Model, findings: Iterable[Finding]) -> str:
    """Name the layers whose scopes hold the nodes, for an error message."""
    names = sorted((layer.name for layer in model._flatten_layers()), key=len, reverse=True)
    found = []
    for finding in findings:
        scopes = [re.sub(r"_\d+$", "", scope) for scope in finding.node.split("/")]
        scopes += finding.node.split("/")
        layer = next((name for name in names if name != model.name and name in scopes), None)
        found.append(f"layer {layer!r}" if layer else str(finding))
    return ", ".join(dict.fromkeys(found))


def _inputs(model: keras.Model, examples: Any) -> tuple[Any, dict[str, tf.TensorSpec], dict[str, np.ndarray]]:
    """Return the structure that the model is called with, and the specs and examples of its leaves by name."""
    if isinstance(model, keras.Sequential) and not model.built:
        model(keras.tree.map_structure(tf.convert_to_tensor, examples), training=False)
    leaves = keras.tree.flatten(examples)
    if not all(isinstance(leaf, _ARRAYS) for leaf in leaves):
        kinds = sorted({type(leaf).__name__ for leaf in leaves})
        raise TypeError(f"examples must be an array, or a list or dict of arrays. Received: {', '.join(kinds)}")
    arrays = [np.asarray(leaf) for leaf in leaves]
    tensors = getattr(model, "inputs", None)  # A subclassed model has none.
    if tensors:
        if any(tensor.sparse or getattr(tensor, "ragged", False) for tensor in tensors):
            raise TypeError(f"inputs must be dense tensors. Received: inputs={tensors}")
        structure = tensors[0] if isinstance(model, keras.Sequential) else model.input
        keyed = isinstance(structure, Mapping)
        names = _paths(structure, "") if keyed else [tensor.name for tensor in tensors]
        dtypes = [tensor.dtype for tensor in tensors]
        if isinstance(examples, Mapping) and set(examples) == set(names):
            arrays = [np.asarray(examples[name]) for name in names]
    else:
        structure, tensors = examples, arrays
        names = _paths(examples, next(iter(inspect.signature(model.call).parameters), "inputs"))
        dtypes = ["string" if array.dtype.kind in _STRINGS else array.dtype for array in arrays]
    if len(arrays) != len(names):
        raise ValueError(f"examples must hold one array for each of the inputs {names}. Received: {len(arrays)}")
    sizes = sorted({array.shape[0] for array in arrays if array.ndim})
    if len(sizes) > 1 or sizes == [0]:
        raise ValueError(f"examples must be a batch of one size above 0. Received: sizes={sizes}")
    specs = {name: _spec(name, tensor.shape, dtype) for name, tensor, dtype in zip(names, tensors, dtypes, strict=True)}
    for array, (name, spec) in zip(arrays, specs.items(), strict=True):
        _check(array, name, spec)
    return structure, specs, dict(zip(names, arrays, strict=True))


def _spec(name: str, shape: Sequence[int | None], dtype: Any) -> tf.TensorSpec:
    if not _INPUT_NAME.fullmatch(name):
        raise ValueError(
            "an input's name must be letters, digits, '_', '.' or '-', and begin with a letter or digit. "
            f"Received: name={name!r}"
        )
    return tf.TensorSpec([None, *shape[1:]] if len(shape) else [], dtype, name)


def _check(array: np.ndarray, name: str, spec: tf.TensorSpec) -> None:
    strings = array.dtype.kind in _STRINGS
    wanted = spec.dtype.as_numpy_dtype
    if strings != (spec.dtype == tf.string) or not (strings or np.can_cast(array.dtype, wanted, "same_kind")):
        raise TypeError(f"examples for {name!r} must be {spec.dtype.name}. Received: dtype={array.dtype}")
    if not spec.shape.is_compatible_with(array.shape):
        raise ValueError(f"examples for {name!r} must be {spec.shape}. Received: shape={array.shape}")


def _named_outputs(model: keras.Model, outputs: Any) -> dict[str, tf.Tensor]:
    tensors = keras.tree.flatten(outputs)
    if not all(isinstance(tensor, tf.Tensor) for tensor in tensors):
        raise TypeError(f"outputs must be dense tensors. Received: {[type(tensor).__name__ for tensor in tensors]}")
    if isinstance(outputs, Mapping):
        names = _paths(outputs, model.name)
    elif isinstance(model, keras.Sequential):
        names = [model.layers[-1].name]
    else:
        names = getattr(model, "output_names", None) or _paths(outputs, model.name)
    return dict(zip(_distinct(names), tensors, strict=True))


def _paths(structure: Any, root: str) -> list[str]:
    """Name each leaf by the keys and indices that lead to it; what no key names starts with ``root``."""
    count = len(keras.tree.flatten(structure))
    names = [""] * count

    def walk(node: Any, path: tuple[str, ...]) -> None:
        if isinstance(node, Mapping):
            for key, child in node.items():
                walk(child, (*(path or ()), str(key)))
        elif isinstance(node, list | tuple):
            for index, child in enumerate(node):
                walk(child, (*(path or (root,)), str(index)))
        else:
            names[node] = "_".join(path or (root,))

    walk(keras.tree.pack_sequence_as(structure, list(range(count))), ())
    return names


def _distinct(names: Sequence[str]) -> list[str]:
    """Put a number behind repeated names."""
    found: list[str] = []
    for name in names:
        number = 0
        numbered = name
        while numbered in found:
            number += 1
            numbered = f"{name}_{number}"
        found.append(numbered)
    return found
