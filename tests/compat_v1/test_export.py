"""TF1 graphs as SavedModels, and V1 SavedModels and frozen graphs as callables."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.compat_v1.test_golden import arrays
from tf_symconv import compat_v1, serving
from tf_symconv.serving import _saved_model as reader

v1 = tf.compat.v1
DATA = Path(__file__).parent / "data"
rng = np.random.default_rng(2)


def training_graph(resource):
    """A graph as it stands at the end of a TF1 training script."""
    x = v1.placeholder(tf.float32, [None, 8, 8, 1], name="x")
    target = v1.placeholder(tf.float32, [None, 2], name="target")
    with v1.variable_scope("net", use_resource=resource):
        kernel = v1.get_variable("kernel", [3, 3, 1, 4])
        hidden = tf.nn.relu(v1.nn.conv2d(x, kernel, [1, 1, 1, 1], "SAME"), name="hidden")
        y = tf.nn.softmax(tf.matmul(tf.reduce_mean(hidden, [1, 2]), v1.get_variable("w", [4, 2])), name="y")
        ema = v1.get_variable("ema", [2], trainable=False, initializer=v1.zeros_initializer())
    loss = tf.reduce_mean(tf.square(y - target))
    step = v1.train.AdamOptimizer(0.1).minimize(loss, v1.train.get_or_create_global_step())
    with tf.control_dependencies([step]):
        train = v1.assign(ema, tf.reduce_mean(y, 0))
    v1.summary.scalar("loss", loss)
    return x, target, hidden, y, train


def check(report):
    assert report.ok, report.problems
    assert report.comparisons and all(row.max_abs_difference == 0 for row in report.comparisons)


@pytest.fixture
def session():
    session = v1.Session(graph=tf.Graph())
    yield session
    session.close()


@pytest.fixture
def graph_mode(session):
    """Stay in the session's graph until ``close()``, which goes back to TF2."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(session.graph.as_default())
        yield stack


@pytest.mark.parametrize("resource", [False, True])
def test_a_session_becomes_a_version_that_verifies_and_that_tf2_loads(tmp_path, session, graph_mode, resource):
    x, target, _, y, train = training_graph(resource)
    session.run(v1.global_variables_initializer())
    images = rng.normal(size=(5, 8, 8, 1)).astype("float32")
    session.run(train, {x: images, target: np.ones((5, 2))})
    expected = session.run(y, {x: images})
    nodes = len(session.graph.get_operations())
    path = compat_v1.export_saved_model(session, tmp_path / "m/3", {"images": x}, {"scores": "net/y:0"})
    assert path == tmp_path / "m/3"
    assert [entry.name for entry in path.parent.iterdir()] == ["3"]
    assert len(session.graph.get_operations()) <= nodes + 2
    check(serving.verify(path))
    model = reader.read(path)
    assert model.signatures["serving_default"].inputs["images"].shape == (None, 8, 8, 1)
    assert "EnsureShape" in model.graph.ops
    assert not {"VariableV2", "ResourceApplyAdam", "ApplyAdam", "ScalarSummary"} & model.graph.ops

    graph_mode.close()
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    np.testing.assert_allclose(serve(images=tf.constant(images))["scores"], expected, rtol=1e-6)
    assert sorted(variable.name for variable in loaded.variables) == ["net/kernel:0", "net/w:0"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        serve(images=tf.zeros([2, 8, 9, 1]))


def test_frozen_inputs_in_the_middle_and_methods(tmp_path, session, graph_mode):
    _, _, hidden, y, _ = training_graph(False)
    session.run(v1.global_variables_initializer())
    maps = rng.normal(size=(3, 8, 8, 4)).astype("float32")
    path = compat_v1.export_saved_model(
        session,
        tmp_path / "1",
        {"inputs": hidden},
        {"scores": y},
        method="classify",
        signature_name="from_maps",
        examples={"inputs": maps},
        freeze=True,
    )
    check(serving.verify(path))
    model = reader.read(path)
    signature = model.signatures["from_maps"]
    assert signature.method == "tensorflow/serving/classify"
    assert not {"VarHandleOp", "Placeholder_1", "Conv2D"} & model.graph.ops
    graph_mode.close()
    loaded = tf.saved_model.load(str(path))
    assert not loaded.variables
    expected = session.run(y, {hidden: maps})
    np.testing.assert_allclose(loaded.signatures["from_maps"](inputs=tf.constant(maps))["scores"], expected, rtol=1e-6)


def test_tables_loops_and_strings(tmp_path, session, graph_mode):
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("even\nodd\n")
    words = v1.placeholder(tf.string, [None], name="words")
    initializer = tf.lookup.TextFileInitializer(
        str(vocabulary), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    # What contrib.lookup's tables put into the collections.
    ids = tf.lookup.StaticHashTable(initializer, -1).lookup(words)
    doubled = v1.while_loop(
        lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), [tf.constant(0), ids], parallel_iterations=1
    )[1]
    session.run(v1.tables_initializer())
    assets = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
    assert len(v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)) == 1 and len(assets) == 1
    path = compat_v1.export_saved_model(
        session, tmp_path / "7", {"words": words}, {"ids": doubled}, examples={"words": ["odd", "even", "none"]}
    )
    vocabulary.unlink()
    assert (path / "assets/words.txt").read_text() == "even\nodd\n"
    check(serving.verify(path))
    graph_mode.close()
    graph = compat_v1.load_v1_saved_model(path)
    np.testing.assert_array_equal(graph(["odd", "none"])["ids"], [8, -8])


