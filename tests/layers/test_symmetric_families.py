"""Transposed, depthwise and separable layers with symmetric kernels: what they commute with, and wrong arguments."""

import keras
import numpy as np
import pytest

from tf_symconv import groups, kernels, layers

RANK = {"1D": 1, "2D": 2, "3D": 3}
FAMILIES = [
    layers.SymmetricConv1DTranspose,
    layers.SymmetricConv2DTranspose,
    layers.SymmetricConv3DTranspose,
    layers.SymmetricDepthwiseConv1D,
    layers.SymmetricDepthwiseConv2D,
    layers.SymmetricSeparableConv1D,
    layers.SymmetricSeparableConv2D,
]


def make(layer, **arguments):
    own = {} if "Depthwise" in layer.__name__ else {"filters": 4}
    return layer(**{**own, "kernel_size": 3, **arguments})


def inputs(rank, channels=3, size=5):
    return np.random.default_rng(0).normal(size=(2, *(size,) * rank, channels)).astype("float32")


def assert_commutes(layer, group, x):
    axes = range(1, x.ndim - 1)
    y = np.asarray(layer(x))
    assert np.ptp(y) > 0
    for element in groups.get(group, x.ndim - 2).elements:
        np.testing.assert_allclose(layer(element(x, axes)), element(y, axes), atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("layer", FAMILIES, ids=lambda layer: layer.__name__)
def test_layers_commute_with_the_symmetry_of_their_kernels(layer, padding):
    rank = next(n for name, n in RANK.items() if name in layer.__name__)
    symmetries = {1: ["h"], 2: ["hv", "c4", "d4", "diag"], 3: ["hvz"]}[rank]
    for symmetry in symmetries:
        assert_commutes(make(layer, symmetry=symmetry, padding=padding, dilation_rate=2), symmetry, inputs(rank))


@pytest.mark.parametrize(
    ("size", "strides", "padding", "commutes"),
    [(3, 2, "valid", True), (2, 3, "valid", False), (4, 2, "same", True), (3, 3, "same", True), (3, 2, "same", False)],
)
def test_strided_transposed_layers_commute_where_no_side_of_the_output_is_padded(size, strides, padding, commutes):
    layer = make(layers.SymmetricConv2DTranspose, kernel_size=size, symmetry="d4", strides=strides, padding=padding)
    if commutes:
        assert_commutes(layer, "d4", inputs(2))
    else:
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            assert_commutes(layer, "d4", inputs(2))


def test_a_dict_shares_out_the_filters_of_a_transposed_layer():
    layer = make(layers.SymmetricConv2DTranspose, filters=8, symmetry={"hv": "50%", kernels.Circular("exact"): 2})
    layer.build((None, 5, 5, 3))
    kernel = np.asarray(layer.kernel)
    assert kernel.shape == (3, 3, 8, 3)
    np.testing.assert_array_equal(kernel[:, :, :4], kernel[::-1, ::-1, :4])
    np.testing.assert_array_equal(kernel[:, :, 4:6], np.rot90(kernel[:, :, 4:6]))
    assert np.all(np.any(kernel[:, :, 6:] != kernel[:, ::-1, 6:], axis=(0, 1, 3)))
    assert layer.count_params() == 4 * 4 * 3 + 3 * 2 * 3 + 9 * 2 * 3 + 8


@pytest.mark.parametrize("layer", [layers.SymmetricDepthwiseConv2D, layers.SymmetricSeparableConv2D])
def test_a_dict_shares_out_the_kernels_of_each_input_channel(layer):
    layer = make(layer, depth_multiplier=4, symmetry={"h": "50%", "v": 1})
    layer.build((None, 5, 5, 3))
    kernel = np.asarray(layer.kernel)
    assert kernel.shape == (3, 3, 3, 4)
    np.testing.assert_array_equal(kernel[..., :2], kernel[:, ::-1, :, :2])
    np.testing.assert_array_equal(kernel[..., 2], kernel[::-1, :, :, 2])
    assert np.all(np.any(kernel[..., 3] != kernel[::-1, :, :, 3], axis=(0, 1)))
    assert np.prod(layer.latent.shape) == 3 * (2 * 6 + 6 + 9)


def test_separable_kernels_have_the_names_of_the_stock_layer():
    layer, stock = make(layers.SymmetricSeparableConv2D), keras.layers.SeparableConv2D(4, 3)
    for one in (layer, stock):
        one.build((None, 5, 5, 3))
    assert [w.name for w in layer.weights] == [w.name for w in stock.weights]
    assert layer.depthwise_kernel.shape == stock.depthwise_kernel.shape
    assert layer.pointwise_kernel.shape == stock.pointwise_kernel.shape
    np.testing.assert_array_equal(layer.kernel, layer.depthwise_kernel)


def test_strides_that_the_stock_layer_cannot_train_work():
    x = inputs(2, size=6)
    layer = make(layers.SymmetricDepthwiseConv2D, strides=(1, 2), dilation_rate=(2, 1), padding="same")
    assert layer(x).shape == layer.compute_output_shape(x.shape) == (2, 6, 3, 3)


def test_an_output_padding_without_room_is_refused():
    layer = make(layers.SymmetricConv2DTranspose, kernel_size=4, strides=2, padding="same", output_padding=0)
    with pytest.raises(ValueError, match=r"needs output_padding >= 1 or None. Received: output_padding=0 with size 4"):
        layer(inputs(2))


@pytest.mark.parametrize("layer", FAMILIES, ids=lambda layer: layer.__name__)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"symmetry": "q"}, ValueError, "symmetry must be one of h, v, z.*Received: symmetry='q'"),
        ({"symmetry": ""}, ValueError, "Received: symmetry=''"),
        ({"symmetry": None}, TypeError, "A symmetry is a name.*Received: None"),
        ({"symmetry": {}}, ValueError, "at least one entry"),
        ({"symmetry": {"h": -1}}, ValueError, "number of filters >= 0.*Received: -1"),
        ({"symmetry": {"h": 5}}, ValueError, "must not exceed the number of filters, [14].*Received: .*= 5 filters"),
        ({"symmetry": {"h": "60%", "free": "60%"}}, ValueError, "Percentages must not exceed 100"),
        ({"symmetry": "h", "parity": "both"}, ValueError, "parity must be 'even', 'odd'.*Received: 'both'"),
        ({"symmetry": "h", "parity": 1}, ValueError, "parity must be 'even', 'odd'.*Received: 1"),
        ({"symmetry": "h", "parity": ("odd", "odd")}, ValueError, "one of these for each letter of axes"),
        ({"symmetry": "circular", "parity": "odd"}, ValueError, "Only mirror symmetries have a parity"),
        ({"symmetry": "h", "parity": "odd", "kernel_size": 1}, ValueError, "at least 2 cells"),
    ],
)
def test_wrong_symmetries_get_one_clear_message(layer, arguments, error, message):
    with pytest.raises(error, match=message):
        make(layer, **arguments)


@pytest.mark.parametrize(
    ("layer", "symmetry", "message"),
    [
        (layers.SymmetricConv1DTranspose, "v", "In 1-D the reflections are 'h'. Received: 'v'"),
        (layers.SymmetricDepthwiseConv1D, "c4", "needs at least 2 spatial axes"),
        (layers.SymmetricSeparableConv1D, "hv", "In 1-D the reflections are 'h'"),
        (layers.SymmetricConv2DTranspose, "z", "In 2-D the reflections are 'h', 'v'. Received: 'z'"),
        (layers.SymmetricSeparableConv2D, "hvz", "In 2-D the reflections are 'h', 'v'"),
    ],
)
def test_axes_that_the_rank_does_not_have_are_named(layer, symmetry, message):
    with pytest.raises(ValueError, match=message):
        make(layer, symmetry=symmetry)


@pytest.mark.parametrize("layer", [layers.SymmetricConv2DTranspose, layers.SymmetricDepthwiseConv2D])
def test_rotations_need_square_kernels(layer):
    with pytest.raises(ValueError, match=r"'c4' needs a kernel of equal height and width"):
        make(layer, symmetry="c4", kernel_size=(3, 5))
