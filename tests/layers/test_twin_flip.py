"""Twin flip layers: equivariance for every flip and reduction, biases, and messages for wrong arguments."""

import numpy as np
import pytest

from tests import oracles
from tf_symconv import layers

REDUCTIONS = ["max", "min", "sum", "mean", "concat"]
LAYERS = [
    (layers.TwinFlipConv1D, ["h"], (7, 2)),
    (layers.TwinFlipConv2D, ["h", "v", "hv", "vh"], (6, 7, 2)),
    (layers.TwinFlipConv3D, ["h", "v", "z", "hz", "hvz"], (4, 5, 6, 2)),
]
CASES = [(layer, axes, shape) for layer, each, shape in LAYERS for axes in each]


def flip(array, letters):
    """Reverse the spatial axes of an array (batch, *spatial, channels) that the letters name."""
    return np.flip(array, tuple(-2 - "hvz".index(letter) for letter in letters))


def inputs(*shape):
    return np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("layer", "axes", "shape"), CASES)
def test_flipping_the_input_flips_the_output(layer, axes, shape, reduction):
    twins = layer(
        4, 3, padding="same", axes=axes, reduction=reduction, activation="tanh", bias_initializer="random_normal"
    )
    x = inputs(*shape)
    expected, flipped = flip(np.asarray(twins(x)), axes), np.asarray(twins(flip(x, axes)))
    if reduction == "concat":
        expected = np.roll(expected, 2, axis=-1)
    np.testing.assert_allclose(flipped, expected, atol=1e-5)
    assert np.abs(flipped - np.asarray(twins(x))).max() > 1e-2


def test_concat_lists_the_filters_and_then_their_flips_with_channel_groups_too():
    twins = layers.TwinFlipConv2D(8, 3, groups=2, reduction="concat", bias_initializer="random_normal")
    x = inputs(6, 7, 4)
    y = twins(x)
    kernel, bias = (np.asarray(w) for w in twins.get_weights())
    assert (kernel.shape, bias.shape) == ((3, 3, 2, 4), (4,))
    np.testing.assert_allclose(y[..., :4], oracles.convolve(x, kernel, groups=2) + bias, atol=1e-5)
    np.testing.assert_allclose(y[..., 4:], oracles.convolve(x, kernel[:, ::-1], groups=2) + bias, atol=1e-5)


@pytest.mark.parametrize("reduction", ["max", "min", "sum", "mean"])
def test_the_bias_is_added_after_the_reduction(reduction):
    plain, biased = (layers.TwinFlipConv1D(3, 3, reduction=reduction) for _ in range(2))
    x = inputs(7, 2)
    plain.build(x.shape)
    biased.build(x.shape)
    kernel, bias = plain.get_weights()[0], np.array([1.0, -2.0, 0.5])
    plain.set_weights([kernel, 0 * bias])
    biased.set_weights([kernel, bias])
    np.testing.assert_allclose(biased(x), plain(x) + bias, atol=1e-6)


def test_max_is_the_larger_of_both():
    x = np.array([[[0.0], [1.0], [0.0]]])
    for reduction, expected in (("max", 5.0), ("min", 2.0), ("sum", 7.0), ("mean", 3.5)):
        twins = layers.TwinFlipConv1D(1, 2, reduction=reduction, use_bias=False)
        twins.build(x.shape)
        twins.set_weights([np.array([2.0, 5.0]).reshape(2, 1, 1)])
        np.testing.assert_allclose(np.ravel(twins(x)), [expected, expected])


@pytest.mark.parametrize(
    ("layer", "axes", "message"),
    [
        (layers.TwinFlipConv1D, "v", "axes must be distinct letters out of 'h'. Received: axes='v'"),
        (layers.TwinFlipConv2D, "z", "axes must be distinct letters out of 'hv'. Received: axes='z'"),
        (layers.TwinFlipConv2D, "hh", "Received: axes='hh'"),
        (layers.TwinFlipConv2D, "", "Received: axes=''"),
        (layers.TwinFlipConv2D, "c4", "Received: axes='c4'"),
        (layers.TwinFlipConv2D, 1, "Received: axes=1"),
        (layers.TwinFlipConv3D, ("h", "z"), r"out of 'hvz'. Received: axes=\('h', 'z'\)"),
        (layers.TwinFlipConv3D, None, "Received: axes=None"),
    ],
)
def test_wrong_axes_get_one_clear_message(layer, axes, message):
    with pytest.raises(ValueError, match=message):
        layer(4, 3, axes=axes)


@pytest.mark.parametrize("reduction", ["average", "", None, 3, "MAX"])
def test_wrong_reductions_are_named(reduction):
    with pytest.raises(ValueError, match=f"one of max, min, sum, mean, concat. Received: reduction={reduction!r}"):
        layers.TwinFlipConv2D(4, 3, reduction=reduction)


@pytest.mark.parametrize(("filters", "groups", "multiple"), [(5, 1, 2), (6, 2, 4), (1, 1, 2), (9, 3, 6)])
def test_concat_needs_two_channels_per_filter(filters, groups, multiple):
    message = rf"filters must be a multiple of {multiple} \(2 x groups\). Received: filters={filters}.*groups={groups}"
    with pytest.raises(ValueError, match=message):
        layers.TwinFlipConv2D(filters, 3, groups=groups, reduction="concat")
