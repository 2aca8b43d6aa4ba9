"""Reading saved_model.pb without TensorFlow, held against what TensorFlow says of the same files."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tf_symconv.serving import SavedModelError, _protos
from tf_symconv.serving._graph import Graph
from tf_symconv.serving._saved_model import TensorSpec, read


def test_signatures_are_those_that_tensorflow_loads(make) -> None:
    specs = {
        "serving_default": [tf.TensorSpec([None, 3], name="b"), tf.TensorSpec([], tf.int64, name="a")],
        "other": [tf.TensorSpec(None, tf.string, name="words")],
    }
    functions = {
        "serving_default": lambda b, a: {"sum": b + tf.cast(a, tf.float32), "same": a},
        "other": lambda words: {"length": tf.strings.length(words)},
    }
    path = make(functions, specs)
    found = read(path).signatures
    loaded = tf.saved_model.load(str(path)).signatures
    assert list(found) == sorted(loaded) == ["other", "serving_default"]
    assert found["serving_default"].inputs == {
        "a": TensorSpec("serving_default_a:0", "int64", ()),
        "b": TensorSpec("serving_default_b:0", "float32", (None, 3)),
    }
    assert found["other"].inputs["words"].shape is None
    for name, signature in found.items():
        assert signature.method == "tensorflow/serving/predict"
        outputs = loaded[name].structured_outputs
        assert {key: spec.dtype for key, spec in signature.outputs.items()} == {
            key: spec.dtype.name for key, spec in outputs.items()
        }


def test_all_ops_are_seen_in_the_graph_and_in_functions(make) -> None:
    @tf.function
    def inner(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.softplus(x)

    spec = tf.TensorSpec([None], name="x")
    path = make({"serving_default": lambda x: {"y": tf.cast(inner(x), tf.float16)}}, {"serving_default": [spec]})
    graph = read(path).graph
    proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    definition = proto.meta_graphs[0].graph_def
    nodes = [*definition.node, *(node for each in definition.library.function for node in each.node_def)]
    assert "Softplus" in graph.ops
    assert graph.ops == {node.op for node in nodes}
    assert graph.functions == {each.signature.name for each in definition.library.function}
    assert {"float16", "float32", "string"} <= graph.dtypes
    assert "bfloat16" not in graph.dtypes


def test_functions_that_demand_xla_are_found_with_the_node_that_calls_them() -> None:
    layer = keras.layers.Conv2D(4, 3, groups=2, name="grouped")
    model = keras.Sequential([keras.Input((8, 8, 4)), layer], name="net")
    concrete = tf.function(model, autograph=False).get_concrete_function(tf.TensorSpec([None, 8, 8, 4]))
    demands = Graph.parse(concrete.graph.as_graph_def().SerializeToString()).xla_demands()
    assert len(demands) == 1
    assert "grouped" in demands[0].node
    assert "conv_xla" in demands[0].what


def test_a_compiled_function_that_nobody_calls_is_found_too() -> None:
    definition = tf.function(lambda x: x + 1, jit_compile=True).get_concrete_function(tf.TensorSpec([2]))
    graph = tf.compat.v1.GraphDef()
    graph.library.function.append(definition.function_def)
    graph.library.function[0].attr["_XlaMustCompile"].b = True
    demands = Graph.parse(graph.SerializeToString()).xla_demands()
    assert [(each.what, each.node) for each in demands] == [(graph.library.function[0].signature.name, "")]
    graph.library.function[0].attr["_XlaMustCompile"].b = False
    assert Graph.parse(graph.SerializeToString()).xla_demands() == ()


@pytest.mark.parametrize("op", ["XlaLaunch", "XlaConvV2", "XlaCallModule", "_XlaRun"])
def test_ops_of_xla_demand_it(op: str) -> None:
    graph = tf.compat.v1.GraphDef()
    graph.node.add(name="scope/it", op=op)
    assert [str(each) for each in Graph.parse(graph.SerializeToString()).xla_demands()] == [f"{op} at scope/it"]


def test_foreign_ops_are_those_of_python_and_those_not_registered() -> None:
    graph = tf.compat.v1.GraphDef()
    for name, op in [("a", "Conv2D"), ("b", "PyFunc"), ("c", "Mine"), ("d", "helper")]:
        graph.node.add(name=name, op=op)
    graph.library.function.add().signature.name = "helper"
    graph.library.function[0].node_def.add(name="e", op="EagerPyFunc")
    parsed = Graph.parse(graph.SerializeToString())
    registered = {"Conv2D", "PyFunc", "EagerPyFunc"}
    assert [str(each) for each in parsed.foreign_ops(registered)] == [
        "PyFunc at b",
        "Mine at c",
        "EagerPyFunc at e in helper",
    ]
    assert [each.what for each in parsed.foreign_ops()] == ["PyFunc", "EagerPyFunc"]
    assert "helper" not in parsed.ops


@pytest.mark.parametrize(
    ("dtype", "shape", "admitted"),
    [
        ("float32", (0, 3), True),
        ("float32", (5, 3), True),
        ("float32", (5, 4), False),
        ("float32", (3,), False),
        ("float32", (5, 3, 1), False),
        ("float64", (5, 3), False),
        (object, (5, 3), False),
    ],
)
def test_a_spec_admits_its_type_and_shape_only(dtype, shape, admitted: bool) -> None:
    assert TensorSpec("x:0", "float32", (None, 3)).admits(np.zeros(shape, dtype)) is admitted


def test_damage_is_one_clear_error(version: Path, tmp_path: Path) -> None:
    file = version / "saved_model.pb"
    whole = file.read_bytes()
    cases = {
        "no such directory": tmp_path / "none",
        "No such file": tmp_path,
        "no such directory: ": file,
    }
    for message, path in cases.items():
        with pytest.raises(SavedModelError, match=message):
            read(path)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SavedModelError, match="damaged"):
        read(version)
    file.write_bytes(b"not a protocol buffer")
    with pytest.raises(SavedModelError, match="damaged"):
        read(version)
    proto = _protos.new("SavedModel")
    proto.ParseFromString(whole)
    proto.meta_graphs[0].meta_info_def.tags.append("gpu")
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(SavedModelError, match=r"tag 'serve'. Received: tags=\[\['serve', 'gpu'\]\]"):
        read(version)


def test_a_message_written_again_keeps_what_is_not_read(version: Path) -> None:
    whole = (version / "saved_model.pb").read_bytes()
    proto = _protos.new("SavedModel")
    proto.ParseFromString(whole)
    (version / "saved_model.pb").write_bytes(proto.SerializeToString())
    tf.saved_model.load(str(version)).signatures["serving_default"](image=tf.zeros((1, 8, 8, 3)))
