"""The global convolution: permutation equivariance, length, precision, and messages for wrong arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import layers


def inputs(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("shape", [(2, 9, 3), (2, 9)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_permuting_the_positions_permutes_the_output(shape, data_format):
    layer = layers.GlobalConv1D(4, data_format=data_format, activation="relu", bias_initializer="random_normal")
    axis = 2 if data_format == "channels_first" and len(shape) == 3 else 1
    x = inputs(*shape)
    order = np.roll(np.random.default_rng(1).permutation(shape[axis]), 1)
    y = np.asarray(layer(x))
    positions = 2 if data_format == "channels_first" else 1
    np.testing.assert_allclose(layer(np.take(x, order, axis)), np.take(y, order, positions), atol=1e-5)
    assert np.any(np.take(y, order, positions) != y)


def test_features_are_the_positions_of_one_channel():
    layer = layers.GlobalConv1D(4)
    x = inputs(2, 9)
    y = layer(x)
    assert layer.kernel.shape == (2, 1, 4)
    wide = layers.GlobalConv1D(4)
    wide.build((None, 9, 1))
    wide.set_weights(layer.get_weights())
    np.testing.assert_array_equal(wide(x[..., None]), y)


def test_one_layer_takes_every_length():
    layer = layers.GlobalConv1D(2)
    layer.build((None, None, 3))
    itself, others = np.asarray(layer.kernel)
    for length in (1, 2, 50):
        x = inputs(2, length, 3)
        total = x.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(layer(x), x @ itself + (total - x) @ others, atol=1e-4)


def test_the_cost_is_linear_in_the_length():
    layer = layers.GlobalConv1D(8)
    layer.build((None, None, 4))

    def operations(length):
        signature = [tf.TensorSpec((1, length, 4))]
        graph = tf.function(lambda x: layer(x), input_signature=signature).get_concrete_function().graph
        return sum(int(np.prod(out.shape)) for op in graph.get_operations() for out in op.outputs if out.shape.rank)

    # A quadratic form would hold a tensor of length x length.
    assert operations(4000) < 2.1 * operations(2000)


def test_long_inputs_do_not_overflow_half_precision():
    layer = layers.GlobalConv1D(2, dtype="mixed_float16", kernel_initializer=keras.initializers.Constant(1e-4))
    x = np.full((1, 4000, 3), 30.0, "float16")
    assert np.sum(x[0, :, 0], dtype="float64") > np.finfo("float16").max
    np.testing.assert_allclose(layer(x), np.full((1, 4000, 2), 4000 * 3 * 30.0 * 1e-4), rtol=1e-2)


def test_regularizers_and_constraints():
    layer = layers.GlobalConv1D(
        2, kernel_regularizer="l2", bias_regularizer=keras.regularizers.L1(1.0), kernel_constraint="non_neg",
        bias_initializer="ones", activity_regularizer=keras.regularizers.L2(1.0),
    )  # fmt: skip
    x = inputs(2, 5, 3)
    y = layer(x)
    expected = [0.01 * np.sum(np.square(layer.kernel)), 2.0, np.sum(np.square(y)) / 2]
    np.testing.assert_allclose(sorted(map(float, layer.losses)), sorted(expected), rtol=1e-5)
    assert layer.kernel.constraint is layer.kernel_constraint
    assert layers.GlobalConv1D(2, use_bias=False)(x).shape == (2, 5, 2)


@pytest.mark.parametrize("filters", [0, -3, 2.5, "4", None, True])
def test_filters_are_a_positive_integer(filters):
    with pytest.raises(ValueError, match=f"filters must be a positive integer. Received: filters={filters!r}"):
        layers.GlobalConv1D(filters)


@pytest.mark.parametrize("data_format", ["NHWC", "", 1, "channels"])
def test_data_format_is_one_of_two(data_format):
    with pytest.raises(ValueError, match=f"'channels_first'. Received: data_format={data_format!r}"):
        layers.GlobalConv1D(4, data_format=data_format)


@pytest.mark.parametrize("shape", [(4,), (4, 5, 6, 7)])
def test_other_ranks_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected (min|max)_ndim"):
        layers.GlobalConv1D(4)(inputs(*shape))


def test_the_channels_must_be_known():
    with pytest.raises(ValueError, match=r"channels must be known. Received: input_shape=\(None, 5, None\)"):
        layers.GlobalConv1D(4).build((None, 5, None))


def test_another_number_of_channels_is_refused():
    layer = layers.GlobalConv1D(4)
    layer(inputs(2, 5, 3))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 3"):
        layer(inputs(2, 5, 4))
