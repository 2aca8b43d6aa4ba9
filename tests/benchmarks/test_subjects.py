"""The functions that are timed do the work they are said to do."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv.benchmarks import LAYERS, Case, Options
from tf_symconv.benchmarks import _subjects as module
from tf_symconv.benchmarks._subjects import construction_seconds, function, plain_layer, structured_layer, subjects


def tiny(layer, kind, kernel=3):
    allowed = LAYERS[layer].kernels
    return Case(layer, kernel if allowed is None else allowed[0], 8, 8, 8, 2, kind)


@pytest.mark.parametrize("kind", ["inference", "training"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_runs_in_every_form(name, kind):
    case = tiny(name, kind)
    found = subjects(case, Options())
    assert list(found.functions) == ["plain", "dense", "auto"]
    assert found.difference < 1e-4
    shapes = {form: [array.shape for array in run()] for form, run in found.functions.items()}
    assert shapes["plain"] == shapes["dense"] == shapes["auto"]
    assert shapes["plain"][0] == (*case.input_shape[:-1], 8)


@pytest.mark.parametrize("reduction", ["max", "sum", "concat"])
def test_two_plain_convolutions_equal_a_twin_flip(reduction):
    case = tiny(f"twin-{reduction}", "inference", kernel=5)
    ours, theirs = structured_layer(case, implementation="dense"), plain_layer(case)
    inputs = tf.random.normal(case.input_shape)
    outputs = ours(inputs)
    theirs.build(case.input_shape)
    theirs.first.kernel.assign(ours.kernel)
    theirs.second.kernel.assign(np.asarray(ours.kernel)[:, ::-1])
    np.testing.assert_allclose(theirs(inputs), outputs, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_training_step_returns_outputs_and_gradient_and_descends(jit_compile, monkeypatch):
    monkeypatch.setattr(module, "_RATE", 0.5)
    layer = keras.layers.Conv2D(4, 3, padding="same")
    layer.build((2, 5, 6, 3))
    inputs, upstream = tf.random.normal((2, 5, 6, 3)), tf.random.normal((2, 5, 6, 4))
    kernel = tf.identity(layer.kernel.value)
    bias = tf.identity(layer.bias.value)
    outputs, to_inputs = function(layer, [inputs, upstream], Options(jit_compile=jit_compile))()
    np.testing.assert_allclose(outputs, tf.nn.conv2d(inputs, kernel, 1, "SAME"), atol=1e-5)
    wanted = tf.nn.conv2d_transpose(upstream, kernel, (2, 5, 6, 3), 1, "SAME")
    np.testing.assert_allclose(to_inputs, wanted, atol=1e-5)
    padded = np.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
    gradient = [
        [np.einsum("bhwi,bhwo->io", padded[:, y : y + 5, x : x + 6], upstream) for x in range(3)] for y in range(3)
    ]
    np.testing.assert_allclose(layer.kernel, kernel - 0.5 * np.array(gradient), atol=1e-3)
    np.testing.assert_allclose(layer.bias, bias - 0.5 * np.sum(upstream, (0, 1, 2)), atol=1e-3)


def test_the_forward_pass_is_part_of_a_training_step():
    case = tiny("mirror-v", "training")
    layer = structured_layer(case, use_bias=False)
    layer.build(case.input_shape)
    run = function(layer, [tf.random.normal(case.input_shape), tf.random.normal((2, 8, 8, 8))], Options())
    outputs, _ = run()
    assert float(tf.reduce_max(tf.abs(outputs))) > 0


def test_forms_that_disagree_are_not_compared(monkeypatch):
    make = module.structured_layer

    def wrong(case, **options):
        layer = make(case, **options)
        if options["implementation"] == "auto":
            call = layer.call
            layer.call = lambda inputs, training=None: 1.5 * call(inputs, training)
        return layer

    monkeypatch.setattr(module, "structured_layer", wrong)
    with pytest.raises(ArithmeticError, match=r"mirror-v/k3/.*: the implementations differ by 0\.5 of"):
        subjects(tiny("mirror-v", "inference"), Options())


def test_seeds_give_the_same_weights_and_inputs():
    first, again, other = (
        subjects(tiny("d4", "inference"), Options(seed=seed)).functions["auto"]()[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert float(tf.reduce_max(tf.abs(first - other))) > 0.1


def test_biases_take_part_where_they_are_asked_for():
    case = dataclasses.replace(tiny("group-c4-lift", "inference"), channels_in=4)
    for bias in (False, True):
        assert subjects(case, Options(bias=bias)).difference < 1e-5
    layer = structured_layer(case, use_bias=True)
    layer.build(case.input_shape)
    assert len(layer.trainable_variables) == 2


def test_construction_is_timed_for_both():
    found = construction_seconds(tiny("group-d4-regular", "training"), runs=2)
    assert set(found) == {"plain", "ours"}
    assert all(0 < seconds < 60 for seconds in found.values())
