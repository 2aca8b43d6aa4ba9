"""The kernels of a graph of the TF1 era baked."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tf_symconv.serving._affine import fold_affine
from tf_symconv.serving._baking import bake
from tf_symconv.serving._flat import Flat, node_of

__all__ = ["baked_graph"]


def baked_graph(definition: Any, tensors: Iterable[str], limit: int) -> Any:
    """Return a frozen GraphDef in which what depends on constants alone is computed.

    Args:
        definition: the graph; its variables are constants.
        tensors: what keeps its name.
        limit: bytes that the result may have; where it would have more, the graph comes back as it is.
    """
    flat = fold_affine(bake(Flat(definition, [], {}, {}, list(dict.fromkeys(map(node_of, tensors))))))
    if flat.weight_bytes + flat.graph.ByteSize() > limit:
        return definition
    for node in flat.graph.node:
        if node.name in flat.weights:
            node.op = "Const"
            del node.attr["shape"]
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(flat.weights[node.name]))
    return flat.graph
