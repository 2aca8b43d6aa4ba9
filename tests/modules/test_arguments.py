"""What modules make of their arguments and inputs, good and bad."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import initializers as keras_initializers
from tf_symconv import kernels, layers, modules
from tf_symconv.modules import _activations, _initializers

INTEGER = r"must be a positive integer\. Received: "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *[({"filters": value}, rf"filters {INTEGER}filters=") for value in (0, -3, 2.5, "4", True, None)],
        *[
            ({"kernel_size": value}, r"kernel_size must be an integer >= 1, or a sequence of 2 of them\. Received: ")
            for value in (0, (3, -1), (3,), (3, 3, 3), 2.5, None)
        ],
        *[({"strides": value}, r"strides must be an integer >= 1.*Received: strides=") for value in (0, (1, 0), "2")],
        *[({"dilation_rate": value}, r"dilation_rate must be an integer >= 1.*Received: ") for value in (0, (1,), 1.5)],
        *[
            ({"padding": value}, r"padding must be one of 'valid', 'same'\. Received: padding=")
            for value in ("causal", "full", 1, None)
        ],
        *[
            ({"data_format": value}, r"data_format must be one of 'channels_last', 'channels_first'\. Received: ")
            for value in ("NHWC", "first", 1, False)
        ],
        *[({"groups": value}, rf"groups {INTEGER}groups=") for value in (0, -1, 1.5, "2")],
        ({"groups": 3}, r"filters must be a multiple of groups\. Received: filters=4, groups=3"),
        ({"strides": 2, "dilation_rate": 2}, r"strides and dilation_rate must not both exceed 1\. Received: "),
        *[({"use_bias": value}, r"use_bias must be True or False\. Received: use_bias=") for value in (1, None, "yes")],
        *[({"activation": value}, r"activation must be one of elu, .*Received: ") for value in ("rulu", "ReLU", "")],
        *[({"kernel_initializer": value}, r"must be one of zeros, .*Received: ") for value in ("he", "HeNormal", "")],
        ({"dtype": tf.int32}, r"dtype must be a float type\. Received: "),
        ({"name": "not a name"}, r"not a valid module name"),
        ({"implementation": "fast"}, r"implementation must be one of .*Received: implementation='fast'"),
        ({"symmetry": "diagonal"}, r"symmetry must be one of .*Received: symmetry='diagonal'"),
        ({"symmetry": "c4", "kernel_size": (3, 5)}, r"needs a kernel of equal height and width"),
    ],
)
def test_bad_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        modules.SymmetricConv2D(**{"filters": 4, "kernel_size": 3, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": 3}, r"activation must be a name, a callable or None\. Received: activation=3"),
        ({"kernel_initializer": None}, r"must be a name or a callable\. Received: None"),
        ({"kernel_regularizer": "l2"}, r"kernel_regularizer"),
    ],
)
def test_bad_types(arguments, message):
    with pytest.raises(TypeError, match=message):
        modules.SymmetricConv2D(4, 3, **arguments)


@pytest.mark.parametrize("value", [-1, 2, (0, 2), "1"])
def test_bad_output_padding(value):
    with pytest.raises(ValueError, match=r"output_padding must be .*Received: output_padding="):
        modules.SymmetricConv2DTranspose(4, 3, strides=2, output_padding=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_bad_depth_multiplier_and_k(value):
    with pytest.raises(ValueError, match=rf"depth_multiplier {INTEGER}depth_multiplier="):
        modules.SymmetricDepthwiseConv2D(3, depth_multiplier=value)
    with pytest.raises(ValueError, match=rf"k {INTEGER}k="):
        modules.TopKPooling1D(value)


def test_bad_inputs():
    module = modules.SymmetricConv2D(4, 3, groups=2, name="conv")
    with pytest.raises(ValueError, match=r"Inputs of 'conv' must have 4 axes\. Received: shape \(8, 8, 2\)"):
        module(tf.zeros((8, 8, 2)))
    with pytest.raises(ValueError, match=r"Inputs of 'conv' must be floats\. Received: int32"):
        module(tf.zeros((1, 8, 8, 2), tf.int32))
    with pytest.raises(ValueError, match=r"input channels must be a multiple of groups\. Received: 3 channels"):
        module(tf.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"input channels of 'conv' must be known\. Received: shape"):
        module.build((None, 8, 8, None))
    assert not module.built
    module(tf.zeros((1, 8, 8, 2)))
    with pytest.raises(ValueError, match=r"'conv' was built for 2 input channels\. Received: shape \(1, 8, 8, 4\)"):
        module(tf.zeros((1, 8, 8, 4)))
    with pytest.raises(ValueError, match=r"Inputs of .* must have 2 or 3 axes"):
        modules.GlobalConv1D(2)(tf.zeros((1, 2, 3, 4)))
    with pytest.raises(ValueError, match=r"k must not exceed the length"):
        modules.TopKPooling1D(4)(tf.zeros((1, 3, 2)))


def test_kernel_and_latent_do_not_exist_before_the_first_call():
    module = modules.SymmetricConv2D(4, 3)
    with pytest.raises(AttributeError, match="has a kernel once it is built"):
        _ = module.kernel
    with pytest.raises(AttributeError, match="has a latent once it is built"):
        _ = module.latent


@pytest.mark.parametrize("name", _activations._NAMED)
def test_named_activations_are_those_of_keras(name):
    x = np.random.default_rng(0).normal(0, 3, (4, 7)).astype("float32")
    ours: Any = _activations.get(name)
    theirs: Any = keras.activations.get(name)
    np.testing.assert_allclose(ours(tf.constant(x)), theirs(tf.constant(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", _initializers._NAMED)
def test_named_initializers_have_the_statistics_of_those_of_keras(name):
    shape = (5, 5, 24, 40)
    tf.random.set_seed(1)
    keras.utils.set_random_seed(1)
    stock: Any = keras.initializers.get(name)
    ours, theirs = np.asarray(_initializers.get(name)(shape)), np.asarray(stock(shape))
    scale = max(theirs.std(), 1e-3)
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.03 * scale)
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.02)
    np.testing.assert_allclose(
        np.quantile(ours, [0, 0.1, 0.5, 0.9, 1]), np.quantile(theirs, [0, 0.1, 0.5, 0.9, 1]), atol=0.05 * scale
    )


def test_variance_scaling_in_full():
    shape = (3, 3, 20, 50)
    for mode, fan in (("fan_in", 180), ("fan_out", 450), ("fan_avg", 315)):
        for distribution in ("normal", "truncated_normal", "uniform"):
            drawn = modules.VarianceScaling(3.0, mode, distribution, seed=4)(shape)
            np.testing.assert_allclose(tf.math.reduce_variance(drawn), 3.0 / fan, rtol=0.05)
            np.testing.assert_array_equal(drawn, modules.VarianceScaling(3.0, mode, distribution, seed=4)(shape))
            unseeded = modules.VarianceScaling(3.0, mode, distribution)
            assert not np.allclose(unseeded(shape), unseeded(shape))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *[
            ({"scale": value}, r"scale must be a positive number\. Received: ")
            for value in (0, -1.0, "1", float("inf"))
        ],
        *[({"mode": value}, r"mode must be one of .*Received: ") for value in ("fan", "avg", None, 1)],
        *[({"distribution": value}, r"distribution must be one of .*Received: ") for value in ("gauss", "", None, 1)],
    ],
)
def test_bad_variance_scaling(arguments, message):
    with pytest.raises(ValueError, match=message):
        modules.VarianceScaling(**arguments)


def test_initializers_see_the_full_kernel_and_stock_callables_serve():
    seen = []

    def initializer(shape, dtype):
        seen.append((tuple(shape), dtype))
        return tf.ones(shape, dtype)

    module = modules.SymmetricConv2D(6, 5, kernel_initializer=initializer)
    module.build((None, 8, 8, 3))
    assert seen == [((5, 5, 3, 6), tf.float32)]
    layer = layers.SymmetricConv2D(6, 5, kernel_initializer=keras.initializers.HeNormal(seed=3))
    other = modules.SymmetricConv2D(6, 5, kernel_initializer=keras.initializers.HeNormal(seed=3))
    layer.build((None, 8, 8, 3))
    other.build((None, 8, 8, 3))
    np.testing.assert_array_equal(other.latent, layer.latent)


@pytest.mark.parametrize("rho", ["stationary", 0.3])
def test_orbit_scaling_is_that_of_the_keras_layers(rho):
    for structure in (kernels.get("d4"), kernels.Mirror("h", "odd"), kernels.get({"hv": 2, "circular": "25%"})):
        arguments = (structure, (5, 5, 4, 8), "float32")
        ours = modules.OrbitScaling("ones", rho).draw_latent(*arguments)
        np.testing.assert_allclose(ours, keras_initializers.OrbitScaling("ones", rho).draw_latent(*arguments))
    with pytest.raises(ValueError, match=r"rho must be"):
        modules.OrbitScaling("ones", rho=1.0)


def test_modules_nest_in_modules():
    class Net(tf.Module):
        def __init__(self):
            super().__init__()
            self.first = modules.SymmetricConv2D(4, 3, activation="relu", name="first")
            self.second = modules.TiledConv2D(2, 2, name="second")

        @tf.function(input_signature=[tf.TensorSpec((None, 9, 9, 1))])
        def __call__(self, inputs):
            return self.second(self.first(inputs))

    net = Net()
    assert net(tf.zeros((3, 9, 9, 1))).shape == (3, 4, 4, 2)
    assert {v.name for v in net.trainable_variables} == {
        "first/kernel:0",
        "first/bias:0",
        "second/kernel:0",
        "second/bias:0",
    }
    assert len(net.submodules) == 2
