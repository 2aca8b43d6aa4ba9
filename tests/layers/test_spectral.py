"""Spectral layers: their spectra, their steps, pooling and circular convolution, against NumPy and SciPy."""

from typing import Any

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from tests import oracles
from tf_symconv.layers import FourierConv2D, SpectralConv1D, SpectralConv2D, SpectralPooling1D, SpectralPooling2D


def random(*shape, dtype="float32"):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("size", [1, 2, 3, 4, (4, 5), (5, 4)])
def test_from_spatial_makes_any_kernel_the_layers_own(size):
    stock, layer = keras.layers.Conv2D(4, size, padding="same"), SpectralConv2D(4, size, padding="same")
    x = random(2, 8, 8, 3)
    expected = stock(x)
    layer.build(x.shape)
    layer.from_spatial(stock.kernel)
    np.testing.assert_allclose(layer.kernel, stock.kernel, atol=1e-6)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    np.testing.assert_allclose(layer.spectrum, np.fft.rfft2(stock.kernel, axes=(0, 1), norm="ortho"), atol=1e-6)
    with pytest.raises(ValueError, match=r"must have the shape .*Received: shape \(1, 2\)"):
        layer.from_spatial(np.zeros((1, 2)))


@pytest.mark.parametrize("size", [22, 23, (20, 27)])
def test_large_kernels_come_from_an_fft_and_small_ones_from_a_matrix(size):
    layer = SpectralConv2D(2, size, use_bias=False)
    layer.build((None, 30, 30, 3))
    kernel = random(*layer.kernel_size, 3, 2)
    layer.from_spatial(kernel)
    np.testing.assert_allclose(layer.kernel, kernel, atol=1e-5)
    np.testing.assert_allclose(layer.spectrum, np.fft.rfft2(kernel, axes=(0, 1), norm="ortho"), atol=1e-4)
    graph = tf.function(lambda: layer.kernel).get_concrete_function().graph
    operations = {operation.type for operation in graph.get_operations()}
    assert ("IRFFT2D" in operations) == (np.prod(layer.kernel_size) > 512)
    assert ("MatMul" in operations) == (np.prod(layer.kernel_size) <= 512)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.kernel * kernel)
    np.testing.assert_allclose(tape.gradient(loss, layer.latent.value), layer.latent, atol=1e-4)  # orthonormal


def test_one_free_number_per_cell_in_one_variable():
    for size in (3, 4, (4, 5)):
        layer, stock = SpectralConv2D(4, size), keras.layers.Conv2D(4, size)
        for one in (layer, stock):
            one.build((None, 8, 8, 3))
        assert layer.count_params() == stock.count_params()
        assert len(layer.weights) == 2


def test_the_initialiser_draws_in_space():
    layer = SpectralConv1D(64, 5, kernel_initializer="he_normal")
    layer.build((None, 9, 64))
    np.testing.assert_allclose(np.var(layer.kernel, axis=(1, 2)), 2 / (5 * 64), rtol=0.1)


