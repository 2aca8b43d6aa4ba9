"""Top-k pooling: order, ties with other poolings, gradients, and lengths that are too small."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import layers


def inputs(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("k", [1, 3, 7])
def test_values_descend(k):
    x = inputs(2, 7, 3)
    np.testing.assert_array_equal(layers.TopKPooling1D(k)(x), np.sort(x, axis=1)[:, ::-1][:, :k])


def test_one_is_global_max_pooling():
    x = inputs(2, 7, 3)
    np.testing.assert_array_equal(layers.TopKPooling1D(1)(x), keras.layers.GlobalMaxPooling1D(keepdims=True)(x))


def test_the_gradient_goes_to_the_chosen_positions():
    x = tf.constant([[[3.0], [1.0], [2.0]]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layers.TopKPooling1D(2)(x) * [[[10.0], [20.0]]])
    np.testing.assert_array_equal(tape.gradient(loss, x), [[[10.0], [0.0], [20.0]]])


@pytest.mark.parametrize("k", [0, -1, 1.5, "2", None, True])
def test_k_is_a_positive_integer(k):
    with pytest.raises(ValueError, match=f"k must be a positive integer. Received: k={k!r}"):
        layers.TopKPooling1D(k)


@pytest.mark.parametrize("data_format", ["NHWC", "", 1, "channels"])
def test_data_format_is_one_of_two(data_format):
    with pytest.raises(ValueError, match=f"'channels_first'. Received: data_format={data_format!r}"):
        layers.TopKPooling1D(2, data_format=data_format)


TOO_LONG = "k must not exceed the length of the inputs. Received: k=4"


@pytest.mark.parametrize(("data_format", "shape"), [("channels_last", (2, 3, 5)), ("channels_first", (2, 5, 3))])
def test_a_k_beyond_a_known_length_is_refused_before_it_runs(data_format, shape):
    layer = layers.TopKPooling1D(4, data_format=data_format)
    for call in (
        lambda: layer.build(shape),
        lambda: layer(inputs(*shape)),
        lambda: layer(keras.Input(shape[1:])),
        lambda: layer.compute_output_shape(shape),
    ):
        with pytest.raises(ValueError, match=f"{TOO_LONG} with inputs of length 3"):
            call()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_k_beyond_an_unknown_length_is_refused_when_it_runs(jit_compile):
    layer = layers.TopKPooling1D(4)
    function = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 2))], jit_compile=jit_compile)
    assert function(inputs(1, 5, 2)).shape == (1, 4, 2)
    # XLA drops assertions; its own message names k and the length too.
    message = "at least k columns. Had 3, needed 4" if jit_compile else TOO_LONG
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=message):
        function(inputs(1, 3, 2))


def test_inputs_have_three_axes():
    with pytest.raises(ValueError, match="expected ndim=3"):
        layers.TopKPooling1D(2)(inputs(4, 5))
