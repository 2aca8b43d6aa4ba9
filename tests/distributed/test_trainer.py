"""On two replicas of one machine a training ends as on one, and as a loop in plain TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import networks
from tf_symconv import layers
from tf_symconv.distributed import DistributedTrainingError, Trainer

ONE = ["CPU:0"]
TWO = ["CPU:0", "CPU:1"]


def strategy(devices):
    return tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice())


def values(model):
    return [variable.numpy() for variable in model.variables]


def keras_model():
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.SymmetricConv2D(
                4, 3, symmetry="d4", activation="relu", kernel_regularizer=keras.regularizers.L2(0.1)
            ),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Dropout(0.2),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def plain_loop(epochs):
    """Train the network of ``networks`` in ten lines of TensorFlow."""
    keras.utils.set_random_seed(3)
    network = networks.Network()
    network(networks.IMAGES[:1])
    velocity = [tf.zeros_like(variable) for variable in network.trainable_variables]
    for epoch in range(epochs):
        for images, labels in networks.batches(epoch):
            with tf.GradientTape() as tape:
                chosen = tf.gather(network(images), labels, batch_dims=1)
                loss = -tf.reduce_mean(tf.math.log(chosen))
            gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, network.trainable_variables), 0.5)
            velocity = [0.9 * old - 0.1 * gradient for old, gradient in zip(velocity, gradients, strict=True)]
            for variable, change in zip(network.trainable_variables, velocity, strict=True):
                variable.assign_add(change)
    return network


@pytest.mark.parametrize("devices", [ONE, TWO], ids=["one", "two"])
def test_it_is_the_training_of_a_plain_loop(devices):
    trainer = networks.trainer(strategy(devices))
    history = trainer.fit(networks.batches, 2, validation=networks.batches(0))
    model = trainer.trained_model()
    for ours, theirs in zip(values(model), values(plain_loop(2)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    outputs = model(networks.IMAGES).numpy()
    chosen = outputs[np.arange(24), networks.LABELS]
    assert history[-1]["val_loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    assert history[-1]["val_accuracy"] == pytest.approx((outputs.argmax(-1) == networks.LABELS).mean())
    assert trainer.evaluate(networks.batches(1))["loss"] == pytest.approx(history[-1]["val_loss"], rel=1e-5)


class Stop(Exception):
    pass


def test_a_stopped_training_ends_as_one_that_was_not(tmp_path):
    def fit(directory, stop_at=None):
        def tell(history, done):
            if stop_at is not None and done > stop_at:
                raise Stop

        keras.utils.set_random_seed(1)
        trainer = Trainer(keras_model, "adam", strategy=strategy(TWO), directory=directory)
        return trainer.fit(networks.batches, 2, checkpoint_steps=1, on_progress=tell), values(trainer.trained_model())

    history, weights = fit(tmp_path / "whole")
    with pytest.raises(Stop):
        fit(tmp_path / "stopped", 1.5)
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == ["checkpoint.npz"]
    again, same = fit(tmp_path / "stopped")
    assert [figures["loss"] for figures in again] == pytest.approx([figures["loss"] for figures in history], rel=1e-6)
    for ours, theirs in zip(same, weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_moving_averages_are_those_of_all_replicas():
    trainer = Trainer(keras_model, keras.optimizers.SGD(0.0), strategy=strategy(TWO))
    trainer.fit(lambda epoch: networks.batches(0).take(1), 1)
    model = trainer.trained_model()
    images = next(networks.batches(0).as_numpy_iterator())[0]
    hidden = model.layers[0](images).numpy()
    np.testing.assert_allclose(model.layers[1].moving_mean, 0.5 * hidden.mean((0, 1, 2)), rtol=1e-5)


def test_it_exports(tmp_path):
    trainer = networks.trainer(strategy(TWO))
    trainer.fit(networks.batches, 1)
    version = trainer.export(tmp_path / "models", examples=networks.IMAGES[:4])
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    (name,) = served.structured_input_signature[1]
    (answer,) = served(**{name: tf.constant(networks.IMAGES)}).values()
    np.testing.assert_allclose(answer, trainer.trained_model()(networks.IMAGES), rtol=1e-5, atol=1e-6)


def test_each_worker_may_read_its_own_part():
    whole = networks.trainer(strategy(TWO)).fit(networks.batches, 1)
    own = networks.trainer(strategy(TWO)).fit(networks.batches, 1, per_worker=True)
    assert own[0]["loss"] == pytest.approx(whole[0]["loss"], rel=1e-6)  # one worker: its part is the whole


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (
            lambda: networks.batches(0).unbatch().batch(5),
            {"steps_per_epoch": 5},
            ValueError,
            "must divide by .* 2 .*Received: a batch of 5",
        ),
        (
            lambda: networks.batches(0).unbatch().batch(5, drop_remainder=True),
            {},
            ValueError,
            "must divide by .* 2. Received: batches of 5",
        ),
        (lambda: networks.batches(0).repeat(), {}, ValueError, "steps_per_epoch must be given.* an endless data set"),
        (lambda: networks.batches(0).filter(lambda *_: True), {}, ValueError, "Received: a data set of unknown length"),
        (lambda: networks.batches(0).take(0), {}, ValueError, "must have batches. Received: 0"),
        (lambda: networks.batches(0), {"steps_per_epoch": 4}, ValueError, "at least 4 batches. Received: 3"),
        (
            lambda: networks.batches(0).filter(lambda *_: True),
            {"steps_per_epoch": 4},
            DistributedTrainingError,
            "the data ended before step 4 of 4 in epoch 1",
        ),
        (lambda: networks.batches(0).map(lambda x, y: x), {}, TypeError, r"pairs \(inputs, labels\)"),
        (lambda: networks.batches(0).unbatch(), {}, TypeError, "batches of dense tensors"),
        (lambda: [1], {}, TypeError, "must return a tf.data.Dataset"),
        (lambda: networks.batches(0), {"epochs": 0}, ValueError, "epochs must be an integer above 0"),
        (lambda: networks.batches(0).map(lambda x, y: (x / 0, y)), {}, DistributedTrainingError, "loss is not finite"),
    ],
)
def test_data_that_do_not_fit_are_told(data, options, error, message):
    trainer = networks.trainer(strategy(TWO))
    with pytest.raises(error, match=message):
        trainer.fit(lambda epoch: data(), **{"epochs": 1, **options})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"make_model": tf.Module()}, TypeError, "make_model must be a function"),
        ({"loss": "no such loss"}, ValueError, "no such loss"),
        ({"loss": keras.losses.MeanSquaredError(reduction="sum")}, ValueError, "mean over the batch.*reduction='sum'"),
        ({"metrics": {"loss": keras.metrics.mean_squared_error}}, ValueError, "names other than 'loss'"),
        ({"metrics": {"acc": keras.metrics.Accuracy()}}, ValueError, "metrics must be functions"),
        ({"optimizer": "no such optimizer"}, ValueError, "no such optimizer"),
        ({"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())}, ValueError, "not scale the loss"),
        (
            {"optimizer": keras.optimizers.SGD(clipnorm=1.0, gradient_accumulation_steps=2)},
            ValueError,
            "not both clip and accumulate",
        ),
    ],
)
def test_arguments_that_cannot_be_distributed_are_told(options, error, message):
    with pytest.raises(error, match=message):
        Trainer(**{"make_model": networks.Network, "strategy": strategy(TWO), **options})


def test_it_must_be_fitted_first():
    with pytest.raises(RuntimeError, match="call fit first"):
        networks.trainer(strategy(ONE)).trained_model()


def test_a_checkpoint_of_another_model_or_a_damaged_one_is_told(tmp_path):
    networks.trainer(strategy(ONE), tmp_path).fit(networks.batches, 1)
    with pytest.raises(DistributedTrainingError, match="is of another model or optimizer"):
        Trainer(keras_model, strategy=strategy(ONE), directory=tmp_path).fit(networks.batches, 1)
    file = tmp_path / "checkpoint.npz"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DistributedTrainingError, match=r"is damaged .* delete it to train anew"):
        networks.trainer(strategy(ONE), tmp_path).fit(networks.batches, 1)


def test_two_trainings_do_not_share_a_directory(tmp_path):
    def tell(history, done):
        with pytest.raises(DistributedTrainingError, match="another process trains in"):
            networks.trainer(strategy(ONE), tmp_path).fit(networks.batches, 1)
        raise Stop

    with pytest.raises(Stop):
        networks.trainer(strategy(ONE), tmp_path).fit(networks.batches, 1, on_progress=tell)
