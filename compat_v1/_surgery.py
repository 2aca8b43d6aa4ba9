"""Cut the part of a TF1 graph that serves out of the whole: new inputs, checked; no training; resource variables."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["Input", "cut", "to_resource_variables", "variables"]

_REFERENCE = ("Variable", "VariableV2")
_RESOURCE = "VarHandleOp"


@dataclasses.dataclass(frozen=True)
class Input:
    """A placeholder to be fed in place of a tensor of the graph.

    Args:
        replaces: Name of the tensor, such as ``"x:0"``.
        name: Name of the placeholder.
        dtype: Its type.
        shape: Its shape; the graph checks it where anything is known of it.
    """

    replaces: str
    name: str
    dtype: tf.DType
    shape: tf.TensorShape

    @property
    def tensor(self) -> str:
        """The name of the tensor that is fed."""
        return f"{self.name}:0"


def cut(graph_def: Any, inputs: Sequence[Input], outputs: Iterable[str]) -> tuple[Any, dict[str, str]]:
    """Return the part of a graph that computes some tensors and operations from new inputs.

    Args:
        graph_def: The whole graph.
        inputs: What to feed.
        outputs: Names of tensors (``"y:0"``) and operations (``"init"``) to keep.

    Returns:
        The part, without devices and colocations, and for each of ``outputs`` its name in it: an output that is an
        input becomes the checked input.
    """
    whole = tf.compat.v1.GraphDef()
    whole.CopyFrom(graph_def)
    checked = {_canonical(each.replaces): f"{each.name}_checked" for each in inputs}
    for node in whole.node:
        node.device = ""
        node.attr.pop("_class", None)
        for place, source in enumerate(node.input):
            if not source.startswith("^"):
                node.input[place] = checked.get(_canonical(source), source)
    for each in inputs:
        placeholder = whole.node.add(name=each.name, op="Placeholder")
        placeholder.attr["dtype"].type = each.dtype.as_datatype_enum
        placeholder.attr["shape"].shape.CopyFrom(each.shape.as_proto())
        known = each.shape.rank is not None
        check = whole.node.add(name=f"{each.name}_checked", op="EnsureShape" if known else "Identity")
        check.input.append(each.name)
        check.attr["T"].type = each.dtype.as_datatype_enum
        if known:
            check.attr["shape"].shape.CopyFrom(each.shape.as_proto())
    names = {name: f"{checked[key]}:0" if (key := _canonical(name)) in checked and ":" in name else name
             for name in outputs}  # fmt: skip
    roots = [name.partition(":")[0] for name in names.values()] + [each.name for each in inputs]
    return tf.compat.v1.graph_util.extract_sub_graph(whole, list(dict.fromkeys(roots))), names


def variables(graph_def: Any) -> dict[str, Any]:
    """Return the nodes of the variables of a graph, by name."""
    return {node.name: node for node in graph_def.node if node.op in (*_REFERENCE, _RESOURCE)}


def to_resource_variables(graph_def: Any, op_defs: Mapping[str, Any]) -> dict[str, str]:
    """Turn the reference variables of a graph into resource variables, in place.

    Stock TensorFlow loads either, but only the latter can be called, differentiated and saved from TF2.

    Args:
        graph_def: The graph; it is changed.
        op_defs: Definitions of its operations by their kind, which tell what writes to a variable.

    Returns:
        For every variable of the graph the name of an operation that reads it.

    Raises:
        ValueError: If an operation writes to a variable.
    """
    reference = {name for name, node in variables(graph_def).items() if node.op in _REFERENCE}
    reads: dict[str, str] = {}
    extra: list[Any] = []

    def read(name: str, dtype: int) -> str:
        if name not in reads:
            node = tf.compat.v1.NodeDef(name=f"{name}/symconv_read", op="ReadVariableOp", input=[name])
            node.attr["dtype"].type = dtype
            extra.append(node)
            reads[name] = node.name
        return reads[name]

    dtypes = {name: node.attr["dtype"].type for name, node in variables(graph_def).items()}
    for node in graph_def.node:
        sources = [_canonical(source).partition(":")[0] for source in node.input if not source.startswith("^")]
        if node.op == "ReadVariableOp" and sources[0] in dtypes:
            reads.setdefault(sources[0], node.name)
        touched = reference.intersection(sources)
        if not touched:
            continue
        if any(argument.is_ref for argument in op_defs[node.op].input_arg):
            raise ValueError(
                "The outputs must not depend on operations that write to variables: build the graph for inference. "
                f"Received: {node.op} {node.name!r} on {sorted(touched)}"
            )
        if node.op == "Identity":
            name = sources[0]
            node.op = "ReadVariableOp"
            node.attr.clear()
            node.attr["dtype"].type = dtypes[name]
            reads.setdefault(name, node.name)
        else:
            for place, source in enumerate(node.input):
                name = _canonical(source).partition(":")[0]
                if not source.startswith("^") and name in reference:
                    node.input[place] = read(name, dtypes[name])
    for name, node in variables(graph_def).items():
        if name in reference:
            kept = {key: tf.compat.v1.AttrValue() for key in ("dtype", "shape")}
            for key, value in kept.items():
                value.CopyFrom(node.attr[key])
            node.op = _RESOURCE
            node.attr.clear()
            for key, value in kept.items():
                node.attr[key].CopyFrom(value)
        node.attr["container"].s = b""
        node.attr["shared_name"].s = name.encode()
        read(name, dtypes[name])
    graph_def.node.extend(extra)
    return reads


def _canonical(tensor: str) -> str:
    """Return the name of a tensor with its output number."""
    return tensor if ":" in tensor else f"{tensor}:0"
