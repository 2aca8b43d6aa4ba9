"""Modules that stand between convolutions: training, equivariance, checkpoints, replicas, and wrong arguments."""

from typing import Any

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from tests.layers.test_group import check_equivariance
from tests.layers.test_group import images as group_images
from tf_symconv import groups, layers, modules


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("arguments", [{}, {"center": False, "momentum": 0.5}, {"scale": False, "epsilon": 0.1}])
def test_batch_normalization_in_training_is_that_of_the_keras_layer(arguments, axis):
    layer: Any = layers.GroupBatchNormalization(axis=axis, group="c4", **arguments)
    module = modules.GroupBatchNormalization(axis=axis, group="c4", **arguments)
    train = tf.function(lambda x: module(x, training=True), input_signature=[tf.TensorSpec((None, 8, 3, 8))])
    for step in range(3):
        x = random(4 + step, 8, 3, 8) * (1 + step) + step
        np.testing.assert_allclose(train(x), layer(x, training=True), rtol=1e-4, atol=1e-5)
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(getattr(module, name), getattr(layer, name), rtol=1e-5)
    x = random(2, 8, 3, 8)
    np.testing.assert_allclose(module(x), layer(x, training=False), rtol=1e-4, atol=1e-5)
    assert len(module.trainable_variables) == len(layer.trainable_variables)
    assert len(module.variables) == len(layer.variables)


def test_batch_normalization_by_hand():
    module = modules.GroupBatchNormalization(group="d4", momentum=0.75, epsilon=0.0)
    x = random(6, 5, 5, 16)
    split = x.astype("float64").reshape(6, 5, 5, 2, 8)
    mean, variance = split.mean((0, 1, 2, 4)), split.var((0, 1, 2, 4))
    expected = (split - mean[:, None]) / np.sqrt(variance)[:, None]
    np.testing.assert_allclose(module(x, training=True), expected.reshape(x.shape), atol=1e-5)
    np.testing.assert_allclose(module.moving_mean, 0.25 * mean, atol=1e-6)
    np.testing.assert_allclose(module.moving_variance, 0.75 + 0.25 * variance, atol=1e-6)


@pytest.mark.parametrize("group", ["h", "hv", "c2", "c4", "d4", "diag"])
def test_they_are_equivariant_under_every_element(group):
    order = groups.get(group).order
    x = group_images(group, 2 * order, 6)
    norm = modules.GroupBatchNormalization(group=group, beta_initializer="glorot_normal")
    norm(x, training=True)
    check_equivariance(norm, group, x, True, True)
    check_equivariance(lambda z: norm(z, training=True), group, x, True, True)
    own = {"gamma_initializer": "glorot_normal", "beta_initializer": "glorot_normal"}
    check_equivariance(modules.GroupLayerNormalization(group=group, **own), group, x, True, True)
    for reduction in ("max", "mean"):
        check_equivariance(modules.GroupPooling(group, reduction), group, x, True, False)


class Residual(tf.Module):
    """A residual network of modules alone, whose outputs do not change under the group."""

    def __init__(self, group):
        super().__init__()
        filters = 2 * groups.get(group).order
        self.lift = modules.GroupConv2D(filters, 3, padding="same", group=group)
        self.norm = modules.GroupBatchNormalization(group=group)
        self.conv = modules.GroupConv2D(filters, 3, padding="same", group=group, input_group=group)
        self.layer_norm = modules.GroupLayerNormalization(group=group)
        self.pool = modules.GroupPooling(group)

    def __call__(self, x, training=False):
        x = tf.nn.relu(self.norm(self.lift(x), training=training))
        x += tf.nn.relu(self.layer_norm(self.conv(x)))
        return tf.reduce_mean(self.pool(x), (1, 2))


@pytest.mark.parametrize("group", ["c4", "d4"])
def test_a_residual_network_of_modules_trains_saves_and_stays_invariant(group, tmp_path):
    net, other = Residual(group), Residual(group)
    x, target = tf.constant(random(8, 7, 7, 1)), tf.constant(random(8, 2))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(net(x, training=True) - target))
        variables: Any = net.trainable_variables
        gradients: Any = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(0.1 * gradient)
        return loss

    losses = [float(step()) for _ in range(20)]
    assert losses[-1] < 0.9 * losses[0]
    for element in groups.get(group).elements:
        np.testing.assert_allclose(net(element(x.numpy(), axes=(1, 2)).copy()), net(x), atol=1e-5)
    path = tf.train.Checkpoint(net=net).save(tmp_path / "checkpoint")
    status = tf.train.Checkpoint(net=other).restore(path)
    np.testing.assert_allclose(other(x), net(x), atol=1e-6)
    status.assert_consumed()


