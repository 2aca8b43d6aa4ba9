"""Calibration: what it makes of the signal, on data that it has not seen, and what it leaves alone."""

import inspect
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import initialisation
from tests.layers.cases import CASES
from tf_symconv import initializers, layers, models

DEPTH = 10
STRUCTURES = {**initialisation.STRUCTURES, **initialisation.BANKS}


def images(seed, count=8, size=12, channels=3):
    return initialisation.images(np.random.default_rng(seed), size, channels)[:count].astype("float32")


def conv(filters=16, kernel_size=5, **arguments) -> Any:
    return layers.SymmetricConv2D(filters, kernel_size, padding="same", **arguments)


def stack(structure, normalise=False):
    """Convolutions followed by separate activations, so that their outputs can be looked at."""
    parts = [keras.Input((12, 12, 3))]
    for _ in range(DEPTH):
        parts += [initialisation.convolution(structure, 16), keras.layers.ReLU()]
        if normalise:
            parts.insert(-1, keras.layers.BatchNormalization())
    return keras.Sequential(parts)


def spreads(model, batch, kind, training=False):
    """Return the variance of the outputs of all layers of a kind."""
    found, x = [], batch
    for layer in model.layers:
        x = layer(x, training=training) if isinstance(layer, keras.layers.BatchNormalization) else layer(x)
        if isinstance(layer, kind):
            found.append(float(np.var(x)))
    return np.array(found)


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_calibrated_stack_of_ten_keeps_its_variance_on_new_data(name):
    found = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = stack(STRUCTURES[name])
        assert models.calibrate(model, images(seed)).converged
        found.append(spreads(model, images(seed + 100), keras.layers.Conv2D))
    assert np.all((np.median(found, axis=0) > 0.5) & (np.median(found, axis=0) < 2.0)), np.median(found, axis=0)


@pytest.mark.parametrize("name", STRUCTURES)
def test_batch_normalisation_keeps_the_variance_of_a_stack_of_ten(name):
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = stack(STRUCTURES[name], normalise=True)
        found = spreads(model, images(seed), keras.layers.BatchNormalization, training=True)
        assert np.all((found > 0.5) & (found < 2.0)), found


def test_noise_stands_in_for_data():
    """Far from the hundreds of thousands by which circular kernels grow without it."""
    model = stack("circular")
    models.calibrate(model, np.random.default_rng(0).normal(size=(8, 12, 12, 3)))
    found = spreads(model, images(1), layers.SymmetricConv2D)
    assert np.all((found > 0.2) & (found < 20.0)), found


CONVOLUTIONS = [case for case in CASES if "activation" in inspect.signature(case.layer).parameters]


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda case: case.id)
def test_every_layer_is_calibrated_and_keeps_its_structure(case):
    model = case.make_model(activation="relu")
    layer, batch = model.layers[0], case.inputs(4)
    before = {variable.path: variable.numpy() for variable in model.variables}
    (done,) = models.calibrate(model, batch, variance=3.0).layers
    assert not done.note
    layer.activation = keras.activations.linear
    assert np.var(model(batch)) == pytest.approx(3.0, rel=0.05)
    assert np.var(model(batch)) == pytest.approx(done.after, rel=1e-3)
    factors = []
    for variable in model.variables:
        ratio = variable.numpy()[before[variable.path] != 0] / before[variable.path][before[variable.path] != 0]
        np.testing.assert_array_equal(variable.numpy()[before[variable.path] == 0], 0.0)
        factors += [np.median(ratio)] if ratio.size else []
        np.testing.assert_allclose(ratio, np.median(ratio) if ratio.size else 1.0, rtol=1e-5)
    assert np.prod(factors) == pytest.approx(done.factor, rel=1e-4)