@pytest.mark.parametrize(("optimizer", "same"), [("sgd", True), ("adam", False)])
def test_plain_gradient_steps_are_those_of_the_spatial_layer(optimizer, same):
    stock, layer = keras.layers.Conv2D(3, 4), SpectralConv2D(3, 4)
    x, target = random(4, 9, 9, 2), random(4, 6, 6, 3)
    for one in (stock, layer):
        one.build(x.shape)
    layer.from_spatial(stock.kernel)
    for one in (stock, layer):
        model = keras.Sequential([keras.Input(x.shape[1:]), one])
        model.compile(keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": 0.05}}), "mse")
        model.fit(x, target, epochs=5, verbose=0, batch_size=4)
    difference = np.abs(np.asarray(layer.kernel) - np.asarray(stock.kernel)).max()
    assert (difference < 1e-5) == same


def test_regularisers_see_the_spectrum():
    layer = SpectralConv2D(2, 4, kernel_regularizer=keras.regularizers.L1L2(0.3, 0.7))
    layer(random(1, 8, 8, 2))
    spectrum = np.fft.fft2(layer.kernel, axes=(0, 1), norm="ortho")
    np.testing.assert_allclose(np.sum(np.square(layer.latent)), np.sum(np.abs(spectrum) ** 2), rtol=1e-5)
    penalty = 0.3 * np.sum(np.abs(layer.latent)) + 0.7 * np.sum(np.abs(spectrum) ** 2)
    np.testing.assert_allclose(sum(layer.losses), penalty, rtol=1e-5)


@pytest.mark.parametrize("implementation", ["matrix", "fft"])
@pytest.mark.parametrize(("size", "output"), [(8, 8), (8, 6), (8, 5), (9, 6), (9, 5), (7, 2), (7, 1), (6, 3), (5, 5)])
def test_pooling_is_resampling(size, output, implementation):
    layer = SpectralPooling1D(output, implementation=implementation, dtype="float64")
    x = random(2, size, 3, dtype="float64")
    y = layer(x)
    np.testing.assert_allclose(y, scipy.signal.resample(x, output, axis=1), atol=1e-10)
    np.testing.assert_allclose(np.mean(y, axis=1), x.mean(axis=1), atol=1e-10)
    assert layer.compute_output_shape(x.shape) == y.shape


@pytest.mark.parametrize("implementation", ["matrix", "fft"])
@pytest.mark.parametrize(("shape", "output"), [((8, 10), (4, 6)), ((9, 8), (5, 4)), ((7, 7), (7, 3))])
def test_pooling_in_2d_crops_both_axes(shape, output, implementation):
    layer = SpectralPooling2D(output, implementation=implementation)
    x = random(2, *shape, 3)
    y = layer(x)
    expected = scipy.signal.resample(scipy.signal.resample(x, output[0], axis=1), output[1], axis=2)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    first = SpectralPooling2D(output, implementation=implementation, data_format="channels_first")
    np.testing.assert_allclose(first(np.moveaxis(x, -1, 1)), np.moveaxis(y, -1, 1), atol=1e-6)


@pytest.mark.skipif(not hasattr(tf.lite, "Interpreter"), reason="this TensorFlow has TFLite no more")
@pytest.mark.parametrize("layer", [SpectralPooling2D(5), SpectralPooling1D(pool_size=2, frequency_dropout=0.5)])
def test_pooling_runs_on_tflite(layer):
    shape = (2, 8, 9, 3)[: layer.rank + 2]
    model = keras.Sequential([keras.Input(shape[1:], batch_size=2), layer])
    function: Any = tf.function(model, input_signature=[tf.TensorSpec(shape)]).get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert()  # of TFLite's own ops only
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    x = random(*shape)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    fft = type(layer).from_config({**layer.get_config(), "implementation": "fft", "name": "fft"})
    np.testing.assert_allclose(outputs, fft(x), atol=1e-5)


@pytest.mark.parametrize(("small", "large"), [(6, 12), (5, 15), (4, 6), (3, 8)])
def test_a_band_limited_image_comes_back_exactly(small, large):
    rng = np.random.default_rng(0)
    frequencies = np.arange(-((small - 1) // 2), (small - 1) // 2 + 1)
    weights = rng.normal(size=(len(frequencies),) * 2) + 1j * rng.normal(size=(len(frequencies),) * 2)

    def sample(n):
        waves = np.exp(2j * np.pi * np.outer(np.arange(n) / n, frequencies))
        return np.real(waves @ weights @ waves.T)[None, ..., None]

    np.testing.assert_allclose(SpectralPooling2D(small, dtype="float64")(sample(large)), sample(small), atol=1e-9)


def test_fractional_pool_sizes_and_unknown_sizes():
    layer = SpectralPooling2D(pool_size=(1.5, 2))
    x = random(1, 9, 8, 2)
    assert layer(x).shape == (1, 6, 4, 2) == layer.compute_output_shape(x.shape)
    assert layer.compute_output_shape((None, None, 8, 2)) == (None, None, 4, 2)
    function = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 2))])
    np.testing.assert_allclose(function(x), layer(x), atol=1e-5)


