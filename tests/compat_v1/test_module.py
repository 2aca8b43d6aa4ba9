"""Functions of the TF1 era as modules."""

import numpy as np
import pytest
import tensorflow as tf

from tests.compat_v1.test_golden import arrays
from tf_symconv import compat_v1

v1 = tf.compat.v1


def layer(x, units=3, scope="net"):
    """A layer of the TF1 era with all its habits: scopes, unnamed variables, regularisers, moving averages."""
    with v1.variable_scope(scope, regularizer=lambda w: 0.5 * tf.nn.l2_loss(w)):
        w = v1.get_variable("w", [x.shape[-1], units])
        first, second = v1.Variable(tf.zeros([units])), v1.Variable(np.ones(units, "float32"))
    mean = v1.get_variable("mean", [units], initializer=v1.zeros_initializer(), trainable=False)
    y = tf.matmul(x, w) + first + second
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_add(mean, tf.reduce_mean(y, 0)))
    v1.add_to_collection(v1.GraphKeys.LOSSES, tf.reduce_sum(y))
    return y


NAMES = ["net/w", "net/Variable", "net/Variable_1", "mean"]


def expected(module, x):
    variables = module.named_variables
    return x @ variables["net/w"].numpy() + variables["net/Variable"].numpy() + variables["net/Variable_1"].numpy()


def test_it_owns_the_variables_under_their_names_and_reuses_them():
    module = compat_v1.V1Module(layer)
    x = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    y = module(x)
    assert list(module.named_variables) == NAMES
    assert [variable.name for variable in module.named_variables.values()] == [f"{name}:0" for name in NAMES]
    assert {variable.name for variable in module.trainable_variables} == {f"{name}:0" for name in NAMES[:3]}
    np.testing.assert_array_equal(module.named_variables["net/Variable_1"], np.ones(3))
    assert np.std(module.named_variables["net/w"]) > 0.1
    np.testing.assert_allclose(y, expected(module, x), rtol=1e-5)
    module.named_variables["net/Variable_1"].assign([1.0, 2.0, 3.0])
    for batch in (x, x[:1], np.concatenate([x, x])):
        np.testing.assert_allclose(module(tf.constant(batch)), expected(module, batch), rtol=1e-5)
    assert list(module.named_variables) == NAMES


def test_the_calls_run_under_tapes_and_functions():
    module = compat_v1.V1Module(layer)
    x = tf.ones([4, 5])

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(module(x)) + tf.add_n(module.regularization_losses())
        variables = [module.named_variables[name] for name in NAMES[:3]]
        return tape.gradient(loss, variables)

    gradients = step(x)
    # d/dw of the sum is the sum of the inputs, and 0.5 * l2_loss has the gradient 0.5 * w.
    np.testing.assert_allclose(gradients[0], 4.0 + 0.5 * module.named_variables["net/w"].numpy(), rtol=1e-5)
    np.testing.assert_allclose(gradients[1], 4.0 + 0.5 * module.named_variables["net/Variable"].numpy(), rtol=1e-5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(x))
    np.testing.assert_allclose(tape.gradient(loss, module.named_variables["net/w"]), np.full((5, 3), 4.0))
    # A function that is traced again may make further variables.
    assert step(tf.ones([6, 5]))[0].shape == (5, 3)


def test_losses_and_updates_are_in_reach():
    module = compat_v1.V1Module(layer)
    x = tf.ones([2, 5])
    y = module(x)
    losses = module.regularization_losses()
    # The regulariser of the scope sees what get_variable makes; unnamed variables escape it, as in TF1.
    w = module.named_variables["net/w"].numpy()
    np.testing.assert_allclose(losses, [0.25 * np.sum(w**2)], rtol=1e-5)
    mean = module.named_variables["mean"]
    np.testing.assert_allclose(mean, np.mean(y, 0), rtol=1e-5)
    module(x)
    np.testing.assert_allclose(mean, 2 * np.mean(y, 0), rtol=1e-5)
    assert module.collect("losses", x)[0].shape == ()
    np.testing.assert_allclose(mean, 2 * np.mean(y, 0), rtol=1e-5)
    assert module.collect("no such collection", x) == []

    still = compat_v1.V1Module(layer, run_update_ops=False)
    y = still(x)
    np.testing.assert_array_equal(still.named_variables["mean"], np.zeros(3))
    still.collect(v1.GraphKeys.UPDATE_OPS, x)
    np.testing.assert_allclose(still.named_variables["mean"], np.mean(y, 0), rtol=1e-5)


def test_a_loss_of_the_arguments_is_collected_with_them():
    def function(x):
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(x))
        return x * v1.get_variable("w", [])

    module = compat_v1.V1Module(function)
    module(tf.ones([3]))
    with pytest.raises(ValueError, match="depends on the arguments"):
        module.regularization_losses()
    np.testing.assert_allclose(module.collect("regularization_losses", tf.ones([3])), [3.0])


