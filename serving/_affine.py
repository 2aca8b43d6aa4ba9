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
    "BatchMatMulV2": (-1,),
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
    """What happens to the channels after a convolution: ``scale * outputs + offset``.

    ``mixed`` tells that places of the image are combined meanwhile, which offsets before that would not survive.
    """

    scale: np.ndarray
    offset: np.ndarray
    steps: list[Any] = dataclasses.field(default_factory=list)
    mixed: bool = False


def _fold(graph: "_Graph", node: Any) -> None:
    kernel = graph.value(node.input[1])
    transposed = any(name in node.attr and node.attr[name].b for name in ("transpose_b", "adj_y"))
    if kernel is None or transposed or not _channels_last(node) or node.attr["T"].type not in _TYPES:
        return
    axes = _KERNEL_AXES[node.op]
    channels = int(np.prod([kernel.shape[axis] for axis in axes]))
    chain = _Chain(np.ones(channels), np.zeros(channels))
    at = node.name
    while (step := graph.only_user(at)) is not None and _take(graph, step, at, chain):
        at = step.name
    if not chain.steps or (len(chain.steps) == 1 and (chain.mixed or chain.steps[0].op == "BiasAdd")):
        return
    if not (np.isfinite(chain.scale).all() and np.isfinite(chain.offset).all()):
        return
    spread = [1] * kernel.ndim
    for axis in axes:
        spread[axis] = kernel.shape[axis]
    scaled = (kernel.astype(np.float64) * chain.scale.reshape(spread)).astype(kernel.dtype)
    if not np.array_equal(scaled, kernel):
        node.input[1] = graph.add_weight(f"{node.name}/kernel", scaled)
    offset = chain.offset.astype(kernel.dtype)
    if chain.mixed:
        graph.make_addition(chain.steps.pop(), offset)
    elif offset.any():
        graph.add_bias(node, offset)
    for step in chain.steps:
        graph.bypass(step)


def _take(graph: "_Graph", step: Any, source: str, chain: _Chain) -> bool:
    """Put the step that follows ``source`` into the chain, if it acts on each channel alone."""
    shape = graph.shape(source)
    count = len(chain.scale)
    if _moves_no_channel(graph, step, source, count):
        return True
    if _mixes_places(graph, step, source) and not chain.offset.any():
        chain.mixed = True
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
    if other.size not in (1, count) or (other.size > 1 and not other.shape[-1] == shape[-1] == count):
        return False
    if other.ndim > len(shape):
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


def _moves_no_channel(graph: "_Graph", step: Any, source: str, channels: int) -> bool:
    """Whether a step hands on each channel as it is, be it elsewhere in the image."""
    shape = graph.shape(source)
    rank = len(shape)
    if step.op == "Squeeze":
        axes = [axis % rank for axis in step.attr["squeeze_dims"].list.i] if rank else []
        return bool(axes) and rank - 1 not in axes
    if step.op == "BatchToSpaceND" and node_of(step.input[0]) == source:
        blocks = graph.value(step.input[1])
        return blocks is not None and 1 + len(blocks) < rank
    if step.op == "Reshape" and node_of(step.input[0]) == source:
        last = (shape[-1:], graph.shape(step.name)[-1:])  # The channel is what varies fastest, before and after.
        return all(size and size[0] and size[0] % channels == 0 for size in last)
    return step.op == "Identity"


def _mixes_places(graph: "_Graph", step: Any, source: str) -> bool:
    """Whether a step multiplies by a constant matrix from the left."""
    if step.op != "BatchMatMulV2" or [node_of(name) for name in step.input].index(source) != 1:
        return False
    return graph.value(step.input[0]) is not None and not step.attr["adj_y"].b


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
        self._shapes = {op.name: op.outputs[0].shape for op in graph.get_operations() if op.outputs}

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

    def shape(self, name: str) -> list[int | None]:
        """Return the shape of what a node makes; empty if even its rank is open."""
        shape = self._shapes[name]
        return [] if shape.rank is None else shape.as_list()

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

    def make_addition(self, step: Any, offset: np.ndarray) -> None:
        """Turn a step into the addition of an offset."""
        source = next(name for name in step.input if self.value(name) is None)
        kind = step.attr["T"].type
        step.op = "AddV2"
        step.attr.clear()
        step.attr["T"].type = kind
        step.input[:] = [source, self.add_weight(f"{step.name}/offset", offset)]

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
