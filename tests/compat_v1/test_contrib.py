"""``tf.contrib.layers`` and its kin, against what TensorFlow 1.15.5 computed."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_symconv.compat_v1 import _aliases, _removed

v1 = tf.compat.v1
MODULES = _aliases.contrib(v1, lambda symbol: _removed.explain(symbol, tf.__version__))
layers, slim = MODULES["tensorflow.contrib.layers"], MODULES["tensorflow.contrib.slim"]
framework = MODULES["tensorflow.contrib.framework"]

with np.load(Path(__file__).parent / "data/contrib_layers.npz") as file:
    golden = dict(file)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def network(x, training, reuse=None):
    with (
        v1.variable_scope("net", reuse=reuse),
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(0.01),
            normalizer_fn=slim.batch_norm,
            normalizer_params={"is_training": training, "decay": 0.9, "scale": True},
        ),
    ):
        with slim.arg_scope([slim.conv2d], stride=2):
            n = slim.conv2d(x, 4, [3, 2], scope="c1")
        n = slim.repeat(n, 2, slim.conv2d, 3, 3, padding="VALID", rate=1, scope="r")
        n = slim.conv2d(n, 3, 3, rate=2, activation_fn=tf.nn.tanh, normalizer_fn=None)
        up = layers.conv2d_transpose(n, 2, [3, 4], stride=2, scope="up")
        valid = layers.conv2d_transpose(n, 2, [3, 4], stride=[2, 1], padding="VALID", activation_fn=None)
        n = slim.max_pool2d(n, 2, stride=1)
        pool = slim.avg_pool2d(n, [2, 2], padding="SAME")
        hidden = slim.fully_connected(slim.flatten(pool), 5)
        logits = layers.linear(hidden, 3, normalizer_fn=None, weights_regularizer=layers.l1_regularizer(0.02))
        return {"logits": logits, "up": up, "valid": valid, "pool": pool}


def test_a_network_has_the_variables_outputs_losses_and_updates_of_tf1():
    x = v1.placeholder(tf.float32, [None, 13, 12, 2])
    outputs = {"train": network(x, True), "test": network(x, False, reuse=True)}
    variables = v1.global_variables()
    assert [variable.op.name for variable in variables] == list(golden["names"])
    assert [variable.op.name for variable in v1.trainable_variables()] == list(golden["trainable"])
    assert [variable.op.name for variable in v1.get_collection("model_variables")] == list(golden["model"])
    with v1.Session() as session:
        for variable in variables:
            variable.load(golden[f"before/{variable.op.name}"], session)
        feed = {x: golden["x"]}
        values = session.run(outputs, feed)
        for mode, each in values.items():
            for key, value in each.items():
                np.testing.assert_allclose(value, golden[f"{mode}/{key}"], rtol=1e-4, atol=1e-5)
        losses = session.run(v1.losses.get_regularization_losses())
        np.testing.assert_allclose(losses, golden["regularization"], rtol=1e-5)
        session.run(v1.get_collection(v1.GraphKeys.UPDATE_OPS), feed)
        for key in golden:
            if key.startswith("after/"):
                (variable,) = [v for v in variables if v.op.name == key.removeprefix("after/")]
                np.testing.assert_allclose(session.run(variable), golden[key], rtol=1e-5)


@pytest.mark.parametrize(
    ("initializer", "deviation", "largest"),
    [
        # The figures are those that TensorFlow 1.15.5 drew for the same shape.
        (layers.xavier_initializer(), 0.041313, 0.071611),
        (layers.xavier_initializer(uniform=False), 0.041402, 0.094266),
        (layers.variance_scaling_initializer(), 0.066962, 0.152013),
        (layers.variance_scaling_initializer(uniform=True, mode="FAN_OUT", factor=1.0), 0.037251, 0.064548),
    ],
)
def test_initialisers_draw_from_the_same_distributions(initializer, deviation, largest):
    v1.set_random_seed(0)  # Draws of another seed are more than 1 % apart now and then.
    with v1.Session() as session:
        drawn = session.run(initializer([3, 3, 50, 80]))
    assert drawn.std() == pytest.approx(deviation, rel=0.01)
    assert np.abs(drawn).max() == pytest.approx(largest, rel=0.01)


def test_batch_norm_switches_by_a_tensor_and_updates_in_place():
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(50, 4)).astype("float32")
    training = v1.placeholder(tf.bool, [])
    y = layers.batch_norm(tf.constant(x), decay=0.5, is_training=training, updates_collections=None, scope="bn")
    assert not v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    mean = v1.get_collection("model_variables", "bn/moving_mean")[0]
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        np.testing.assert_allclose(session.run(y, {training: False}), x / np.sqrt(1.001), rtol=1e-5)
        np.testing.assert_array_equal(session.run(mean), np.zeros(4))
        normal = session.run(y, {training: True})
        np.testing.assert_allclose(normal, (x - x.mean(0)) / np.sqrt(x.var(0) + 0.001), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(session.run(mean), 0.5 * x.mean(0), rtol=1e-5)


def test_dropout_regularisers_and_the_small_functions():
    x = tf.ones([200, 5])
    with v1.Session() as session:
        kept = session.run(layers.dropout(x, 0.25, seed=1))
        assert set(np.unique(kept)) == {0.0, 4.0}
        assert 0.2 < (kept > 0).mean() < 0.3
        np.testing.assert_array_equal(session.run(layers.dropout(x, 0.25, is_training=False)), np.ones((200, 5)))
        assert layers.l2_regularizer(0.0)(x) is None
        both = layers.apply_regularization(layers.l1_l2_regularizer(0.1, 0.2), [tf.ones([4]), tf.zeros([2])])
        assert session.run(both) == pytest.approx(0.1 * 4 + 0.2 * 2)
        assert both in v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
        np.testing.assert_array_equal(session.run(layers.one_hot_encoding([1], 3)), [[0, 1, 0]])
        np.testing.assert_allclose(session.run(layers.softmax(tf.zeros([2, 4]))), np.full((2, 4), 0.25))
    assert layers.flatten(v1.placeholder(tf.float32, [None, 2, 3])).shape.as_list() == [None, 6]
    with pytest.raises(ValueError, match=r"not negative\. Received: scale=-1"):
        layers.l1_regularizer(-1)
    with pytest.raises(ValueError, match="There are no weights"):
        layers.apply_regularization(layers.l1_regularizer(1.0))
    with pytest.raises(ValueError, match=r"NHWC only\. Received: data_format='NCHW'"):
        layers.conv2d(tf.zeros([1, 2, 4, 4]), 1, 3, data_format="NCHW")
    with pytest.raises(ValueError, match="mode is one of"):
        layers.variance_scaling_initializer(mode="fan")


def test_arg_scopes_nest_override_and_return():
    @framework.add_arg_scope
    def function(a, b=1, c=2):
        return a, b, c

    with framework.arg_scope([function], b=10) as outer:
        assert function(0) == (0, 10, 2)
        with framework.arg_scope([function], c=20):
            assert function(0, b=5) == (0, 5, 20)
        assert function(0) == (0, 10, 2)
    assert function(0) == (0, 1, 2)
    with framework.arg_scope(outer):
        assert function(0) == (0, 10, 2)
    assert framework.has_arg_scope(function) and not framework.has_arg_scope(print)
    with pytest.raises(ValueError, match="marked by add_arg_scope"), framework.arg_scope([print], a=1):
        pass
    with pytest.raises(ValueError, match=r"takes no arguments\. Received: \['b'\]"):
        framework.arg_scope(outer, b=2).__enter__()


def test_what_is_gone_is_explained():
    contrib = MODULES["tensorflow.contrib"]
    for symbol, words in {"rnn": "use tf.nn.rnn_cell", "crf": "tensorflow-addons", "nonsense": "dissolved"}.items():
        with pytest.raises(AttributeError, match=rf"has no tf\.contrib\.{symbol}: .*{words}"):
            getattr(contrib, symbol)
    with pytest.raises(AttributeError, match=r"has no tf\.contrib\.layers\.crf: only its common layers are here"):
        _ = layers.crf
    assert layers.convolution2d is layers.conv2d
    assert _removed.explain("no_such_symbol", "2.0") is None
    # Only what is really gone is in the table.
    gone = [name for name in _removed._SUCCESSORS if "." not in name and name != "examples"]
    assert [name for name in gone if hasattr(v1, name)] == []