def test_activations_inside_a_layer_are_seen_through():
    def build(inside):
        keras.utils.set_random_seed(1)
        parts = [keras.Input((12, 12, 3))]
        for activation in ("relu", "tanh", "relu"):
            parts += [conv(activation=activation)] if inside else [conv(), keras.layers.Activation(activation)]
        return keras.Sequential(parts)

    inside, beside = build(True), build(False)
    reports = [models.calibrate(model, images(0)) for model in (inside, beside)]
    for one, other in zip(inside.weights, beside.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    for one, other in zip(reports[0].layers, reports[1].layers, strict=True):
        assert one.before == pytest.approx(other.before, rel=1e-4)
        assert one.factor == pytest.approx(other.factor, rel=1e-4)
    assert [layer.activation.__name__ for layer in inside.layers] == ["relu", "tanh", "relu"]


def test_an_activation_that_is_a_layer_stays_in_place():
    slope = keras.layers.PReLU(shared_axes=(1, 2), alpha_initializer="ones")
    model = keras.Sequential([keras.Input((12, 12, 3)), conv(activation=slope), conv()])
    assert models.calibrate(model, images(0)).converged
    assert model.layers[0].activation is slope
    np.testing.assert_array_equal(slope.alpha, np.ones((1, 1, 16)))
    assert len(model.trainable_variables) == 5


class Residual(keras.Model):
    """A subclassed model: branches that meet, a nested model, a shared layer, dropout."""

    def __init__(self):
        super().__init__()
        self.stem = conv(8, activation="relu", name="stem")
        self.inner = keras.Sequential([conv(8, name="inner_conv"), keras.layers.BatchNormalization()], name="inner")
        self.shared = keras.layers.Conv2D(8, 3, padding="same", name="shared")
        self.drop = keras.layers.Dropout(0.9)
        self.head = keras.layers.Dense(5, activation="softmax", name="head")

    def call(self, inputs, training=None):
        x = self.stem(inputs["image"])
        x = x + self.inner(x, training=training)
        x = self.shared(self.shared(x))
        x = self.drop(keras.ops.mean(x, axis=(1, 2)), training=training)
        return self.head(keras.ops.concatenate([x, inputs["extra"]], axis=-1))


def test_subclassed_nested_and_shared_layers_in_the_order_of_their_calls():
    model, batch = Residual(), {"image": images(0), "extra": np.ones((8, 2), "float32")}
    seen = []
    report = models.calibrate(model, batch, progress=lambda done, total, layer: seen.append((done, total, layer.name)))
    names = [layer.name.split("/")[-1] for layer in report.layers]
    assert names == ["stem", "inner_conv", "shared", "head"]
    assert seen == [(i + 1, 4, layer.name) for i, layer in enumerate(report.layers)]
    assert report.converged
    normalisation = model.inner.layers[1]
    np.testing.assert_array_equal(normalisation.moving_mean, np.zeros(8))
    np.testing.assert_array_equal(normalisation.moving_variance, np.ones(8))
    x = model.stem(batch["image"])
    x = x + model.inner(x)
    assert np.var(model.shared(x)) == pytest.approx(1.0, rel=0.05)
    assert "call" not in vars(model.shared)


def test_a_functional_model_with_two_inputs():
    one, two = keras.Input((12, 12, 3)), keras.Input((12, 12, 3))
    outputs = keras.layers.Concatenate()([conv(name="left")(one), conv(name="right")(two)])
    model = keras.Model([one, two], outputs)
    models.calibrate(model, [images(0), 10 * images(1)])
    found = np.var(np.asarray(model([images(0), 10 * images(1)])).reshape(-1, 2, 16), axis=(0, 2))
    np.testing.assert_allclose(found, 1.0, rtol=0.05)


def test_frozen_recurrent_and_unchosen_layers_are_left_alone():
    frozen = conv(4, name="frozen", trainable=False)
    chosen, other = conv(4, name="chosen"), conv(4, name="other")
    model = keras.Sequential(
        [keras.Input((12, 12, 3)), frozen, chosen, other, keras.layers.Reshape((12, 48)), keras.layers.LSTM(3)],
        name="model",
    )
    start = [variable.numpy() for variable in model.variables]
    models.calibrate(model, images(0), layers=[chosen])
    moved = [
        variable.path
        for variable, before in zip(model.variables, start, strict=True)
        if not np.array_equal(variable, before)
    ]
    assert moved == ["model/chosen/kernel"]
    names = [layer.name.split("/")[-1] for layer in models.calibrate(model, images(0)).layers]
    assert names == ["chosen", "other"]
    for stranger in (frozen, model.layers[-1], conv(name="stranger")):
        with pytest.raises(ValueError, match=rf"layers must be trainable.*Received: \['{stranger.name}'\]"):
            models.calibrate(model, images(0), layers=[chosen, stranger])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_low_and_high_precision(policy):
    with_policy: dict[str, Any] = {"dtype": keras.DTypePolicy(policy)}
    model = keras.Sequential(
        [keras.Input((12, 12, 3)), conv(activation="relu", **with_policy), keras.layers.Conv2D(4, 3, **with_policy)]
    )
    before = [layer.weights[0].numpy() for layer in model.layers]
    report = models.calibrate(model, images(0))
    assert report.converged
    for layer, start, done in zip(model.layers, before, report.layers, strict=True):
        # The variables are scaled in their own precision, not in that of the computation.
        np.testing.assert_allclose(layer.weights[0].numpy(), start * done.factor, rtol=1e-6)


def test_biases_and_a_loose_tolerance():
    model = keras.Sequential([keras.Input((12, 12, 3)), conv(bias_initializer=keras.initializers.RandomNormal(0, 0.7))])
    start = model.layers[0].bias.numpy()
    (done,) = models.calibrate(model, images(0), tolerance=0.01, max_steps=50).layers
    np.testing.assert_array_equal(model.layers[0].bias, start)
    assert done.steps > 1
    assert np.var(model(images(0))) == pytest.approx(1.0, rel=0.01)
    loud = keras.Sequential([keras.Input((12, 12, 3)), conv(bias_initializer=keras.initializers.RandomNormal(0, 5.0))])
    report = models.calibrate(loud, images(0), max_steps=3)
    assert not report.converged
    assert report.layers[0].note == "off the target after 3 steps"


def test_layers_without_output_or_call_are_reported():
    class Lazy(keras.Model):
        def __init__(self):
            super().__init__()
            self.zero, self.idle = conv(kernel_initializer="zeros", name="zero"), conv(name="idle")

        def build(self, shape):
            self.zero.build(shape)
            self.idle.build(shape)

        def call(self, inputs):
            return self.zero(inputs)

    report = models.calibrate(Lazy(), images(0))
    assert [layer.note for layer in report.layers] == [
        "its outputs do not vary",
        "not called eagerly on this batch",
    ]
    assert not report.converged


def test_the_report_is_a_table():
    model = keras.Sequential([keras.Input((12, 12, 3)), conv(name="first"), conv(name="second")], name="m")
    report = models.calibrate(model, images(0))
    lines = str(report).split("\n")
    assert [line.split()[0] for line in lines] == ["layer", "m/first", "m/second"]
    assert len({line.index(line.split()[1]) + len(line.split()[1]) for line in lines}) == 1
    assert report.layers[0].before * report.layers[0].factor ** 2 == pytest.approx(report.layers[0].after, rel=1e-4)


def test_a_failure_restores_the_weights():
    class Breaks(keras.layers.Layer):
        def call(self, inputs):
            return inputs / 0.0

    model = keras.Sequential([keras.Input((12, 12, 3)), conv(name="first"), Breaks(), conv(name="second")], name="m")
    start = [variable.numpy() for variable in model.variables]
    with pytest.raises(
        ValueError, match=r"^The outputs of a layer must be finite.*Received: variance nan at 'm/second'"
    ):
        models.calibrate(model, images(0))
    for variable, before in zip(model.variables, start, strict=True):
        np.testing.assert_array_equal(variable, before)
    assert all("call" not in vars(layer) for layer in model.layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variance": 0.0}, r"variance must be positive and finite\. Received: variance=0\.0"),
        ({"variance": -1}, r"variance must be positive and finite\. Received: variance=-1"),
        ({"variance": float("inf")}, r"variance must be positive and finite\. Received: variance=inf"),
        ({"tolerance": 0}, r"tolerance must be between 0 and 1\. Received: tolerance=0"),
        ({"tolerance": 1.5}, r"tolerance must be between 0 and 1\. Received: tolerance=1\.5"),
        ({"max_steps": 0}, r"max_steps must be at least 1\. Received: max_steps=0"),
        ({"batch": np.zeros((0, 12, 12, 3))}, r"batch must hold finite numbers.*Received: shape \(0, 12, 12, 3\)"),
        ({"batch": np.full((1, 12, 12, 3), np.nan)}, r"batch must hold finite numbers"),
        ({"layers": []}, r"must be a trainable layer with a kernel"),
    ],
)
def test_bad_arguments(arguments, message):
    model = keras.Sequential([keras.Input((12, 12, 3)), conv()])
    with pytest.raises(ValueError, match=message):
        models.calibrate(model, **{"batch": images(0), **arguments})


