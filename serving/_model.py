"""Keras models and tf.Modules as functions from named tensors to named tensors."""

import dataclasses
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["NamedModel", "named_model"]

_ARRAYS = (np.ndarray, np.generic, tf.Tensor)
_STRINGS = "OSU"  # kinds of NumPy types that become strings
_INPUT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_INVENTED = 2  # examples


@dataclasses.dataclass(frozen=True)
class NamedModel:
    """A model whose inputs and outputs have names.

    Attributes:
        model: a Keras model or a tf.Module.
        structure: its input, of the right structure.
        specs: what each input may be, by name, in the order of the structure's leaves.
        examples: a batch for each input.
    """

    model: Any
    structure: Any
    specs: dict[str, tf.TensorSpec]
    examples: dict[str, np.ndarray]

    def __call__(self, tensors: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Compute the outputs by name, as in inference."""
        packed = keras.tree.pack_sequence_as(self.structure, list(tensors))
        mode = {"training": False} if _takes_training(self.model) else {}
        return _named_outputs(self.model, self.model(packed, **mode))

    @property
    def layer_names(self) -> list[str]:
        """Names of the parts, for error messages, longest first."""
        model: Any = self.model
        parts = model._flatten_layers() if isinstance(model, keras.Model) else model.submodules
        return sorted((part.name for part in parts if part.name != model.name), key=len, reverse=True)


def named_model(model: Any, examples: Any = None) -> NamedModel:
    """Find out what a model takes.

    Args:
        model: a functional, Sequential or subclassed Keras model, or a tf.Module that is called with one input.
        examples: its input for a batch of at least one example: an array, or a list or dict of them. None stands for
            random numbers (zeros for integers), where the model tells the shapes of its inputs.

    Raises:
        ValueError: examples that do not fit the model or are needed, names that no signature can carry.
        TypeError: no such model; examples of another type than the input; inputs that are no dense tensors.
    """
    if not isinstance(model, keras.Model) and (not isinstance(model, tf.Module) or not callable(model)):
        raise TypeError(f"model must be a keras.Model or a tf.Module with a __call__. Received: model={model!r}")
    if isinstance(model, keras.Sequential) and not model.built and examples is not None:
        model(keras.tree.map_structure(tf.convert_to_tensor, examples), training=False)
    declared = _declared(model)
    if declared is None:
        return _after_examples(model, examples)
    structure, names, specs = declared
    specs = {name: _spec(name, spec.shape, spec.dtype) for name, spec in zip(names, specs, strict=True)}
    if examples is None:
        return NamedModel(model, structure, specs, {name: invented(name, spec) for name, spec in specs.items()})
    arrays = _leaves(examples)
    if isinstance(examples, Mapping) and set(examples) == set(names):
        arrays = [np.asarray(examples[name]) for name in names]
    return NamedModel(model, structure, specs, _checked(specs, arrays))


def invented(name: str, spec: tf.TensorSpec) -> np.ndarray:
    """Make examples for an input.

    Raises:
        ValueError: its shape leaves more open than the batch size.
    """
    shape = spec.shape.as_list() if spec.shape.rank is not None else [None, None]
    if None in shape[1:]:
        raise ValueError(
            "examples must be given for an input whose shape leaves more open than the batch size. "
            f"Received: input {name!r} of shape {spec.shape}"
        )
    sizes = [_INVENTED if size is None else size for size in shape]
    if spec.dtype.is_floating:
        drawn = np.random.default_rng(0).normal(size=sizes)
        return (np.rint(drawn * 8) / 8).astype(spec.dtype.as_numpy_dtype)  # few bits: the file stays small
    return np.full(sizes, b"", object) if spec.dtype == tf.string else np.zeros(sizes, spec.dtype.as_numpy_dtype)


def _declared(model: Any) -> tuple[Any, list[str], list[Any]] | None:
    """Return what a model says of its inputs: their structure, names and specs; None if it says nothing."""
    tensors = getattr(model, "inputs", None) if isinstance(model, keras.Model) else None
    if tensors:
        if any(tensor.sparse or getattr(tensor, "ragged", False) for tensor in tensors):
            raise TypeError(f"inputs must be dense tensors. Received: inputs={tensors}")
        functional: Any = model
        structure = tensors[0] if isinstance(model, keras.Sequential) else functional.input
        keyed = isinstance(structure, Mapping)
        names = _paths(structure, "") if keyed else [tensor.name for tensor in tensors]
        return structure, names, [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
    signature = getattr(model.__call__, "input_signature", None)  # of a tf.function
    if isinstance(model, tf.Module) and signature:
        [structure] = [next(iter(signature))]
        return structure, _paths(structure, _argument(model)), keras.tree.flatten(structure)
    config = model.get_build_config() if isinstance(model, keras.Model) and model.built else None
    shape = (config or {}).get("input_shape")
    if isinstance(shape, list | tuple) and all(size is None or isinstance(size, int) for size in shape):
        spec = tf.TensorSpec([None, *shape[1:]], getattr(model, "input_dtype", None) or keras.config.floatx())
        return spec, [_argument(model)], [spec]
    return None


def _after_examples(model: Any, examples: Any) -> NamedModel:
    if examples is None:
        raise ValueError(
            "examples must be given for a model that does not tell the shapes of its inputs. "
            f"Received: examples=None, model={model!r}"
        )
    arrays = _leaves(examples)
    dtypes = ["string" if array.dtype.kind in _STRINGS else array.dtype for array in arrays]
    names = _paths(examples, _argument(model))
    specs = {name: _spec(name, array.shape, dtype) for name, array, dtype in zip(names, arrays, dtypes, strict=True)}
    return NamedModel(model, examples, specs, _checked(specs, arrays))


def _argument(model: Any) -> str:
    """Return the name of the first argument of the call."""
    call = model.call if isinstance(model, keras.Model) else getattr(model.__call__, "python_function", model.__call__)
    names = [name for name in inspect.signature(call).parameters if name != "self"]
    return next(iter(names), "inputs")


def _takes_training(model: Any) -> bool:
    if isinstance(model, keras.Model):
        return True
    call = getattr(model.__call__, "python_function", model.__call__)
    return "training" in inspect.signature(call).parameters


def _leaves(examples: Any) -> list[np.ndarray]:
    leaves = keras.tree.flatten(examples)
    if not all(isinstance(leaf, _ARRAYS) for leaf in leaves):
        kinds = sorted({type(leaf).__name__ for leaf in leaves})
        raise TypeError(f"examples must be an array, or a list or dict of arrays. Received: {', '.join(kinds)}")
    return [np.asarray(leaf) for leaf in leaves]


def _checked(specs: Mapping[str, tf.TensorSpec], arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    if len(arrays) != len(specs):
        raise ValueError(f"examples must hold one array for each of the inputs {[*specs]}. Received: {len(arrays)}")
    sizes = sorted({array.shape[0] for array in arrays if array.ndim})
    if len(sizes) > 1 or sizes == [0]:
        raise ValueError(f"examples must be a batch of one size above 0. Received: sizes={sizes}")
    for array, (name, spec) in zip(arrays, specs.items(), strict=True):
        _check(array, name, spec)
    return dict(zip(specs, arrays, strict=True))


def _spec(name: str, shape: Any, dtype: Any) -> tf.TensorSpec:
    if not _INPUT_NAME.fullmatch(name):
        raise ValueError(
            "an input's name must be letters, digits, '_', '.' or '-', and begin with a letter or digit. "
            f"Received: name={name!r}"
        )
    sizes = tf.TensorShape(shape)
    if sizes.rank is None:
        raise ValueError(f"the rank of an input must be known, so that it can be checked. Received: name={name!r}")
    return tf.TensorSpec([None, *sizes[1:]] if sizes.rank else [], dtype, name)


def _check(array: np.ndarray, name: str, spec: tf.TensorSpec) -> None:
    strings = array.dtype.kind in _STRINGS
    wanted = spec.dtype.as_numpy_dtype
    if strings != (spec.dtype == tf.string) or not (strings or np.can_cast(array.dtype, wanted, "same_kind")):
        raise TypeError(f"examples for {name!r} must be {spec.dtype.name}. Received: dtype={array.dtype}")
    if not spec.shape.is_compatible_with(array.shape):
        raise ValueError(f"examples for {name!r} must be {spec.shape}. Received: shape={array.shape}")


def _named_outputs(model: Any, outputs: Any) -> dict[str, tf.Tensor]:
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
