"""Shapes that are known but for the batch size as constants, instead of computed from the inputs' shapes."""

import dataclasses

import tensorflow as tf

from tf_symconv.serving._flat import Flat, needed, node_of

__all__ = ["fix_reshapes"]


def fix_reshapes(flat: Flat) -> Flat:
    """Return the graph with a constant as the shape of each ``Reshape`` whose result leaves one size open at most."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(flat.graph, name="")
    taken = {op.name for op in graph.get_operations()}
    definition = type(flat.graph)()
    definition.CopyFrom(flat.graph)
    for node in list(definition.node):
        if node.op != "Reshape" or graph.get_operation_by_name(node_of(node.input[1])).type == "Const":
            continue
        shape = graph.get_operation_by_name(node.name).outputs[0].shape
        sizes = [None, None] if shape.rank is None else shape.as_list()
        if sizes.count(None) > 1 or 0 in sizes:
            continue
        name = f"{node.name}/sizes"
        while name in taken:
            name += "_"
        taken.add(name)
        constant = definition.node.add(name=name, op="Const")
        constant.attr["dtype"].type = node.attr["Tshape"].type
        kind = tf.as_dtype(node.attr["Tshape"].type)
        constant.attr["value"].tensor.CopyFrom(
            tf.make_tensor_proto([-1 if size is None else size for size in sizes], kind)
        )
        node.input[1] = name
    roots = [*flat.inputs, *flat.captures, *flat.effects, *map(node_of, flat.outputs.values())]
    return dataclasses.replace(flat, graph=needed(definition, roots))