def test_arguments_may_be_anything():
    def function(x, scale, pair=None, flag=False):
        w = v1.get_variable("on" if flag else "off", [], initializer=v1.ones_initializer())
        total = x * scale * w + (0.0 if pair is None else pair["a"] + pair["b"])
        return {"total": total, "flag": tf.constant(flag), "nothing": None, "row": [total, (w,)]}

    module = compat_v1.V1Module(function)
    x = tf.Variable([1.0, 2.0])
    out = module(x, 2.0)
    np.testing.assert_allclose(out["total"], [2.0, 4.0])
    assert out["nothing"] is None
    np.testing.assert_allclose(module(x, np.float32(3.0), pair={"a": 1, "b": tf.ones([2])})["total"], [5.0, 8.0])
    assert bool(module(x, 2.0, flag=True)["flag"])
    assert set(module.named_variables) == {"on", "off"}
    sparse = tf.sparse.from_dense([[0.0, 2.0]])
    doubled = compat_v1.V1Module(lambda s: tf.sparse.map_values(tf.multiply, s, 2.0))(sparse)
    np.testing.assert_allclose(tf.sparse.to_dense(doubled), [[0.0, 4.0]])


def test_reuse_inside_a_call_is_that_of_tf1():
    def twice(x, reuse):
        with v1.variable_scope("s"):
            a = v1.get_variable("w", [2])
        with v1.variable_scope("s", reuse=reuse):
            b = v1.get_variable("w", [2])
        return a + b + x

    module = compat_v1.V1Module(twice)
    with pytest.raises(ValueError, match="Variable s/w already exists"):
        module(tf.zeros([2]), None)
    assert not module.named_variables
    module(tf.zeros([2]), True)
    assert list(module.named_variables) == ["s/w"]


def test_two_modules_share_nothing():
    first, second = compat_v1.V1Module(layer), compat_v1.V1Module(layer)

    @tf.function
    def both(x):
        return first(x), second(x)

    x = tf.ones([2, 5])
    a, b = both(x)
    assert np.abs(a - b).max() > 1e-3
    assert first.named_variables["net/w"] is not second.named_variables["net/w"]


def test_initial_values_may_depend_on_earlier_variables_but_not_on_arguments():
    def chain(x):
        first = v1.Variable(tf.random.normal([3]), name="first")
        return x * v1.Variable(first * 2.0, name="second")

    module = compat_v1.V1Module(chain)
    module(1.0)
    named = module.named_variables
    np.testing.assert_allclose(named["second"], 2 * named["first"].numpy())
    bad = compat_v1.V1Module(lambda x: v1.Variable(x, name="w") + 0.0)
    with pytest.raises(ValueError, match="initial value of the variable 'w' depends on the arguments"):
        bad(tf.ones([2]))
    assert not bad.named_variables


def test_seeds_fix_the_initial_values():
    def values():
        tf.random.set_seed(3)
        module = compat_v1.V1Module(layer)
        module.build(tf.TensorSpec([None, 5]))
        return module.named_variables["net/w"].numpy()

    np.testing.assert_array_equal(values(), values())


def test_object_based_checkpoints_save_and_restore(tmp_path):
    module, x = compat_v1.V1Module(layer), tf.ones([2, 5])
    y = module(x)
    path = tf.train.Checkpoint(module=module).save(str(tmp_path / "m"))
    # Restored before the variables exist, and after.
    for build in (False, True):
        other = compat_v1.V1Module(layer)
        if build:
            other.build(tf.TensorSpec([None, 5]))
        status = tf.train.Checkpoint(module=other).restore(path)
        other.build(tf.TensorSpec([None, 5]))
        np.testing.assert_array_equal(other.named_variables["mean"], module.named_variables["mean"])
        np.testing.assert_allclose(other(x), y, rtol=1e-6)
        status.assert_consumed()


def test_it_becomes_a_saved_model(tmp_path):
    module = compat_v1.V1Module(layer)
    x = np.random.default_rng(1).normal(size=(3, 5)).astype("float32")
    serve = tf.function(lambda x: {"y": module(x)}).get_concrete_function(tf.TensorSpec([None, 5], name="x"))
    module(x)
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=serve)
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    np.testing.assert_allclose(loaded.signatures["serving_default"](x=tf.constant(x))["y"], module(x), rtol=1e-6)
    np.testing.assert_allclose(loaded(x), module(x), rtol=1e-6)


def test_the_functions_of_this_package_are_modules_too():
    key = "spec/4_4_2_3_12/"
    initial = {"c": arrays[f"{key}init"]}
    module = compat_v1.V1Module(lambda x: compat_v1.fft_conv(x, 3, 4, 4, 1, name="c", initialization=initial))
    output, kernel, _ = module(arrays[f"{key}x"])
    np.testing.assert_allclose(output, arrays[f"{key}a"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(kernel, arrays[f"{key}sa"], rtol=1e-5, atol=1e-5)
    assert list(module.named_variables) == ["c/spectrum", "c/bias"]


def test_bad_use_is_refused():
    with pytest.raises(TypeError, match=r"fn is a function\. Received: fn=3"):
        compat_v1.V1Module(3)
    module = compat_v1.V1Module(layer)
    module(tf.ones([2, 5]))
    with pytest.raises(ValueError, match=r"'net/w' has shape \(5, 3\).*Received: shape=\(6, 3\)"):
        module(tf.ones([2, 6]))
    with tf.Graph().as_default(), pytest.raises(RuntimeError, match=r"In a tf\.Graph, call its function itself"):
        compat_v1.V1Module(layer)(tf.ones([2, 5]))