def test_a_saved_model_of_tf1_is_called_trained_and_exported(tmp_path):
    graph = compat_v1.load_v1_saved_model(DATA / "legacy_saved_model")
    x = arrays["legacy/x"]
    for outputs in (graph(x), graph(images=x), graph({"images": x}), tf.function(graph)(tf.constant(x))):
        for key in ("t1", "t3"):
            expected = arrays[f"legacy/{key}"]
            np.testing.assert_allclose(outputs[key], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    names = {name.removesuffix(":0") for name in arrays["legacy/var_names"]}
    assert set(graph.named_variables) == names
    assert len(graph.trainable_variables) == 4
    for name, variable in graph.named_variables.items():
        np.testing.assert_array_equal(variable, arrays[f"legacy/var/{name}:0"])

    kernel = graph.named_variables["conv_kernel_a"]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(graph(x)["t1"])
    gradient = tape.gradient(loss, kernel)
    assert np.abs(gradient).max() > 0
    kernel.assign_sub(0.01 * gradient)
    assert float(tf.reduce_sum(graph(x)["t1"])) < float(loss)

    path = compat_v1.export_saved_model(graph, tmp_path / "2", examples={"images": x})
    check(serving.verify(path))
    again = compat_v1.load_v1_saved_model(path)
    np.testing.assert_allclose(again(x)["t1"], graph(x)["t1"], rtol=1e-6)
    compat_v1.load_checkpoint(DATA.parent.parent / "golden/checkpoint", again)
    np.testing.assert_array_equal(again.named_variables["conv_kernel_a"], arrays["legacy/var/conv_kernel_a:0"])


def test_a_frozen_graph_of_tf1_is_called_and_exported(tmp_path):
    names = {"inputs": {"images": "x"}, "outputs": {"t1": "Max:0", "t3": "tower/Max"}}
    graph = compat_v1.load_frozen_graph(DATA / "legacy_frozen.pb", **names)
    x = arrays["legacy/x"]
    np.testing.assert_allclose(graph(x)["t3"], arrays["legacy/t3"], rtol=1e-4, atol=1e-4)
    assert graph.named_variables == {}
    path = compat_v1.export_saved_model(graph, tmp_path / "1")
    check(serving.verify(path))
    # Inputs and outputs by default, and a text file.
    graph_def = v1.GraphDef.FromString((DATA / "legacy_frozen.pb").read_bytes())
    tf.io.write_graph(graph_def, str(tmp_path), "graph.pbtxt")
    for source in (graph_def, tmp_path / "graph.pbtxt"):
        outputs = compat_v1.load_frozen_graph(source)(x)
        assert set(outputs) == {"Max", "tower_Max"}
        np.testing.assert_allclose(outputs["Max"], arrays["legacy/t1"], rtol=1e-4, atol=1e-4)


def test_several_signatures_share_the_graph(tmp_path, session, graph_mode):
    x = v1.placeholder(tf.float32, [None, 3], name="serving_default_x")
    w = v1.get_variable("w", [3, 2])
    y = tf.matmul(x, w)
    session.run(v1.global_variables_initializer())
    builder = v1.saved_model.Builder(str(tmp_path / "old"))
    info, build = v1.saved_model.build_tensor_info, v1.saved_model.build_signature_def
    method = "tensorflow/serving/predict"
    builder.add_meta_graph_and_variables(
        session,
        ["serve", "old"],
        {
            "serving_default": build({"x": info(x)}, {"y": info(y)}, method),
            "twice": build({"x": info(x)}, {"y": info(2.0 * y), "same": info(x)}, method),
        },
    )
    builder.save()
    graph_mode.close()
    graph = compat_v1.load_v1_saved_model(tmp_path / "old", tags=("serve", "old"))
    assert set(graph.signatures) == {"serving_default", "twice"}
    ones = np.ones((1, 3), "float32")
    np.testing.assert_allclose(graph.signatures["twice"](x=tf.constant(ones))["y"], 2 * graph(ones)["y"].numpy())
    np.testing.assert_allclose(graph.signatures["twice"](x=tf.constant(ones))["same"], ones)
    path = compat_v1.export_saved_model(graph, tmp_path / "5", examples={"twice": {"x": ones}})
    assert sorted(reader.read(path).signatures) == ["serving_default", "twice"]
    check(serving.verify(path))


def test_bad_exports_are_refused_and_leave_nothing(tmp_path, session, graph_mode):
    x, target, hidden, y, train = training_graph(False)
    export = compat_v1.export_saved_model
    with pytest.raises(ValueError, match=r"variables have values before they are saved\..*uninitialized value"):
        export(session, tmp_path / "1", {"x": x}, {"y": y})
    session.run(v1.global_variables_initializer())
    unknown = v1.placeholder(tf.float32, name="unknown")
    free = v1.placeholder(tf.float32, [None, None, 3], name="free")
    python = v1.py_func(lambda a: a, [x], tf.float32)
    for arguments, message in [
        ((tmp_path / "latest", {"x": x}, {"y": y}), "version number"),
        ((tmp_path / "1", {}, {"y": y}), r"inputs is a dict of tensors by name\. Received: inputs=\{\}"),
        ((tmp_path / "1", {"x": "y:0"}, {"y": y}), r"no such tensor\. Received: inputs\['x'\]='y:0'"),
        ((tmp_path / "1", {"t": target}, {"y": y}), "inputs determine the outputs.*must feed"),
        ((tmp_path / "1", {"x": unknown}, {"y": unknown + 1.0}), "call set_shape on the placeholder"),
        ((tmp_path / "1", {"x": free}, {"y": free + 1.0}), "Only the first axis may be free"),
        ((tmp_path / "1", {"x": x}, {"y": python}), r"call back to Python\. Received: PyFunc"),
        ((tmp_path / "1", {"x": x, "t": target}, {"train": train}), "must not depend on operations that write"),
    ]:
        with pytest.raises(ValueError, match=message):
            export(session, *arguments)
    for keywords, message in [
        ({"method": "guess"}, r"one of 'predict', 'classify', 'regress'\. Received: method='guess'"),
        ({"examples": {"z": np.zeros(3)}}, r"one batch for each of \['x'\]\. Received: examples=\['z'\]"),
        ({"examples": {"x": np.zeros((2, 8, 8, 2))}}, r"the shape \(None, 8, 8, 1\)\. Received: shape=\(2, 8, 8, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            export(session, tmp_path / "1", {"x": x}, {"y": y}, **keywords)
    with pytest.raises(TypeError, match=r"Session or a V1Graph\. Received: session='sess'"):
        export("sess", tmp_path / "1", {"x": x}, {"y": y})
    assert list(tmp_path.iterdir()) == []
    export(session, tmp_path / "1", {"x": x, "maps": hidden}, {"y": y})
    with pytest.raises(FileExistsError):
        export(session, tmp_path / "1", {"x": x}, {"y": y})


def test_bad_graphs_are_refused(tmp_path, session, graph_mode):
    with pytest.raises(RuntimeError, match="A V1Graph is for TF2"):
        compat_v1.load_frozen_graph(DATA / "legacy_frozen.pb")
    with pytest.raises(ValueError, match="The SavedModel cannot be loaded"):
        compat_v1.load_v1_saved_model(tmp_path)
    with pytest.raises(ValueError, match=r"The file is a GraphDef: .*Received: graph='.*none\.pb'"):
        compat_v1.load_frozen_graph(tmp_path / "none.pb")
    (tmp_path / "bad.pb").write_bytes(b"not a graph")
    with pytest.raises(ValueError, match="The file is a GraphDef"):
        compat_v1.load_frozen_graph(tmp_path / "bad.pb")
    with pytest.raises(ValueError, match="no tensor 'tower/Mox'; nearest: 'tower/Max'"):
        compat_v1.load_frozen_graph(DATA / "legacy_frozen.pb", outputs=["tower/Mox"])
    training_graph(True)
    with pytest.raises(ValueError, match=r"has no variables; freeze it first\. Received: \['net/kernel'"):
        compat_v1.load_frozen_graph(session.graph.as_graph_def())
    shutil.copytree(DATA / "legacy_saved_model", tmp_path / "m")
    (tmp_path / "m/variables/variables.index").unlink()
    with pytest.raises(ValueError, match="The SavedModel cannot be loaded"):
        compat_v1.load_v1_saved_model(tmp_path / "m")


def test_calls_name_their_inputs():
    graph = compat_v1.load_frozen_graph(DATA / "legacy_frozen.pb")
    with pytest.raises(TypeError, match=r"takes the inputs \['x'\] by name\. Received: 0 positional .*\['y'\]"):
        graph(y=1.0)
    with pytest.raises(TypeError, match="Received: 2 positional"):
        graph(1.0, 2.0)
