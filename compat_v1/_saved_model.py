"""SavedModels of TF1 graphs that stock TensorFlow Serving runs and TF2 can call."""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import variable_pb2

from tf_symconv.compat_v1 import _surgery
from tf_symconv.serving._baked_graph import baked_graph

__all__ = ["GRAPH_LIMIT", "SignatureTensors", "Source", "reason", "variable_bytes"]

v1 = tf.compat.v1
_ASSETS = v1.GraphKeys.ASSET_FILEPATHS
GRAPH_LIMIT = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class SignatureTensors:
    """A signature of a session's graph.

    Args:
        inputs: Tensors to feed, by the names of the signature.
        outputs: Tensors to return, likewise.
        method: Method name, such as ``"tensorflow/serving/predict"``.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    method: str = tf.compat.v1.saved_model.signature_constants.PREDICT_METHOD_NAME


@dataclasses.dataclass(frozen=True)
class Source:
    """What a SavedModel is made of.

    Args:
        session: A session with the graph and the values of its variables.
        signatures: By name.
        assets: Paths of the files that constants of the graph name, by the names of those tensors, where they are not
            the constants themselves.
    """

    session: tf.compat.v1.Session
    signatures: Mapping[str, SignatureTensors]
    assets: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def write(self, directory: Path, freeze: bool = False) -> None:
        """Write the part of the graph that the signatures need, with the values of its variables.

        Training operations stay out, reference variables become resource variables, every input is checked against
        its shape in the graph, and lookup tables and their files come along.

        Args:
            directory: An empty directory.
            freeze: Whether to turn the variables into constants.

        Raises:
            ValueError: If variables have no value, the outputs depend on operations that write to variables, or the
                constants do not fit into a graph.
        """
        graph = self.session.graph
        _check_independent(self.signatures)
        fed = _inputs(graph, self.signatures)
        outputs = [tensor.name for signature in self.signatures.values() for tensor in signature.outputs.values()]
        initializers = [op.name for op in graph.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)]
        part, names = _surgery.cut(graph.as_graph_def(), list(fed.values()), [*outputs, *initializers])
        values = _values(self.session, part)
        if freeze:
            part = _frozen(self.session, part, [*names.values(), *(each.name for each in fed.values())], values)
            values = {}
        reads = _surgery.to_resource_variables(part, {op.type: op.op_def for op in graph.get_operations()})
        trainable = {variable.op.name for variable in graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)}
        files = {**dict.fromkeys(tensor.name for tensor in graph.get_collection(_ASSETS)), **self.assets}
        _point_at_files(part, self.assets)
        with tf.Graph().as_default() as new:
            v1.train.import_meta_graph(_meta_graph(part, values, reads, trainable))
            present = {node.name for node in part.node}
            assets = [new.get_tensor_by_name(name) for name in files if name.partition(":")[0] in present]
            tables = [new.get_operation_by_name(name) for name in initializers]
            info = v1.saved_model.build_tensor_info
            definitions = {
                name: v1.saved_model.build_signature_def(
                    {key: info(new.get_tensor_by_name(fed[t.name].tensor)) for key, t in signature.inputs.items()},
                    {key: info(new.get_tensor_by_name(names[t.name])) for key, t in signature.outputs.items()},
                    signature.method,
                )
                for name, signature in self.signatures.items()
            }
            for initializer in tables:
                new.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, initializer)
            with v1.Session() as fresh:
                for variable in new.get_collection(v1.GraphKeys.GLOBAL_VARIABLES):
                    fresh.run(variable.initializer, {variable.initializer.inputs[1]: values[variable.op.name]})
                builder = v1.saved_model.Builder(os.fspath(directory))
                builder.add_meta_graph_and_variables(
                    fresh,
                    [v1.saved_model.tag_constants.SERVING],
                    signature_def_map=definitions,
                    assets_collection=assets,
                    main_op=tf.group(*tables, name="symconv_initialize_tables") if tables else None,
                    strip_default_attrs=True,
                )
                builder.save()


def variable_bytes(source: Source) -> int:
    """Return how large the variables of a session's graph are, where their shapes are known."""
    variables = source.session.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
    return sum(each.shape.num_elements() * each.dtype.size for each in variables if each.shape.is_fully_defined())


def reason(error: tf.errors.OpError) -> str:
    """Return what a session complains of, without the places where the graph was built."""
    lines = [line.strip() for line in error.message.splitlines()]
    telling = [line for line in lines if re.match("Attempting to use|Could not find variable|You must feed", line)]
    return telling[0] if telling else lines[0]


def _inputs(graph: tf.Graph, signatures: Mapping[str, SignatureTensors]) -> dict[str, _surgery.Input]:
    """Return the new placeholder of each tensor that is fed; signatures that feed the same one share it."""
    taken = {op.name for op in graph.get_operations()}
    inputs: dict[str, _surgery.Input] = {}
    for name, signature in signatures.items():
        for key, tensor in signature.inputs.items():
            if tensor.name not in inputs:
                place = f"{name}_{key}"
                while place in taken:
                    place += "_1"
                taken.update((place, f"{place}_checked"))
                inputs[tensor.name] = _surgery.Input(tensor.name, place, tensor.dtype.base_dtype, tensor.shape)
    return inputs


