"""The few fields of TensorFlow's protocol buffers that are read and written here, without TensorFlow's Python package.

A private descriptor pool holds them, so they never meet the full definitions that TensorFlow registers when it is
imported in the same process. Fields that are not listed are skipped. What was read is not to be written again: fields
that hold their defaults would get lost. A map field is a repeated message with ``key`` and ``value``, as it is on the
wire.
"""

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

__all__ = ["DecodeError", "Message", "new"]

DecodeError = message.DecodeError
Message = Any  # The classes are made at run time; their fields are those of _SCHEMA.

_PACKAGE = "tf_symconv.wire"
# message: {field: (number, type)}; a star after the type marks a repeated field.
_SCHEMA = {
    "SavedModel": {"meta_graphs": (2, "MetaGraph*")},
    "MetaGraph": {
        "meta_info_def": (1, "MetaInfo"),
        "graph_def": (2, "Graph"),
        "signature_def": (5, "SignatureEntry*"),
    },
    "MetaInfo": {"tags": (4, "string*"), "tensorflow_version": (5, "string")},
    "SignatureEntry": {"key": (1, "string"), "value": (2, "Signature")},
    "Signature": {
        "inputs": (1, "TensorEntry*"),
        "outputs": (2, "TensorEntry*"),
        "method_name": (3, "string"),
    },
    "TensorEntry": {"key": (1, "string"), "value": (2, "TensorInfo")},
    "TensorInfo": {"name": (1, "string"), "dtype": (2, "int32"), "tensor_shape": (3, "Shape")},
    "Shape": {"dim": (2, "Dim*"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64")},
    "Graph": {"node": (1, "Node*"), "library": (2, "Library")},
    "Library": {"function": (1, "Function*")},
    "Function": {"signature": (1, "OpDef"), "node_def": (3, "Node*"), "attr": (5, "AttrEntry*")},
    "OpDef": {"name": (1, "string")},
    "OpList": {"op": (1, "OpDef*")},
    "Node": {"name": (1, "string"), "op": (2, "string"), "attr": (5, "AttrEntry*")},
    "AttrEntry": {"key": (1, "string"), "value": (2, "Attr")},
    "Attr": {"list": (1, "AttrList"), "b": (5, "bool"), "type": (6, "int32"), "func": (10, "NameAttr")},
    "AttrList": {"type": (6, "int32*"), "func": (9, "NameAttr*")},
    "NameAttr": {"name": (1, "string")},
    # What the server logs of requests, and reads as requests to warm up with (tensorflow_serving/apis).
    "PredictionLog": {
        "classify_log": (2, "ExampleLog"),
        "regress_log": (3, "ExampleLog"),
        "predict_log": (6, "PredictLog"),
    },
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "InputEntry*")},
    "InputEntry": {"key": (1, "string"), "value": (2, "bytes")},  # value: a serialised TensorProto
    "ExampleLog": {"request": (1, "ExampleRequest")},
    "ExampleRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "ExampleInput")},
    "ExampleInput": {"example_list": (1, "ExampleList")},
    "ExampleList": {"examples": (1, "bytes*")},  # serialised Examples
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
}


def new(name: str) -> Message:
    """Make an empty message of the kind ``name``."""
    return _classes()[name]()


@functools.cache
def _classes() -> dict[str, type]:
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {"string": kinds.TYPE_STRING, "int32": kinds.TYPE_INT32, "int64": kinds.TYPE_INT64}
    scalars.update({"bool": kinds.TYPE_BOOL, "bytes": kinds.TYPE_BYTES})
    file = descriptor_pb2.FileDescriptorProto(name="tf_symconv_wire.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _SCHEMA.items():
        described = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            field = described.field.add(name=field_name, number=number)
            field.label = kinds.LABEL_REPEATED if kind.endswith("*") else kinds.LABEL_OPTIONAL
            base = kind.rstrip("*")
            if base in scalars:
                field.type = scalars[base]
            else:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{base}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = ((name, pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _SCHEMA)
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found}
