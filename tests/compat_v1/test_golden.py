"""Every array that TensorFlow 1.15.5 wrote, computed in graph mode."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import compat_v1

GOLDEN = Path(__file__).parents[1] / "golden"
v1 = tf.compat.v1

with np.load(GOLDEN / "tf1_15_golden.npz") as file:
    arrays = dict(file)

GROUP_CASES = sorted({key.split("/")[1] for key in arrays if key.startswith("groupy/")})
PLAIN = [1, 1, 1, 1]


def build_legacy():
    """Rebuild the graph that the golden checkpoint belongs to."""
    x = v1.placeholder(tf.float32, [None, 12, 12, 2], name="x")
    w1 = compat_v1.SymmetricKernels(5, 3, 2, 4, name="k1")
    h = tf.nn.relu(v1.nn.conv2d(x, w1, PLAIN, "SAME"))
    t1 = compat_v1.symmetric_convolution(h, 6, (3, 3), "a")
    t2 = compat_v1.symmetric_convolution(h, 6, (3, 3), "a", dilations=[1, 2, 2, 1])
    w2 = compat_v1.SymmetricKernels(4, 4, 4, 3, name="k2")
    h2 = v1.nn.conv2d(h, w2, [1, 2, 2, 1], "VALID")
    with v1.variable_scope("tower"):
        t3 = compat_v1.symmetric_convolution(h2, 5, (3, 5), "b")
    return x, {"w1": w1, "h": h, "t1": t1, "t2": t2, "w2": w2, "h2": h2, "t3": t3}


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def test_the_checkpoint_restores_by_saver_with_the_golden_outputs(graph):
    x, outputs = build_legacy()
    names = [variable.name for variable in v1.global_variables()]
    assert names == list(arrays["legacy/var_names"])
    with v1.Session() as session:
        v1.train.Saver().restore(session, str(GOLDEN / "checkpoint/model.ckpt"))
        values = session.run(outputs, {x: arrays["legacy/x"]})
        for variable in v1.global_variables():
            np.testing.assert_array_equal(session.run(variable), arrays[f"legacy/var/{variable.name}"])
    for key, value in values.items():
        np.testing.assert_allclose(value, arrays[f"legacy/{key}"], rtol=1e-5, atol=1e-5 * np.abs(value).max())


def test_the_graph_has_the_operations_of_the_meta_graph(graph):
    build_legacy()
    meta = v1.MetaGraphDef.FromString((GOLDEN / "checkpoint/model.ckpt.meta").read_bytes())
    kinds = ("Conv2D", "ConcatV2", "ReverseV2", "Max")
    # The last concatenation joined the outputs for the export of the golden graph.
    old = [(n.name, n.op) for n in meta.graph_def.node if n.op in kinds and n.name != "concat_2"]
    new = [(n.name, n.op) for n in graph.as_graph_def().node if n.op in kinds]
    assert new == old


@pytest.mark.parametrize("case", GROUP_CASES)
def test_group_convolutions(graph, case):
    golden = {key.rsplit("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"groupy/{case}/")}
    h_input, h_output, *sizes = case.split("_")
    ksize, cin, cout = map(int, sizes)
    indices, info, shape = compat_v1.gconv2d_util(h_input, h_output, cin, cout, ksize)
    np.testing.assert_array_equal(indices, golden["indices"])
    assert indices.dtype == golden["indices"].dtype
    assert tuple(info) == tuple(golden["info"])
    assert shape == tuple(golden["wshape"])
    x = v1.placeholder(tf.float32, golden["x"].shape)
    w = tf.constant(golden["w"])
    with v1.Session() as session:
        for padding, stride in (("SAME", 1), ("VALID", 1), ("VALID", 2)):
            y = compat_v1.gconv2d(x, w, [1, stride, stride, 1], padding, indices, info, name=f"{padding}{stride}")
            assert y.op.name == f"{padding}{stride}"
            expected = golden[f"y_{padding}{stride}"]
            np.testing.assert_allclose(session.run(y, {x: golden["x"]}), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", sorted({key.split("/")[1] for key in arrays if key.startswith("spec/")}))
def test_spectral_convolutions(graph, case):
    golden = {key.rsplit("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"spec/{case}/")}
    height, width, cin, cout, size = map(int, case.split("_"))
    x = v1.placeholder(tf.float32, [None, size, size, cin])
    initial = {"a": golden["init"], "b": golden["init"]}
    np.testing.assert_allclose(np.fft.fft2(golden["spatial"]), golden["init"], atol=1e-5)
    outputs = [
        conv(x, cout, width, height, 1, name=name, initialization=initial)
        for conv, name in ((compat_v1.fft_conv, "a"), (compat_v1.fft_conv_pure, "b"))
    ]
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        (a, sa, wa), (p, spf, wb) = session.run(outputs, {x: golden["x"]})
    for key, value in {"a": a, "sa": sa, "wa": wa, "p": p, "spf": spf}.items():
        assert value.dtype == golden[key].dtype
        np.testing.assert_allclose(value, golden[key], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(wb, golden["wa"], rtol=1e-5, atol=1e-5)
    free = sum(int(np.prod(variable.shape)) for variable in v1.trainable_variables())
    assert free == golden["nparam"][1]
    assert len(v1.trainable_variables()) == 4


def test_every_golden_array_is_compared():
    groups = {key.split("/")[0] for key in arrays}
    assert groups == {"legacy", "groupy", "spec"}
    assert {key.rsplit("/", 1)[1] for key in arrays if key.startswith("groupy/")} == {
        *("indices", "info", "wshape", "w", "x", "y_SAME1", "y_VALID1", "y_VALID2")
    }
    assert {key.rsplit("/", 1)[1] for key in arrays if key.startswith("spec/")} == {
        *("a", "sa", "wa", "p", "spf", "x", "spatial", "init", "nparam")
    }