def _check_independent(signatures: Mapping[str, SignatureTensors]) -> None:
    """Refuse signatures of which one feeds what another one computes: both are cut out of one graph."""
    fed = {tensor.name for signature in signatures.values() for tensor in signature.inputs.values()}
    for name, signature in signatures.items():
        own = {tensor.name for tensor in signature.inputs.values()}
        crossed: set[str] = set()
        seen: set[str] = set()
        pending = list(signature.outputs.values())
        while pending:
            tensor = pending.pop()
            if tensor.name in seen or tensor.name in own:
                continue
            seen.add(tensor.name)
            if tensor.name in fed:
                crossed.add(tensor.name)
            pending += tensor.op.inputs
        if crossed:
            raise ValueError(
                "The outputs of a signature depend on its own inputs only. "
                f"Received: signature {name!r}, which depends on {sorted(crossed)}"
            )


def _values(session: tf.compat.v1.Session, part: Any) -> dict[str, np.ndarray]:
    """Read the variables of the part in the session."""
    graph = session.graph
    fetches = {}
    for name, node in _surgery.variables(part).items():
        op = graph.get_operation_by_name(name)
        if node.op == "VarHandleOp":
            reads = [user for user in op.outputs[0].consumers() if user.type == "ReadVariableOp"]
            if not reads:
                with graph.as_default():
                    reads = [tf.raw_ops.ReadVariableOp(resource=op.outputs[0], dtype=node.attr["dtype"].type).op]
            fetches[name] = reads[0].outputs[0]
        else:
            fetches[name] = op.outputs[0]
    try:
        return session.run(fetches)
    except tf.errors.FailedPreconditionError as error:
        raise ValueError(f"The variables have values before they are saved. Received: {reason(error)}") from None


def _frozen(session: tf.compat.v1.Session, part: Any, outputs: list[str], values: Mapping[str, np.ndarray]) -> Any:
    size = sum(value.nbytes for value in values.values())
    if size > GRAPH_LIMIT - part.ByteSize():
        raise ValueError(f"The constants of a graph have at most 2 GB. Received: freeze=True with {size:,} bytes")
    nodes = list(dict.fromkeys(name.partition(":")[0] for name in outputs))
    verbosity = v1.logging.get_verbosity()
    v1.logging.set_verbosity(v1.logging.ERROR)
    try:
        with session.graph.as_default():  # where it looks for the variables by their names
            _add_reads(session.graph, part)
            frozen = v1.graph_util.convert_variables_to_constants(session, part, nodes)
    finally:
        v1.logging.set_verbosity(verbosity)
    return baked_graph(frozen, nodes, GRAPH_LIMIT)


def _add_reads(graph: tf.Graph, part: Any) -> None:
    """Add the reads of resource variables that a graph had when it was built, where it was loaded without them."""
    present = {op.name for op in graph.get_operations()}
    for name, node in _surgery.variables(part).items():
        read = f"{name}/Read/ReadVariableOp"
        if node.op == "VarHandleOp" and read not in present:
            handle = graph.get_operation_by_name(name).outputs[0]
            with v1.name_scope(""):  # as it stands
                tf.raw_ops.ReadVariableOp(resource=handle, dtype=node.attr["dtype"].type, name=read)


def _point_at_files(part: Any, assets: Mapping[str, str]) -> None:
    """Put the paths of files into the constants that name them."""
    nodes = {node.name: node for node in part.node}
    for name, path in assets.items():
        node = nodes.get(name.partition(":")[0])
        if node is not None:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(path))


def _meta_graph(part: Any, values: Mapping[str, np.ndarray], reads: Mapping[str, str], trainable: set[str]) -> Any:
    """Return the graph with its variables in collections, so that a saver finds them."""
    meta: Any = v1.MetaGraphDef()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(part, name="")
        for name, value in values.items():
            handle = graph.get_operation_by_name(name).outputs[0]
            read = graph.get_tensor_by_name(f"{reads[name]}:0")
            initial = tf.zeros(value.shape, read.dtype, name=f"{name}/zeros")
            assign: Any = tf.raw_ops.AssignVariableOp(resource=handle, value=initial, name=f"{name}/Assign")
            definition = variable_pb2.VariableDef(  # pyright: ignore[reportAttributeAccessIssue]
                variable_name=handle.name,
                initializer_name=assign.name,
                initial_value_name=initial.name,
                snapshot_name=read.name,
                is_resource=True,
                trainable=name in trainable,
            )
            for key in ("variables", *(("trainable_variables",) if name in trainable else ())):
                meta.collection_def[key].bytes_list.value.append(definition.SerializeToString())
        meta.graph_def.CopyFrom(graph.as_graph_def())
    return meta
