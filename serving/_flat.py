"""A traced function as one graph without calls, and functions made of such graphs again."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.grappler import tf_optimizer

__all__ = ["Flat", "as_function", "flatten", "needed", "node_of"]

v1 = tf.compat.v1
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_CONTROL_FLOW = ("If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase")
_IDENTITIES = ("Identity", "IdentityN", "PreventGradient", "StopGradient")
_LOWERED = "_lower_using_switch_merge"


@dataclasses.dataclass
class Flat:
    """A graph without calls of functions; loops and conditionals keep theirs.

    Attributes:
        graph: a GraphDef.
        inputs: the placeholders of the inputs, in order.
        outputs: names of tensors by the names of the outputs.
        captures: values from outside (handles of variables and tables, tensors) by their placeholders.
        effects: nodes that stay as they are: they run though no output may need them, or are known by their names.
        weights: arrays by the placeholders that stand for them.
    """

    graph: Any
    inputs: list[str]
    outputs: dict[str, str]
    captures: dict[str, Any]
    effects: list[str]
    weights: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(array.nbytes for array in self.weights.values())


def flatten(concrete: Any) -> Flat:
    """Return the graph of a concrete function whose outputs are a dict, its calls inlined."""
    graph = concrete.graph
    captures = {inner.op.name: outer for outer, inner in graph.captures}
    effects = [op.name for op in graph.control_outputs if op.type != "ReadVariableOp"]
    outputs = dict(zip(sorted(concrete.structured_outputs), (tensor.name for tensor in concrete.outputs), strict=True))
    inputs = [tensor.op.name for tensor in concrete.inputs if tensor.op.name not in captures]
    definition = graph.as_graph_def()
    if any(node.op in _CALLS for node in definition.node):
        definition = _inlined(definition, [*inputs, *captures, *effects, *map(node_of, outputs.values())])
        effects = _causes(definition, effects)
    _without_identities(definition, {*effects, *map(node_of, outputs.values())})
    return Flat(definition, inputs, outputs, captures, effects)


def _inlined(definition: Any, fetches: Iterable[str]) -> Any:
    for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
        for node in nodes:
            if node.op in _CONTROL_FLOW:  # These would become ops of TF1.
                node.attr[_LOWERED].b = False
    meta: Any = v1.MetaGraphDef()
    meta.graph_def.CopyFrom(definition)
    meta.collection_def["train_op"].node_list.value.extend(dict.fromkeys(fetches))
    config: Any = v1.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1
    options.optimizers.append("function")
    inlined: Any = tf_optimizer.OptimizeGraph(config, meta)
    for nodes in (inlined.node, *(function.node_def for function in inlined.library.function)):
        for node in nodes:
            if node.op in _CONTROL_FLOW:
                node.attr[_LOWERED].b = True
    return inlined


def _without_identities(definition: Any, kept: set[str]) -> None:
    """Let operations take their inputs themselves, which inlined calls and custom gradients hand on by identities."""
    resource = tf.resource.as_datatype_enum
    sources: dict[str, list[str]] = {}
    for node in definition.node:
        ordered = any(name.startswith("^") for name in node.input)
        handle = node.op == "Identity" and node.attr["T"].type == resource
        if node.op in _IDENTITIES and node.name not in kept and (handle or not ordered):
            sources[node.name] = [name for name in node.input if not name.startswith("^")]
    nodes = [node for node in definition.node if node.name not in sources]
    for node in nodes:
        inputs = [each for name in node.input for each in _through(name, sources)]
        data = [name for name in inputs if not name.startswith("^")]
        node.input[:] = [*data, *dict.fromkeys(name for name in inputs if name.startswith("^"))]
    del definition.node[:]
    definition.node.extend(nodes)


def _through(name: str, sources: Mapping[str, list[str]]) -> list[str]:
    """Return what stands behind the identities that make a tensor, or that a control edge comes from."""
    if node_of(name) not in sources:
        return [name]
    behind = sources[node_of(name)]
    if name.startswith("^"):
        return [each for one in behind for each in _through(f"^{node_of(one)}", sources)]
    return _through(behind[int(name.partition(":")[2] or 0)], sources)


def _causes(definition: Any, effects: Iterable[str]) -> list[str]:
    """Return the nodes that run in the place of inlined calls."""
    nodes = {node.name: node for node in definition.node}
    found: list[str] = []
    for name in effects:
        if nodes[name].op in ("Identity", "IdentityN"):
            found += [node_of(each) for each in nodes[name].input if each.startswith("^")]
        else:
            found.append(name)
    return found


def as_function(flat: Flat, specs: Sequence[tf.TensorSpec], variables: Mapping[str, tf.Variable]) -> Any:
    """Return a concrete function from the inputs to a dict of the outputs.

    Args:
        flat: the graph.
        specs: of the inputs, in order.
        variables: what holds the weights that shall not be constants, by their placeholders.
    """
    used = {node_of(name) for node in flat.graph.node for name in node.input}
    present = {node.name for node in flat.graph.node}

    def call(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        graph: Any = v1.get_default_graph()
        feeds = dict(zip(flat.inputs, inputs, strict=True))
        feeds |= {name: graph.capture(value) for name, value in flat.captures.items() if name in present}
        for name, array in flat.weights.items():
            feeds[name] = variables[name].read_value() if name in variables else tf.constant(array)
        computed = {name: tensor for name, tensor in flat.outputs.items() if node_of(tensor) not in feeds}
        definition = type(flat.graph)()
        definition.CopyFrom(flat.graph)
        del definition.node[:]
        definition.node.extend(node for node in flat.graph.node if node.name not in feeds)
        results = tf.graph_util.import_graph_def(
            definition,
            input_map={f"{name}:0": tensor for name, tensor in feeds.items() if name in used},
            return_elements=list(computed.values()),
            name="",
        )
        found = dict(zip(computed, results, strict=True))
        return {
            name: found[name] if name in found else tf.identity(feeds[node_of(tensor)])
            for name, tensor in flat.outputs.items()
        }

    return tf.function(call, input_signature=list(specs), autograph=False).get_concrete_function()


def node_of(tensor: str) -> str:
    """Return the name of the node that makes a tensor or a control edge."""
    return tensor.lstrip("^").partition(":")[0]


def needed(definition: Any, roots: Iterable[str], control: bool = True) -> Any:
    """Return the part of a GraphDef that the nodes ``roots`` depend on, with the whole library.

    Args:
        definition: the graph.
        roots: names of nodes.
        control: whether control edges count; if not, the part has none.
    """
    nodes = {node.name: node for node in definition.node}
    seen: set[str] = set()
    pending = [name for name in roots if name in nodes]
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += [node_of(each) for each in nodes[name].input if control or not each.startswith("^")]
    part = type(definition)()
    part.versions.CopyFrom(definition.versions)
    part.library.CopyFrom(definition.library)
    part.node.extend(node for node in definition.node if node.name in seen)
    for node in () if control else part.node:
        node.input[:] = [name for name in node.input if not name.startswith("^")]
    return part
