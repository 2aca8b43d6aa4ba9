"""The penalty is the squared distance from the nearest symmetric kernel, and training follows its strength."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from tf_symconv import kernels, models


def kernel(shape=(3, 3, 2, 4), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def nearest(symmetry, values):
    """Return the mean over the group."""
    return np.mean([transform(values) for transform in [*oracles.TRANSFORMS[symmetry], lambda a: a]], axis=0)


@pytest.mark.parametrize("symmetry", oracles.TRANSFORMS)
def test_value_and_gradient(symmetry):
    penalty = models.SymmetryPenalty(symmetry, 0.3)
    values = kernel()
    rest = values - nearest(symmetry, values)
    variable: Any = tf.Variable(values)
    with tf.GradientTape() as tape:
        loss = penalty(variable)
    np.testing.assert_allclose(loss, 0.3 * np.sum(rest**2), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(tape.gradient(loss, variable)), 0.6 * rest, atol=1e-5)
    np.testing.assert_allclose(penalty(nearest(symmetry, values)), 0.0, atol=1e-10)


def test_parity_mixes_and_other_ranks():
    values = kernel((5, 2, 4))
    odd = (values - values[::-1]) / 2
    np.testing.assert_allclose(
        models.SymmetryPenalty("h", 1.0, parity="odd")(values), np.sum((values - odd) ** 2), rtol=1e-5
    )
    values = kernel()
    half = values[..., :2] - values[:, ::-1, :, :2]
    np.testing.assert_allclose(models.SymmetryPenalty({"h": "50%"}, 1.0)(values), np.sum((half / 2) ** 2), rtol=1e-5)
    with pytest.raises(ValueError, match="equal height and width"):
        models.SymmetryPenalty("c4")(kernel((3, 5, 2, 4)))


def test_half_precision_is_summed_in_float32():
    values = tf.cast(kernel(), tf.bfloat16)
    assert models.SymmetryPenalty("hv")(values).dtype == tf.float32


@pytest.mark.parametrize("symmetry", ["c4", {"hv": "50%", "circular": 1}, kernels.Rotational(2)])
def test_config_and_file(tmp_path, symmetry):
    penalty = models.SymmetryPenalty(symmetry, 0.25)
    penalty.strength.assign(0.5)
    model = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Conv2D(4, 3, kernel_regularizer=penalty)])
    model.save(tmp_path / "model.keras")
    again: Any = keras.models.load_model(tmp_path / "model.keras")
    restored = again.layers[0].kernel_regularizer
    assert restored.get_config() == penalty.get_config() and float(restored.strength.numpy()) == 0.5
    np.testing.assert_allclose(again.losses, model.losses, rtol=1e-6)
    np.testing.assert_allclose(restored(kernel()), penalty(kernel()), rtol=1e-6)


def test_other_parities_come_back():
    config = models.SymmetryPenalty("hv", parity=("odd", "even")).get_config()
    assert models.SymmetryPenalty.from_config(config).kernel_map == kernels.get("hv", ("odd", "even"))


def train(epochs, annealing, learning_rate, jit_compile=False, **arguments):
    """Train towards targets of zero with inputs of zero: the penalty is all there is to the loss."""
    penalty = models.SymmetryPenalty("hv", 100.0)
    parts = [keras.Input((6, 6, 2)), keras.layers.Conv2D(4, 3, kernel_regularizer=penalty, use_bias=False)]
    model: Any = keras.Sequential(parts)
    model.layers[0].set_weights([kernel()])
    optimizer = keras.optimizers.SGD(learning_rate)
    model.compile(optimizer=optimizer, loss="mse", jit_compile=jit_compile)
    x, y = np.zeros((4, 6, 6, 2)), np.zeros((4, 4, 4, 4))
    history = model.fit(x, y, epochs=epochs, batch_size=4, verbose=0, callbacks=[annealing], **arguments).history
    return model, history


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_strength_of_each_epoch_reaches_the_compiled_training_step(jit_compile):
    _, history = train(4, models.SymmetryAnnealing(0.3, epochs=4), 0.0, jit_compile)
    values = kernel()
    rest = values - nearest("hv", values)
    np.testing.assert_allclose(history["symmetry_strength"], [0.0, 0.1, 0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(history["loss"], np.array([0.0, 0.1, 0.2, 0.3]) * np.sum(rest**2), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(history["symmetry_residual"], np.linalg.norm(rest) / np.linalg.norm(values), rtol=1e-5)


def test_the_kernel_becomes_symmetric_and_its_symmetric_part_stays():
    model, history = train(12, models.SymmetryAnnealing(0.4, epochs=3), 1.0)
    assert history["symmetry_residual"][-1] < 1e-4 < history["symmetry_residual"][0]
    np.testing.assert_allclose(model.layers[0].get_weights()[0], nearest("hv", kernel()), atol=1e-3)
    _, report = models.symmetrize(model, "hv")
    assert report.layers[0].residual == pytest.approx(0.0, abs=1e-4)


def test_a_resumed_run_goes_on_where_it_stopped():
    _, history = train(4, models.SymmetryAnnealing(0.3, epochs=4), 0.0, initial_epoch=2)
    np.testing.assert_allclose(history["symmetry_strength"], [0.2, 0.3], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"end": 1.0, "epochs": 5}, [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]),
        ({"end": 1.0, "epochs": 3, "start": 0.01, "schedule": "exponential"}, [0.01, 0.1, 1.0, 1.0, 1.0, 1.0]),
        ({"end": 2.0, "epochs": 3, "schedule": "cosine"}, [0.0, 1.0, 2.0, 2.0, 2.0, 2.0]),
        ({"end": 1.0, "epochs": 3, "first_epoch": 2}, [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]),
        ({"end": 1.0, "epochs": 1, "first_epoch": 2, "start": 0.5}, [0.5, 0.5, 1.0, 1.0, 1.0, 1.0]),
        ({"schedule": lambda epoch: 2.0 * epoch}, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
    ],
)
def test_schedules(arguments, expected):
    annealing = models.SymmetryAnnealing(**arguments)
    np.testing.assert_allclose([annealing.strength_at(epoch) for epoch in range(6)], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: models.SymmetryPenalty("q"), "symmetry='q'"),
        (lambda: models.SymmetryPenalty("hv", -1.0), "strength=-1.0"),
        (lambda: models.SymmetryPenalty("hv", float("nan")), "strength=nan"),
        (lambda: models.SymmetryAnnealing(-1.0), "end=-1.0"),
        (lambda: models.SymmetryAnnealing(epochs=0), "epochs=0"),
        (lambda: models.SymmetryAnnealing(first_epoch=-1), "first_epoch=-1"),
        (lambda: models.SymmetryAnnealing(schedule="step"), "schedule='step'"),
        (lambda: models.SymmetryAnnealing(schedule="exponential"), "start=0.0"),
        (lambda: models.SymmetryAnnealing(schedule=lambda epoch: -1.0).strength_at(0), "Received: schedule"),
    ],
)
def test_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_annealing_needs_a_penalty():
    model: Any = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="SymmetryPenalty"):
        model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0, callbacks=[models.SymmetryAnnealing()])
