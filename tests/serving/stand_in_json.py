"""JSON requests and answers as TensorFlow Serving reads and writes them, by the rules of its ``json_tensor.cc``."""

import base64
import binascii
import json
from typing import Any

import numpy as np
import tensorflow as tf

from tests.serving.stand_in_core import Refusal
from tf_symconv.serving._dtypes import STRING, numpy_dtype


def parsed(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise Refusal("INVALID_ARGUMENT", "Is not object")
    return document


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not (list(value) == ["b64"] and isinstance(value["b64"], str))


def inputs(document: dict[str, Any], signature) -> dict[str, np.ndarray]:
    specs = signature.inputs
    if ("inputs" in document) == ("instances" in document):
        raise Refusal("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key, or both")
    if "inputs" in document:
        value = document["inputs"]
        named = value if _is_object(value) else {next(iter(specs)): value}
        missing = set(specs) - set(named)
        if missing:
            raise Refusal("INVALID_ARGUMENT", f"Missing named input: {sorted(missing)} in 'inputs' object.")
        return {name: _tensor(named[name], spec.dtype) for name, spec in specs.items()}
    rows = document["instances"]
    if not isinstance(rows, list) or not rows:
        raise Refusal("INVALID_ARGUMENT", "Expecting 'instances' to be a list with values")
    if not _is_object(rows[0]):
        if len(specs) > 1:
            raise Refusal("INVALID_ARGUMENT", "instances is a plain list, but expecting list of objects")
        rows = [{next(iter(specs)): row} for row in rows]
    if any(not _is_object(row) or set(row) != set(specs) for row in rows):
        raise Refusal("INVALID_ARGUMENT", f"keys must be equal to: {sorted(specs)}")
    return {name: _tensor([row[name] for row in rows], spec.dtype) for name, spec in specs.items()}


def _tensor(value: Any, dtype: str) -> np.ndarray:
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    flat: list[Any] = []

    def fill(value: Any, level: int) -> None:
        if isinstance(value, list):
            if level >= len(shape) or len(value) != shape[level]:
                raise Refusal("INVALID_ARGUMENT", f"Encountered list at unexpected size or level: {level}")
            for one in value:
                fill(one, level + 1)
        elif level != len(shape):
            raise Refusal("INVALID_ARGUMENT", f"JSON Value found at incorrect level: {level}")
        else:
            flat.append(_scalar(value, dtype))

    fill(value, 0)
    array = np.empty(len(flat), numpy_dtype(dtype))
    array[:] = flat
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise Refusal("INVALID_ARGUMENT", f"tensor parsing error: {error}") from error


def _scalar(value: Any, dtype: str) -> Any:
    kinds = {"string": (str, dict), "bool": (bool,), "float32": (int, float), "float64": (int, float)}
    if not isinstance(value, kinds.get(dtype, (int,))) or (isinstance(value, bool) and dtype != "bool"):
        raise Refusal("INVALID_ARGUMENT", f"JSON Value: {str(value)[:60]} is not of expected type: {dtype}")
    if dtype == STRING:
        return _unescaped(value) if isinstance(value, dict) else value.encode()
    if dtype == "float32" and abs(value) > float(np.finfo(np.float32).max) and value not in (np.inf, -np.inf):
        raise Refusal("INVALID_ARGUMENT", f"Cannot convert JSON value: {value} to float without loss of precision.")
    if isinstance(value, int) and dtype not in ("float32", "float64", "bool"):
        limits = np.iinfo(numpy_dtype(dtype))
        if not limits.min <= value <= limits.max:
            raise Refusal("INVALID_ARGUMENT", f"JSON Value: {value} is not of expected type: {dtype}")
    return value


def _unescaped(value: dict[str, Any]) -> bytes:
    try:
        if _is_object(value):
            raise ValueError("not an object with b64 alone")
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("INVALID_ARGUMENT", f"Unable to base64 decode: {error}") from error


def example(row: Any) -> Any:
    if not isinstance(row, dict):
        raise Refusal("INVALID_ARGUMENT", "Example must be JSON object")
    example = tf.train.Example()
    for name, values in row.items():
        feature = example.features.feature[name]
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, float):
                feature.float_list.value.append(value)
            elif isinstance(value, int):
                feature.int64_list.value.append(value)
            elif isinstance(value, str):
                feature.bytes_list.value.append(value.encode())
            elif isinstance(value, dict):
                feature.bytes_list.value.append(_unescaped(value))
            else:
                raise Refusal("INVALID_ARGUMENT", f"Feature: {name} has element with unexpected JSON type")
    return example


def listed(array: np.ndarray, name: str) -> Any:
    if array.dtype.kind != "O":
        return array.tolist()
    encode = (lambda value: {"b64": base64.b64encode(value).decode()}) if name.endswith("_bytes") else bytes.decode
    return np.vectorize(encode, otypes=[object])(array).tolist()