def test_models_that_cannot_be_calibrated():
    with pytest.raises(TypeError, match=r"model must be a Keras model or layer\. Received: function"):
        models.calibrate(lambda x: x, images(0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        ValueError, match=r"must be a trainable layer with a kernel to calibrate\. Received: model 'empty'"
    ):
        models.calibrate(keras.Sequential([keras.Input((12, 12, 3)), keras.layers.ReLU()], name="empty"), images(0))


def test_a_model_that_is_compiled_is_refused():
    class Compiled(keras.Model):
        def __init__(self):
            super().__init__(name="compiled")
            self.conv = conv()

        @tf.function
        def call(self, inputs):
            return self.conv(inputs)

    with pytest.raises(ValueError, match=r"is its call a tf\.function\? Received: model 'compiled'"):
        models.calibrate(Compiled(), images(0))


def test_layers_inside_wrappers():
    batch = np.random.default_rng(0).normal(size=(4, 5, 12, 12, 3)).astype("float32")
    model = keras.Sequential([keras.Input((5, 12, 12, 3)), keras.layers.TimeDistributed(conv())])
    assert models.calibrate(model, batch).converged
    assert np.var(model(batch)) == pytest.approx(1.0, rel=0.1)


def test_scaled_and_plain_starts_end_alike():
    """Calibration makes the initial scale irrelevant."""
    ends = []
    for initializer in ("he_normal", keras.initializers.RandomNormal(0, 7.0, seed=1), initializers.OrbitScaling()):
        model = keras.Sequential([keras.Input((12, 12, 3)), conv(kernel_initializer=initializer)])
        models.calibrate(model, images(0))
        ends.append(np.var(model(images(0))))
    np.testing.assert_allclose(ends, 1.0, rtol=0.05)
