"""SymmetricConv1D/2D/3D: their laws, their initialisation, and messages for wrong arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.oracles import TRANSFORMS
from tf_symconv import kernels
from tf_symconv.layers import SymmetricConv1D, SymmetricConv2D, SymmetricConv3D


@pytest.mark.parametrize("symmetry", TRANSFORMS)
@pytest.mark.parametrize("size", [3, 4])
def test_valid_convolution_commutes_with_every_element(symmetry, size):
    layer = SymmetricConv2D(3, size, symmetry=symmetry)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype("float32")
    y = np.moveaxis(layer(x), 0, -1)
    for transform in TRANSFORMS[symmetry]:
        turned = np.moveaxis(transform(np.moveaxis(x, 0, -1)), -1, 0)
        np.testing.assert_allclose(np.moveaxis(layer(turned), 0, -1), transform(y), atol=1e-5)


@pytest.mark.parametrize("symmetry", TRANSFORMS)
def test_same_convolution_of_odd_size_commutes_with_every_element(symmetry):
    layer = SymmetricConv2D(3, 3, symmetry=symmetry, padding="same", dilation_rate=2)
    x = np.random.default_rng(0).normal(size=(2, 7, 7, 2)).astype("float32")
    y = np.moveaxis(layer(x), 0, -1)
    for transform in TRANSFORMS[symmetry]:
        turned = np.moveaxis(transform(np.moveaxis(x, 0, -1)), -1, 0)
        np.testing.assert_allclose(np.moveaxis(layer(turned), 0, -1), transform(y), atol=1e-5)


def test_odd_kernels_anticommute():
    layer = SymmetricConv1D(3, 5, parity="odd")
    x = np.random.default_rng(0).normal(size=(2, 9, 2)).astype("float32")
    np.testing.assert_allclose(layer(x[:, ::-1]), -np.asarray(layer(x))[:, ::-1], atol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", keras.optimizers.AdamW(0.01, clipnorm=1.0)])
def test_kernels_stay_symmetric_in_training(optimizer):
    model = keras.Sequential([keras.Input((6, 6, 2)), SymmetricConv2D(4, 3, symmetry="d4"), keras.layers.Flatten()])
    model.compile(optimizer, "mse")
    before = np.asarray(model.layers[0].kernel)
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(32, 6, 6, 2)), rng.normal(size=(32, 64)), epochs=3, verbose=0)
    kernel = np.asarray(model.layers[0].kernel)
    assert np.abs(kernel - before).max() > 1e-3
    for transform in TRANSFORMS["d4"]:
        np.testing.assert_array_equal(transform(kernel), kernel)


class Counting(keras.initializers.Initializer):
    """Return 0, 1, 2, ... and remember the shapes asked for."""

    def __init__(self):
        self.shapes = []

    def __call__(self, shape, dtype=None):
        self.shapes.append(tuple(shape))
        return tf.reshape(tf.range(np.prod(shape), dtype="float32"), shape)


def test_initialiser_sees_the_full_kernel_once():
    initializer = Counting()
    layer = SymmetricConv2D(4, 3, symmetry="hv", kernel_initializer=initializer, groups=2)
    layer.build((None, 8, 8, 6))
    assert initializer.shapes == [(3, 3, 3, 4)]
    full = np.arange(3 * 3 * 3 * 4).reshape(3, 3, 3, 4)
    np.testing.assert_array_equal(layer.latent, full[:2, :2])


@pytest.mark.parametrize("symmetry", ["hv", "c4", "d4", "circular", {"hv": "50%", "c2": "25%"}])
@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_normal"])
def test_kernel_entries_have_the_variance_of_the_stock_initialiser(symmetry, initializer):
    layer = SymmetricConv2D(64, 5, symmetry=symmetry, kernel_initializer=initializer)
    stock = keras.layers.Conv2D(64, 5, kernel_initializer=initializer)
    for one in (layer, stock):
        one.build((None, 8, 8, 64))
    np.testing.assert_allclose(np.var(layer.kernel, axis=(2, 3)), np.var(stock.kernel), rtol=0.15)


def test_free_weights_are_fewer():
    sizes = {}
    for symmetry in ("hv", "c2", "c4", "d4", "diag", "circular"):
        layer = SymmetricConv2D(16, 5, symmetry=symmetry, use_bias=False)
        layer.build((None, 9, 9, 8))
        sizes[symmetry] = layer.count_params() // (8 * 16)
    assert sizes == {"hv": 9, "c2": 13, "c4": 7, "d4": 6, "diag": 15, "circular": 4}


def test_defaults():
    assert SymmetricConv1D(1, 3).symmetry == "h"
    assert SymmetricConv2D(1, 3).symmetry == "hv"
    assert SymmetricConv3D(1, 3).symmetry == "hv"
    assert SymmetricConv2D(1, 3).implementation == "auto"


def test_mixed_precision_expands_in_full_precision():
    layer = SymmetricConv2D(2, 5, symmetry=kernels.Circular("linear"), dtype="mixed_bfloat16")
    layer.build((None, 8, 8, 1))
    assert layer.kernel.dtype == layer.latent.dtype == "float32"
    x = np.random.default_rng(0).normal(size=(1, 5, 5, 1)).astype("float32")
    rounded = tf.cast(tf.cast(layer.kernel, "bfloat16"), "float32")
    expected = np.sum(rounded * tf.cast(tf.cast(x, "bfloat16"), "float32")[0, ..., None], axis=(0, 1, 2))
    np.testing.assert_allclose(tf.cast(layer(x), "float32")[0, 0, 0], expected, rtol=2**-7, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symmetry": "q"}, "symmetry must be one of h, v, .*Received: symmetry='q'"),
        ({"symmetry": "c4", "kernel_size": (3, 5)}, r"'c4' needs a kernel of equal height and width.*\(3, 5\)"),
        ({"symmetry": {"hv": 5, "c4": 4}}, r"must not exceed the number of filters, 8.*5 \+ 4 = 9"),
        ({"symmetry": {"hv": "120%"}}, "a percentage from '0%' to '100%'. Received: '120%'"),
        ({"symmetry": {"hv": "60%", "c4": "60%"}}, "Percentages must not exceed 100 in all"),
        ({"symmetry": "z"}, "In 2-D the reflections are 'h', 'v'. Received: 'z'"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": (3, 0)}, "kernel_size"),
        ({"filters": 0}, "filters"),
        ({"filters": -4}, "filters"),
        ({"strides": 0}, "strides"),
        ({"groups": 3}, "groups=3"),
        ({"parity": -1}, "parity must be 'even', 'odd'.*Received: -1"),
        ({"parity": "negative"}, "parity must be 'even', 'odd'.*Received: 'negative'"),
        ({"parity": ("odd",)}, "parity must be 'even', 'odd', or one of these for each letter"),
        ({"parity": "odd", "symmetry": "d4"}, "Only mirror symmetries have a parity; 'd4' is always even"),
        ({"parity": "odd", "kernel_size": (1, 3)}, "at least 2 cells"),
        ({"implementation": "folded?"}, "implementation must be one of"),
    ],
    ids=str,
)
def test_wrong_arguments_get_one_clear_message(arguments, message):
    with pytest.raises(ValueError, match=message):
        SymmetricConv2D(**{"filters": 8, "kernel_size": 3, **arguments})


@pytest.mark.parametrize("symmetry", [None, 4, ["hv"], ("hv", 2)])
def test_a_symmetry_of_another_type_is_a_type_error(symmetry):
    with pytest.raises(TypeError, match="A symmetry is a name, a KernelMap or a dict"):
        SymmetricConv2D(8, 3, symmetry=symmetry)


@pytest.mark.parametrize("symmetry", ["v", "c4", "diag"])
def test_symmetries_of_the_plane_are_refused_in_1d(symmetry):
    with pytest.raises(ValueError, match=r"In 1-D|at least 2 spatial axes"):
        SymmetricConv1D(4, 3, symmetry=symmetry)


def test_channels_that_do_not_divide_into_groups_are_named():
    with pytest.raises(ValueError, match="number of groups"):
        SymmetricConv2D(4, 3, groups=2).build((None, 8, 8, 3))
