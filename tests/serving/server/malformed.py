"""Requests that a server must refuse, or answer, and survive: 1,000 of them, the same in every run."""

import base64
import dataclasses
import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2

from tests.serving import served_models

__all__ = ["Request", "requests"]

MODEL = "digits"
SHAPE = (8, 8, 1)


@dataclasses.dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        kind: what is wrong with it.
        body: what is sent by REST; None for gRPC.
        path: where it is sent to, behind ``/v1/models/``.
        tensors: what is sent by gRPC.
        signature: the signature, by gRPC.
        may_succeed: whether an answer is right, too.
    """

    kind: str
    body: bytes | None = None
    path: str = f"{MODEL}:predict"
    tensors: dict[str, tensor_pb2.TensorProto] = dataclasses.field(default_factory=dict)
    signature: str = "serving_default"
    may_succeed: bool = False


def requests(count: int, seed: int = 0) -> Iterator[Request]:
    """Make ``count`` requests, of every kind in turn."""
    source = random.Random(seed)
    for index in range(count):
        yield _MAKERS[index % len(_MAKERS)](source)


def _image(source: random.Random, shape: tuple[int, ...] = SHAPE) -> Any:
    values = [source.uniform(-1, 1) for _ in range(math.prod(shape))]
    return np.array(values).reshape(shape).tolist()


def _json(value: Any, **arguments: Any) -> Request:
    return Request(body=json.dumps(value).encode(), **arguments)


def _either(source: random.Random, value: Any) -> dict[str, Any]:
    """The value in row or in columnar form, with the name of the input or without."""
    key = source.choice(["inputs", "instances"])
    named = source.random() < 0.5
    if key == "inputs":
        return {"inputs": {"image": value} if named else value}
    rows = value if isinstance(value, list) else [value]
    return {"instances": [{"image": row} for row in rows] if named else rows}


def _rank(source: random.Random) -> Request:
    rank = source.choice([0, 1, 2, 3, 5, 6, 8])
    shape = tuple(source.choice([1, 2, 8] if rank < 6 else [1, 2]) for _ in range(rank))
    return _json(_either(source, _image(source, shape)), kind=f"rank {shape}")


def _shape(source: random.Random) -> Request:
    shape = [source.choice([1, 2]), *SHAPE]
    shape[source.randrange(1, 4)] = source.choice([2, 3, 7, 9, 16])
    return _json(_either(source, _image(source, tuple(shape))), kind=f"shape {shape}")


def _ragged(source: random.Random) -> Request:
    image = _image(source)
    image[source.randrange(8)] = source.choice([[], 0.5, image[0][:3], [[[0.5]]], None])
    return _json(_either(source, [image]), kind="ragged")


def _dtype(source: random.Random) -> Request:
    image = _image(source)
    wrong = source.choice(["text", True, None, {}, {"b64": "AAAA"}, {"a": 1}, [], "\u0000", "NaN", "1.5"])
    image[source.randrange(8)][source.randrange(8)][0] = wrong
    return _json(_either(source, [image]), kind=f"dtype {wrong!r}")


def _not_finite(source: random.Random) -> Request:
    image = _image(source)
    value = source.choice([math.nan, math.inf, -math.inf])
    image[source.randrange(8)][source.randrange(8)][0] = value
    return _json(_either(source, [image]), kind=f"value {value}", may_succeed=True)


def _empty(source: random.Random) -> Request:
    bodies = [b"", b"{}", b"[]", b"null", b'""', b'{"instances": []}', b'{"inputs": []}', b'{"inputs": {}}']
    bodies += [b'{"instances": [[]]}', b'{"instances": [{}]}', b'{"inputs": {"image": []}}', b'{"instances": null}']
    body = source.choice(bodies)
    return Request(f"empty {body!r}", body, source.choice([f"{MODEL}:predict", f"{MODEL}:classify"]))


def _huge(source: random.Random) -> Request:
    image = _image(source)
    image[0][0][0] = "HUGE"
    number = source.choice(["1e39", "-1e39", "1e400", "9" * 400, "1e-400", "3.5e38", str(2**64), str(-(2**63))])
    body = json.dumps(_either(source, [image])).replace('"HUGE"', number)
    return Request(f"huge {number[:8]}", body.encode(), may_succeed=True)


def _large(source: random.Random) -> Request:
    kind = source.choice(["nested", "wide", "string", "keys"])
    value: Any = 0.5
    if kind == "nested":
        for _ in range(source.choice([20, 100, 300])):
            value = [value]
    elif kind == "wide":
        value = [0.5] * 20_000
    elif kind == "string":
        value = "x" * 1_000_000
    else:
        value = {f"key{index}": index for index in range(2_000)}
    return _json(_either(source, value), kind=f"large {kind}")


def _base64(source: random.Random) -> Request:
    good = base64.b64encode(served_models.png(served_models.images(1)[0])).decode()
    wrong = source.choice([good[:-3], "*" * 8, "\u00e9\u00e9", good[:20] + "!" + good[20:], "====", "A", "%%%"])
    value: Any = source.choice([{"b64": wrong}, {"b64": 7}, {"b64": None}, {"b64": [good]}, {"b64": good, "c": 1}])
    return _json(
        {"signature_name": "serving_bytes", "instances": [{"image_bytes": value}]}, kind=f"base64 {value!r:.40}"
    )


def _truncated(source: random.Random) -> Request:
    encoded = served_models.png(served_models.images(1)[0])
    damaged = encoded[: source.randrange(len(encoded) // 2)]
    if source.random() < 0.3:
        damaged = bytes(source.randrange(256) for _ in range(60))
    value = {"b64": base64.b64encode(damaged).decode()}
    return _json({"signature_name": "serving_bytes", "inputs": {"image_bytes": [value]}}, kind="truncated image")


def _names(source: random.Random) -> Request:
    image = _image(source)
    good = {"instances": [{"image": image}]}
    documents = [
        {"instances": [{"picture": image}]},
        {"instances": [{"image": image, "more": 1.0}]},
        {"inputs": {"IMAGE": [image]}},
        {"examples": [image]},
        {"signature_name": "none", **good},
        {"signature_name": 7, **good},
        {"signature_name": "__saved_model_init_op", **good},
        {"signature_name": "serving_bytes", **good},
        {**good, "inputs": {"image": [image]}},
    ]
    if source.random() < 0.7:
        return _json(source.choice(documents), kind="names in the body")
    paths = ["none:predict", f"{MODEL}:explain", f"{MODEL}/versions/99:predict", f"{MODEL}/labels/none:predict"]
    paths += [f"{MODEL}/versions/x:predict", f"{MODEL}:classify", f"{MODEL}:regress", f"{MODEL}%2F:predict", ":predict"]
    return _json(good, kind="names in the path", path=source.choice(paths))


def _json_text(source: random.Random) -> Request:
    text = bytearray(json.dumps({"instances": [{"image": _image(source)}]}).encode())
    if source.random() < 0.5:
        del text[source.randrange(len(text) - 5) :]
    else:
        for _ in range(5):
            text[source.randrange(20)] = source.randrange(256)
    return Request("broken JSON", bytes(text), may_succeed=True)  # What is hit may be a blank.


def _examples(source: random.Random) -> Request:
    flat = np.ravel(_image(source)).tolist()
    features = [
        {"image": flat[:-1]},
        {"image": [*flat, 0.5]},
        {"image": [1] * 64},
        {"image": ["a"] * 64},
        {"image": [None]},
        {"image": {"deep": flat}},
        {"image": [flat]},
        {"picture": flat},
        {},
        7,
        None,
    ]
    return _json(
        {"signature_name": "classify", "examples": [source.choice(features)]}, kind="examples", path=f"{MODEL}:classify"
    )


def _tensor(dtype: Any, sizes: list[int], **fields: Any) -> tensor_pb2.TensorProto:
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes])
    return tensor_pb2.TensorProto(dtype=dtype, tensor_shape=shape, **fields)


def _grpc(source: random.Random) -> Request:
    content = np.zeros((1, *SHAPE), "float32").tobytes()
    kinds: dict[str, Callable[[], dict[str, tensor_pb2.TensorProto]]] = {
        "rank": lambda: {"image": _tensor(types_pb2.DT_FLOAT, [64], tensor_content=content)},
        "scalar": lambda: {"image": _tensor(types_pb2.DT_FLOAT, [], float_val=[1.0])},
        "shape": lambda: {"image": _tensor(types_pb2.DT_FLOAT, [1, 4, 16, 1], tensor_content=content)},
        "content too short": lambda: {"image": _tensor(types_pb2.DT_FLOAT, [2, *SHAPE], tensor_content=content)},
        "content too long": lambda: {"image": _tensor(types_pb2.DT_FLOAT, [1, 8, 7, 1], tensor_content=content)},
        "huge": lambda: {"image": _tensor(types_pb2.DT_FLOAT, [2**40, *SHAPE], tensor_content=content)},
        "overflow": lambda: {"image": _tensor(types_pb2.DT_FLOAT, [2**62, 2**62, 8, 1], tensor_content=content)},
        "negative": lambda: {"image": _tensor(types_pb2.DT_FLOAT, [-1, *SHAPE], tensor_content=content)},
        "doubles": lambda: {"image": _tensor(types_pb2.DT_DOUBLE, [1, *SHAPE], tensor_content=content * 2)},
        "strings": lambda: {"image": _tensor(types_pb2.DT_STRING, [1, *SHAPE], string_val=[b"a"] * 64)},
        "integers": lambda: {"image": _tensor(types_pb2.DT_INT32, [1, *SHAPE], tensor_content=content)},
        "no type": lambda: {"image": _tensor(types_pb2.DT_INVALID, [1, *SHAPE], tensor_content=content)},
        "wrong name": lambda: {"picture": _tensor(types_pb2.DT_FLOAT, [1, *SHAPE], tensor_content=content)},
        "no tensor": lambda: {"image": tensor_pb2.TensorProto()},
        "nothing": dict,
    }
    name = source.choice(list(kinds))
    return Request(f"gRPC, {name}", tensors=kinds[name]())


def _grpc_bytes(source: random.Random) -> Request:
    values = source.choice([[b""], [b"\xff" * 100], [b"\x89PNG\r\n\x1a\n"], [b"GIF89a"], [b"BM" + b"\0" * 60], []])
    tensor = _tensor(types_pb2.DT_STRING, [1], string_val=values)
    return Request("gRPC, no image", tensors={"image_bytes": tensor}, signature="serving_bytes")


def _grpc_empty(source: random.Random) -> Request:
    sizes = source.choice([[0, *SHAPE], [0], [1, 0, 8, 1], [0, 0, 0, 0]])
    return Request(f"gRPC, empty {sizes}", tensors={"image": _tensor(types_pb2.DT_FLOAT, sizes)}, may_succeed=True)


_MAKERS = [
    _rank,
    _shape,
    _ragged,
    _dtype,
    _not_finite,
    _empty,
    _huge,
    _large,
    _base64,
    _truncated,
    _names,
    _json_text,
    _examples,
    _grpc,
    _grpc_bytes,
    _grpc_empty,
]
