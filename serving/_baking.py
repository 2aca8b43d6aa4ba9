"""Compute at export what does not depend on the inputs: kernels from their free weights, above all."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.serving._flat import Flat, needed, node_of

__all__ = ["bake", "freed"]

v1 = tf.compat.v1
_READS = ("ReadVariableOp", "ResourceGather")
_NEVER = (
    *("Placeholder", "PlaceholderWithDefault"),
    *("Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch", "RefSwitch"),
)
# What is computed may be larger than what it is computed from, as kernels are; but not as images of zeros are.
_GROWTH = 128
_ALWAYS_SMALL = 1 << 20  # bytes


def bake(flat: Flat) -> Flat:
    """Return the graph with all that depends on weights and constants alone computed.

    The result has a placeholder in the place of each tensor that was computed, and its value among the weights.
    Variables that the graph writes to, and those that loops and conditionals read, stay as they are.
    """
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(flat.graph, name="")
    constant = _constant_sizes(graph, flat)
    fixed = {name for name, size in constant.items() if size is not None}
    frontier = dict.fromkeys(_frontier(graph, flat, fixed))
    values = dict(zip(frontier, _evaluate(flat, list(frontier)), strict=True))
    taken = {op.name for op in graph.get_operations()}
    names: dict[str, str] = {}
    weights = {}
    definition = type(flat.graph)()
    definition.versions.CopyFrom(flat.graph.versions)
    definition.library.CopyFrom(flat.graph.library)
    for tensor, value in values.items():
        name = names[tensor] = _fresh(f"{node_of(tensor)}/value", taken)
        weights[name] = value
        definition.node.append(_placeholder(name, value))
    for node in flat.graph.node:
        if node.name in fixed and node.op != "Const":
            continue
        new = definition.node.add()
        new.CopyFrom(node)
        if new.op == "ResourceGather" and f"{node.input[0]}/read" in names:
            _read_by_gather(new, names[f"{node.input[0]}/read"], definition, taken)
            continue
        del new.input[:]
        for name in node.input:
            if not name.startswith("^"):
                new.input.append(names.get(_tensor(name), name))
            elif node_of(name) not in fixed:
                new.input.append(name)
    outputs = {name: names.get(tensor, tensor) for name, tensor in flat.outputs.items()}
    definition = needed(definition, [*flat.inputs, *flat.effects, *map(node_of, outputs.values())])
    return dataclasses.replace(flat, graph=definition, outputs=outputs, weights=weights)


def freed(flat: Flat) -> Flat:
    """Return the graph without the weights that nothing in it needs."""
    graph = needed(flat.graph, [*flat.inputs, *flat.effects, *map(node_of, flat.outputs.values())])
    present = {node.name for node in graph.node} | set(map(node_of, flat.outputs.values()))
    weights = {name: value for name, value in flat.weights.items() if name in present}
    return dataclasses.replace(flat, graph=graph, weights=weights)


def _constant_sizes(graph: tf.Graph, flat: Flat) -> dict[str, int | None]:
    """Return for each node the bytes of the largest constant that it is computed from; None where inputs matter."""
    read_only = {name for name in flat.captures if _is_only_read(graph.get_operation_by_name(name))}
    sizes: dict[str, int | None] = dict.fromkeys(flat.effects)
    for op in _ordered(graph):
        if op.name not in sizes:
            sizes[op.name] = _constant_size(op, sizes, read_only)
    return sizes


def _constant_size(op: Any, sizes: dict[str, int | None], read_only: set[str]) -> int | None:
    produced = _bytes(op.outputs)
    if op.type == "Const":
        return produced
    if op.type == "Placeholder":
        return produced if op.name in read_only and op.outputs[0].dtype != tf.resource else None
    if op.type == "ReadVariableOp":
        return produced if op.inputs[0].op.name in read_only else None
    if op.op_def.is_stateful or op.type in _NEVER or not op.inputs or produced is None:
        return None
    sources = [sizes.get(tensor.op.name) for tensor in op.inputs]
    if None in sources:
        return None
    largest = max(size for size in sources if size is not None)
    return largest if produced <= max(_ALWAYS_SMALL, _GROWTH * largest) else None


def _is_only_read(op: Any) -> bool:
    return all(user.type in _READS and user.inputs[0].op is op for user in op.outputs[0].consumers()) or (
        op.outputs[0].dtype not in (tf.resource, tf.variant)
    )


def _bytes(tensors: Iterable[Any]) -> int | None:
    total = 0
    for tensor in tensors:
        if tensor.dtype in (tf.resource, tf.variant, tf.string):  # Strings may be paths, which change.
            return None
        sizes = tensor.shape.as_list() if tensor.shape.rank is not None else []
        total += math.prod(size or 1 for size in sizes) * tensor.dtype.size
    return total


def _ordered(graph: tf.Graph) -> Iterator[Any]:
    """Yield the operations, each after those that it takes data from, where there is no loop."""
    done: set[str] = set()
    for start in graph.get_operations():
        pending = [start]
        entered: set[str] = set()
        while pending:
            op: Any = pending[-1]
            missing = [t.op for t in op.inputs if t.op.name not in done and t.op.name not in entered]
            entered.add(op.name)
            if missing and op.name not in done:
                pending += missing
                continue
            pending.pop()
            if op.name not in done:
                done.add(op.name)
                yield op


def _frontier(graph: tf.Graph, flat: Flat, fixed: set[str]) -> Iterator[str]:
    """Yield the tensors that are computed from constants and needed by what is not."""
    for op in graph.get_operations():
        if op.name in fixed:
            continue
        if op.type == "ResourceGather" and op.inputs[0].op.name in flat.captures and _is_only_read(op.inputs[0].op):
            yield f"{op.inputs[0].op.name}/read"
        yield from (t.name for t in op.inputs if t.op.name in fixed and t.op.type != "Const")
    for tensor in flat.outputs.values():
        if node_of(tensor) in fixed and graph.get_operation_by_name(node_of(tensor)).type != "Const":
            yield tensor


def _evaluate(flat: Flat, tensors: list[str]) -> list[np.ndarray]:
    """Compute tensors that need no input. ``NAME/read`` is the value of the variable whose handle is captured."""
    if not tensors:
        return []
    if not flat.captures:
        with tf.Graph().as_default(), v1.Session() as session:
            part = needed(flat.graph, map(node_of, tensors), control=False)
            return session.run(tf.graph_util.import_graph_def(part, return_elements=tensors, name=""))
    handles = {tensor: tensor.removesuffix("/read") for tensor in tensors if ":" not in tensor}
    computed = [tensor for tensor in tensors if tensor not in handles]
    part = needed(flat.graph, map(node_of, computed), control=False)
    present = {node.name for node in part.node}
    types = {node.name: _read_type(flat.graph, node.name) for node in flat.graph.node if node.name in handles.values()}

    def compute() -> list[tf.Tensor]:
        graph: Any = v1.get_default_graph()
        feeds = {f"{name}:0": graph.capture(flat.captures[name]) for name in flat.captures if name in present}
        results = tf.graph_util.import_graph_def(part, input_map=feeds, return_elements=computed, name="")
        found = dict(zip(computed, results or (), strict=True))
        for tensor, name in handles.items():
            handle = graph.capture(flat.captures[name])
            found[tensor] = tf.raw_ops.ReadVariableOp(resource=handle, dtype=types[name])
        return [tf.identity(found[tensor]) for tensor in tensors]

    with tf.device("CPU:0"):
        traced = tf.function(compute, autograph=False).get_concrete_function()  # a call would warn of tracing anew
        return [np.asarray(tensor.numpy()) for tensor in traced()]


def _read_type(definition: Any, handle: str) -> Any:
    node = next(node for node in definition.node if node.op == "ResourceGather" and node_of(node.input[0]) == handle)
    return tf.as_dtype(node.attr["dtype"].type)


def _read_by_gather(node: Any, weight: str, definition: Any, taken: set[str]) -> None:
    """Turn a gather from a variable into one from a tensor."""
    axis = definition.node.add(name=_fresh(f"{node.name}/axis", taken), op="Const")
    axis.attr["dtype"].type = tf.int32.as_datatype_enum
    axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0, tf.int32))
    indices = node.input[1]
    kinds = {"Tparams": node.attr["dtype"].type, "Tindices": node.attr["Tindices"].type}
    batch_dims = node.attr["batch_dims"].i
    node.op = "GatherV2"
    node.input[:] = [weight, indices, axis.name]
    node.attr.clear()
    for name, kind in {**kinds, "Taxis": tf.int32.as_datatype_enum}.items():
        node.attr[name].type = kind
    node.attr["batch_dims"].i = batch_dims


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _placeholder(name: str, value: np.ndarray) -> Any:
    node: Any = v1.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    return node