def test_replicas_read_the_mean_of_their_moving_statistics():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        module = modules.GroupBatchNormalization(group="c4", momentum=0.5)
        module.build((None, 4))
    shares = random(2, 6, 4) + np.array([0.0, 3.0], "float32")[:, None, None]
    values = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(shares[context.replica_id_in_sync_group])
    )
    strategy.run(tf.function(lambda x: module(x, training=True)), args=(values,))
    np.testing.assert_allclose(module.moving_mean.numpy(), [0.5 * shares.mean()], rtol=1e-5)
    np.testing.assert_allclose(module.moving_variance.numpy(), [0.5 + 0.5 * shares.var((1, 2)).mean()], rtol=1e-5)


def test_frequencies_are_dropped_in_training_only():
    x = random(3, 64, 2)
    module = modules.SpectralPooling1D(32, frequency_dropout=0.25, seed=3)
    again = modules.SpectralPooling1D(32, frequency_dropout=0.25, seed=3)
    full = np.fft.rfft(module(x), axis=1)
    np.testing.assert_allclose(module(x), scipy.signal.resample(x, 32, axis=1), atol=1e-5)
    kept = set()
    train = tf.function(lambda: module(x, training=True))
    for _ in range(20):
        outputs = train()
        np.testing.assert_array_equal(again(x, training=True), outputs)
        spectrum = np.fft.rfft(outputs, axis=1)
        count = int(np.sum(np.abs(spectrum).max(axis=(0, 2)) > 1e-4))
        np.testing.assert_allclose(spectrum[:, :count], full[:, :count], atol=1e-4)
        kept.add(count)
    assert min(kept) >= 0.25 * 17
    assert len(kept) > 5
    without = modules.SpectralPooling1D(32)
    np.testing.assert_array_equal(without(x, training=True), without(x))


def test_pooling_takes_unknown_sizes_and_fractions():
    x = random(1, 9, 8, 2)
    module, layer = modules.SpectralPooling2D(pool_size=(1.5, 2)), layers.SpectralPooling2D(pool_size=(1.5, 2))
    function = tf.function(module, input_signature=[tf.TensorSpec((None, None, None, 2))])
    np.testing.assert_allclose(function(x), layer(x), atol=1e-5)
    with pytest.raises(ValueError, match="needs known spatial sizes"):
        matrix = modules.SpectralPooling2D(2, implementation="matrix")
        tf.function(matrix).get_concrete_function(tf.TensorSpec((1, None, 8, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: modules.GroupBatchNormalization(group="q"), "In 2-D a group is one of"),
        (lambda: modules.GroupBatchNormalization(momentum=1.5), r"from 0 to 1\. Received: momentum=1\.5"),
        (lambda: modules.GroupBatchNormalization(momentum=None), "Received: momentum=None"),  # pyright: ignore
        (lambda: modules.GroupBatchNormalization(epsilon=-1), r"of at least 0\. Received: epsilon=-1"),
        (lambda: modules.GroupBatchNormalization(axis=0), "not 0. Received: axis=0"),
        (lambda: modules.GroupBatchNormalization(center=1), "center must be True or False"),  # pyright: ignore
        (lambda: modules.GroupLayerNormalization(axis=[1, 2]), r"Received: axis=\[1, 2\]"),  # pyright: ignore
        (lambda: modules.GroupLayerNormalization(scale="yes"), "scale must be True or False"),  # pyright: ignore
        (lambda: modules.GroupPooling(reduction="sum"), "one of max, mean. Received: reduction='sum'"),
        (lambda: modules.GroupPooling("c4")(tf.zeros((2, 5, 6))), r"multiple of 4\. Received: 6 channels"),
        (lambda: modules.GroupBatchNormalization()(tf.zeros((2, 6))), r"multiple of 4\. Received: 6 channels"),
        (lambda: modules.GroupLayerNormalization(axis=3)(tf.zeros((2, 5, 8))), r"3 axes\. Received: axis=3"),
        (lambda: modules.GroupPooling(axis=3)(tf.zeros((2, 5, 8))), r"3 axes\. Received: axis=3"),
        (lambda: layers.GroupPooling(axis=3)(tf.zeros((2, 5, 8))), r"3 axes\. Received: axis=3"),
        (lambda: modules.GroupPooling()(tf.zeros((2, 8), tf.int32)), "must be floats"),
        (lambda: modules.SpectralPooling2D(2, 2), "and not both"),
        (lambda: modules.SpectralPooling2D(pool_size=0.5), "Received: pool_size=0.5"),
        (lambda: modules.SpectralPooling1D(2, frequency_dropout=1.0), "Received: frequency_dropout=1.0"),
        (lambda: modules.SpectralPooling1D(2, data_format="last"), "Received: data_format='last'"),
        (lambda: modules.SpectralPooling1D(9)(tf.zeros((1, 8, 1))), "must not exceed the input's"),
        (lambda: modules.SpectralPooling1D(2)(tf.zeros((1, 8, 8, 1))), "must have 3 axes"),
    ],
)
def test_wrong_arguments_and_inputs_get_one_clear_message(make, message):
    with pytest.raises(ValueError, match=message):
        make()
