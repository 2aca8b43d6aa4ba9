"""Multiply what follows a convolution channel by channel, such as batch normalisation, into its kernel and bias."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.serving._baking import freed
from tf_symconv.serving._flat import Flat, node_of

__all__ = ["fold_affine"]

# The axis of the kernel that holds the output channels; of depthwise ones, the last two.
_KERNEL_AXES = {
    "Conv2D": (-1,),
    "Conv3D": (-1,),
    "Conv2DBackpropInput": (-2,),
    "Conv3DBackpropInputV2": (-2,),
    "DepthwiseConv2dNative": (-2, -1),
    "MatMul": (-1,),
}
_TYPES = (tf.float32.as_datatype_enum, tf.float64.as_datatype_enum)


def fold_affine(flat: Flat) -> Flat:
    """Return the graph with kernels and biases changed in the place of multiplications and additions behind them.

    Each convolution (and matrix product) whose result goes through multiplications with and additions of one number
    per channel, and nowhere else meanwhile, becomes a convolution and one addition.
    """
    graph = _Graph(flat)
    for node in [node for node in graph.nodes.values() if node.op in _KERNEL_AXES]:
        _fold(graph, node)
    return freed(graph.flat())


@dataclasses.dataclass
class _Chain:
    """What happens to the channels after a convolution: ``scale * outputs + offset``."""

    scale: np.ndarray
    offset: np.ndarray
    steps: list[Any] = dataclasses.field(default_factory=list)


def _fold(graph: "_Graph", node: Any) -> None:
    kernel = graph.value(node.input[1])
    transposed = "transpose_b" in node.attr and node.attr["transpose_b"].b
    if kernel is None or transposed or not _channels_last(node) or node.attr["T"].type not in _TYPES:
        return
    axes = _KERNEL_AXES[node.op]
    channels = int(np.prod([kernel.shape[axis] for axis in axes]))
    chain = _Chain(np.ones(channels), np.zeros(channels))
    at = node.name
    while (step := graph.only_user(at)) is not None and _take(graph, step, at, chain):
        at = step.name
    if not chain.steps or (len(chain.steps) == 1 and chain.steps[0].op == "BiasAdd"):
        return
    if not (np.isfinite(chain.scale).all() and np.isfinite(chain.offset).all()):
        return
    spread = [1] * kernel.ndim
    for axis in axes:
        spread[axis] = kernel.shape[axis]
    scaled = (kernel.astype(np.float64) * chain.scale.reshape(spread)).astype(kernel.dtype)
    if not np.array_equal(scaled, kernel):
        node.input[1] = graph.add_weight(f"{node.name}/kernel", scaled)
    for step in chain.steps:
        graph.bypass(step)
    if chain.offset.any():
        graph.add_bias(node, chain.offset.astype(kernel.dtype))


def _take(graph: "_Graph", step: Any, source: str, chain: _Chain) -> bool:
    """Put the step that follows ``source`` into the chain, if it acts on each channel alone."""
    rank = graph.rank(source)
    if _moves_no_channel(graph, step, source):
        return True
    rule = _RULES.get(step.op)
    if (
        rule is None
        or graph.is_kept(step.name)
        or len(step.input) != 2
        or any(name.startswith("^") for name in step.input)
    ):
        return False
    place = [node_of(name) for name in step.input].index(source)
    other = graph.value(step.input[1 - place])
    if other is None or not _channels_last(step) or (place == 1 and step.op in _ONE_WAY):
        return False
    count = len(chain.scale)
    if other.size not in (1, count) or (other.size > 1 and other.shape[-1] != count) or other.ndim > rank:
        return False
    operand = np.broadcast_to(other.astype(np.float64).ravel(), (count,))
    chain.scale, chain.offset = rule(chain.scale, chain.offset, operand)
    chain.steps.append(step)
    return True


_Rule = Callable[[Any, Any, Any], tuple[Any, Any]]
_RULES: dict[str, _Rule] = {
    "BiasAdd": lambda scale, offset, other: (scale, offset + other),
    "Add": lambda scale, offset, other: (scale, offset + other),
    "AddV2": lambda scale, offset, other: (scale, offset + other),
    "Sub": lambda scale, offset, other: (scale, offset - other),
    "Mul": lambda scale, offset, other: (scale * other, offset * other),
    "RealDiv": lambda scale, offset, other: (scale / other, offset / other),
}
_ONE_WAY = ("BiasAdd", "Sub", "RealDiv")


def _channels_last(node: Any) -> bool:
    return "data_format" not in node.attr or node.attr["data_format"].s in (b"NHWC", b"NDHWC")


def _moves_no_channel(graph: "_Graph", step: Any, source: str) -> bool:
    """Whether a step hands on each channel as it is, be it elsewhere in the image."""
    rank = graph.rank(source)
    if step.op == "Squeeze":
        axes = [axis % rank for axis in step.attr["squeeze_dims"].list.i] if rank else []
        return bool(axes) and rank - 1 not in axes
    if step.op == "BatchToSpaceND" and node_of(step.input[0]) == source:
        blocks = graph.value(step.input[1])
        return blocks is not None and 1 + len(blocks) < rank
    return step.op == "Identity"


class _Graph:
    """Nodes by name, with who uses them."""

    def __init__(self, flat: Flat):
        self._flat = flat
        self.nodes = {node.name: node for node in flat.graph.node}
        self._weights = dict(flat.weights)
        self._outputs = dict(flat.outputs)
        self._users: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for name in node.input:
                self._users.setdefault(node_of(name), []).append(node.name)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(flat.graph, name="")
        self._ranks = {op.name: op.outputs[0].shape.rank for op in graph.get_operations() if op.outputs}

    def flat(self) -> Flat:
        definition = type(self._flat.graph)()
        definition.CopyFrom(self._flat.graph)
        del definition.node[:]
        definition.node.extend(self.nodes.values())
        return dataclasses.replace(self._flat, graph=definition, weights=self._weights, outputs=self._outputs)

    def value(self, tensor: str) -> np.ndarray | None:
        """Return what a tensor always is, if that is known."""
        node = self.nodes[node_of(tensor)]
        if node.op == "Identity":
            return self.value(node.input[0])
        if node.op == "Const":
            return tf.make_ndarray(node.attr["value"].tensor)
        return self._weights.get(node.name)

    def is_kept(self, name: str) -> bool:
        return name in self._flat.effects

    def rank(self, name: str) -> int:
        return self._ranks.get(name) or 0

    def only_user(self, name: str) -> Any:
        """Return the node that alone uses another one, once."""
        users = self._users.get(name, [])
        if len(users) != 1 or name in map(node_of, self._outputs.values()):
            return None
        user = self.nodes[users[0]]
        return user if any(node_of(each) == name and not each.startswith("^") for each in user.input) else None

    def add_weight(self, name: str, value: np.ndarray) -> str:
        name = self._fresh(name)
        node: Any = tf.compat.v1.NodeDef(name=name, op="Placeholder")
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
        self.nodes[name] = node
        self._weights[name] = value
        return name

    def bypass(self, step: Any) -> None:
        """Hand the users of a step what the step takes from the convolution."""
        source = next(name for name in step.input if self.value(name) is None)
        self._rewire(step.name, source)
        self._users[node_of(source)] = [*self._users.pop(step.name, [])]
        del self.nodes[step.name]

    def add_bias(self, node: Any, offset: np.ndarray) -> None:
        """Add an offset to what a node makes."""
        bias: Any = tf.compat.v1.NodeDef(name=self._fresh(f"{node.name}/bias"), op="BiasAdd")
        weight = self.add_weight(f"{node.name}/offset", offset)
        self._rewire(node.name, bias.name)
        bias.input.extend([node.name, weight])
        bias.attr["T"].type = tf.as_dtype(offset.dtype).as_datatype_enum
        bias.attr["data_format"].s = b"NHWC"
        self.nodes[bias.name] = bias
        self._users[bias.name] = self._users.get(node.name, [])
        self._users[node.name] = [bias.name]

    def _rewire(self, old: str, new: str) -> None:
        for user in self._users.get(old, []):
            inputs = self.nodes[user].input
            for index, name in enumerate(inputs):
                if node_of(name) == old:
                    inputs[index] = f"^{node_of(new)}" if name.startswith("^") else new
        for output, tensor in self._outputs.items():
            if node_of(tensor) == old:
                self._outputs[output] = new if ":" in new else f"{new}:0"

    def _fresh(self, name: str) -> str:
        while name in self.nodes:
            name += "_"
        return name