def test_frequency_dropout_keeps_low_frequencies_in_training_only():
    layer = SpectralPooling1D(32, frequency_dropout=0.25, seed=3, dtype="float64")
    x = random(4, 64, 2, dtype="float64")
    full = np.fft.rfft(layer(x), axis=1)
    np.testing.assert_allclose(layer(x, training=False), scipy.signal.resample(x, 32, axis=1), atol=1e-10)
    kept = set()
    for _ in range(20):
        spectrum = np.fft.rfft(layer(x, training=True), axis=1)
        count = int(np.sum(np.abs(spectrum).max(axis=(0, 2)) > 1e-9))
        np.testing.assert_allclose(spectrum[:, :count], full[:, :count], atol=1e-9)
        kept.add(count)
    assert min(kept) >= 0.25 * 17
    assert len(kept) > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give output_size or pool_size, and not both"),
        ({"output_size": 2, "pool_size": 2}, "and not both"),
        ({"output_size": 0}, "output_size must be a positive integer.*Received: output_size=0"),
        ({"output_size": 2.5}, "Received: output_size=2.5"),
        ({"output_size": (2, 2, 2)}, "or 2 of them"),
        ({"output_size": "2"}, "Received: output_size='2'"),
        ({"pool_size": 0.5}, "pool_size must be a number of at least 1.*Received: pool_size=0.5"),
        ({"pool_size": -2}, "Received: pool_size=-2"),
        ({"pool_size": (2,)}, "or 2 of them"),
        ({"pool_size": "x"}, "Received: pool_size='x'"),
        ({"pool_size": 2, "frequency_dropout": 1.0}, "from 0 to below 1.*Received: frequency_dropout=1.0"),
        ({"pool_size": 2, "frequency_dropout": -0.1}, "Received: frequency_dropout=-0.1"),
        ({"pool_size": 2, "frequency_dropout": True}, "Received: frequency_dropout=True"),
        ({"pool_size": 2, "frequency_dropout": "half"}, "Received: frequency_dropout='half'"),
        ({"pool_size": 2, "implementation": "dct"}, "one of auto, fft, matrix. Received: implementation='dct'"),
        ({"pool_size": 2, "data_format": "channels"}, "Received: data_format='channels'"),
    ],
    ids=str,
)
def test_wrong_pooling_arguments_get_one_clear_message(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpectralPooling2D(**arguments)


def test_pooling_does_not_enlarge():
    with pytest.raises(
        ValueError, match=r"must not exceed the input's. Received: output_size=\(9, 9\) for an axis of 8"
    ):
        SpectralPooling2D(9)(random(1, 8, 8, 1))
    with pytest.raises(ValueError, match="at least pool_size cells"):
        SpectralPooling2D(pool_size=9)(random(1, 8, 8, 1))
    with pytest.raises(ValueError, match="needs known spatial sizes"):
        tf.function(SpectralPooling2D(2, implementation="matrix")).get_concrete_function(tf.TensorSpec((1, None, 8, 1)))


def circular(x, kernel):
    """Pad images circularly and convolve them."""
    pads = [((k - 1) // 2, k - 1 - (k - 1) // 2) for k in kernel.shape[:2]]
    return oracles.convolve(np.pad(x, [(0, 0), *pads, (0, 0)], mode="wrap"), kernel)


@pytest.mark.parametrize("size", [1, 2, 3, 4, (2, 5), 7, (8, 9), 12])
@pytest.mark.parametrize("shape", [(8, 9), (7, 6)])
def test_fourier_convolution_is_the_circularly_padded_convolution(size, shape):
    layer = FourierConv2D(4, size, bias_initializer="normal")
    x = random(2, *shape, 3)
    y = layer(x)
    assert y.shape == (2, *shape, 4) == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, circular(x, np.asarray(layer.kernel)) + np.asarray(layer.bias), atol=1e-4)
    shifted = layer(np.roll(x, (2, 3), axis=(1, 2)))
    np.testing.assert_allclose(shifted, np.roll(y, (2, 3), axis=(1, 2)), atol=1e-4)


@pytest.mark.parametrize(
    "arguments", [{"strides": 2}, {"padding": "valid"}, {"dilation_rate": 2}, {"groups": 3}, {"lora_rank": 2}]
)
def test_fourier_convolution_refuses_what_a_product_of_spectra_cannot_do(arguments):
    with pytest.raises(ValueError, match=f"Received: {next(iter(arguments))}="):
        FourierConv2D(3, 3, **arguments)
