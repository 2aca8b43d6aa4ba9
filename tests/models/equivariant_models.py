"""Models, samples and the comparison that the tests of equivariance share."""

import keras
import numpy as np

from tf_symconv import groups
from tf_symconv.layers import GroupBatchNormalization, GroupConv2D, GroupPooling
from tf_symconv.models import equivariance

K = keras.layers


def randomize(model, seed=0):
    """Give every weight a value of its own, as training would."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        signs = 1 if "variance" in weight.path else rng.choice([-1, 1], weight.shape)
        fan = np.prod(weight.shape[:-1]) if len(weight.shape) > 2 else 1
        weight.assign(signs * rng.uniform(0.3, 1.7, weight.shape) / np.sqrt(fan))


def images(size, channels=1, seed=0):
    return np.random.default_rng(seed).normal(size=(2, *np.broadcast_to(size, 2), channels)).astype("float32")


def regular(channels, group):
    return dict(filters=channels * groups.get(group).order, kernel_size=3, padding="same", group=group)


def on_maps(group, subject, size=8):
    """A model whose second layer is the subject, fed with maps on the group."""
    inputs = keras.Input((size, size, 1))
    x = GroupConv2D(**regular(2, group), bias_initializer="normal", name="lift")(inputs)
    return keras.Model(inputs, subject(x))


def on_images(subject, size=8, channels=2):
    inputs = keras.Input((size, size, channels))
    return keras.Model(inputs, subject(inputs))


def agree(model, group, size=8, channels=1):
    """Return lint's result, having confirmed by measurement what it passes and what it names."""
    randomize(model)
    found = equivariance.lint(model, group=group)
    measured = equivariance.report(model, group, images(size, channels))
    assert [layer.name for layer in measured.layers] == [layer.name for layer in found.layers]
    assert not found.unknown, found
    if found.first is None:
        assert measured.ok, measured
    else:
        assert measured.first is not None, found
        assert measured.first.name == found.first.name, f"{found}\n{measured}"
        assert measured.first.worst > 1e-3, measured
    return found


def network(group, kernel, padding, pooled=True):
    inputs = keras.Input((None, None, 1))
    order = groups.get(group).order
    relaxed = {"group": group, "padding": padding, "equivariance": "relaxed"}
    x = GroupConv2D(2 * order, kernel, **relaxed, name="conv1")(inputs)
    x = K.ReLU(name="relu")(GroupBatchNormalization(group=group, name="norm")(x))
    x = GroupConv2D(2 * order, kernel, input_group=group, **relaxed, name="conv2")(x)
    x = K.GlobalAveragePooling2D(name="mean")(GroupPooling(group, name="pool")(x)) if pooled else x
    return keras.Model(inputs, x)
