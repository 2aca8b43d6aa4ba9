"""Tiled and patterned kernels: sizes, and messages for wrong arguments."""

import keras
import numpy as np
import pytest

from tests import oracles
from tf_symconv import kernels, layers


def inputs(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_five_equal_rows():
    layer = layers.TiledConv2D(4, (1, 5), multiples=(5, 1), use_bias=False)
    x = inputs(2, 9, 9, 3)
    y = layer(x)
    row = np.asarray(layer.latent)
    assert row.shape == (1, 5, 3, 4)
    np.testing.assert_allclose(y, oracles.convolve(x, np.repeat(row, 5, axis=0)), atol=1e-5)
    # A kernel of equal rows adds up rows of the input, then convolves with one row.
    sums = sum(x[:, i : i + 5] for i in range(5))
    np.testing.assert_allclose(y, oracles.convolve(sums, row), atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "arguments", "shape"),
    [
        (layers.TiledConv1D, {"kernel_size": 2, "multiples": 3}, (11, 2)),
        (layers.TiledConv2D, {"kernel_size": (1, 5), "multiples": (5, 1)}, (11, 12, 2)),
        (layers.TiledConv3D, {"kernel_size": (1, 2, 1), "multiples": (3, 1, 2)}, (6, 7, 8, 2)),
    ],
)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
def test_output_sizes_are_those_of_the_full_kernel(layer, arguments, shape, padding, strides):
    tiled = layer(4, padding=padding, strides=strides, **arguments)
    stock_class = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[len(shape) - 1]
    stock = stock_class(4, tiled.kernel_size, padding=padding, strides=strides)
    assert tiled.compute_output_shape((None, *shape)) == stock.compute_output_shape((None, *shape))
    assert tiled(inputs(2, *shape)).shape == stock(inputs(2, *shape)).shape


def test_the_config_holds_the_small_size_and_the_attribute_the_full_one():
    layer = layers.TiledConv2D(4, (1, 5), multiples=(5, 1))
    assert layer.kernel_size == (5, 5)
    assert layer.get_config()["kernel_size"] == (1, 5)
    assert layer.get_config()["multiples"] == (5, 1)
    again = layers.TiledConv2D.from_config(layer.get_config())
    assert again.kernel_size == (5, 5)
    assert layers.TiledConv2D(4, 3, multiples=2).get_config()["multiples"] == (2, 2)


def test_an_input_too_small_for_the_full_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel"):
        layers.TiledConv2D(4, 2, multiples=3).build((None, 5, 5, 3))


@pytest.mark.parametrize(
    ("layer", "multiples", "message"),
    [
        (layers.TiledConv2D, 0, "multiples must be a positive integer.*Received: multiples=0"),
        (layers.TiledConv2D, (2, 0), r"Received: multiples=\(2, 0\)"),
        (layers.TiledConv2D, -1, "Received: multiples=-1"),
        (layers.TiledConv2D, 1.5, "Received: multiples=1.5"),
        (layers.TiledConv2D, None, "Received: multiples=None"),
        (layers.TiledConv2D, "2", "Received: multiples='2'"),
        (layers.TiledConv2D, True, "Received: multiples=True"),
        (layers.TiledConv1D, (2, 2), r"one entry for each of the 1 spatial axes. Received: multiples=\(2, 2\)"),
        (layers.TiledConv3D, (2, 2), r"one entry for each of the 3 spatial axes"),
    ],
)
def test_wrong_multiples_get_one_clear_message(layer, multiples, message):
    with pytest.raises(ValueError, match=message):
        layer(4, 3, multiples=multiples)


SAME = [
    "AAB/A.B",
    "AAB\nA.B",
    "\nAAB\nA.B\n",
    ["AAB", "A.B"],
    [["A", "A", "B"], ["A", ".", "B"]],
    np.array([["A", "A", "B"], ["A", ".", "B"]]),
    np.array([[1, 1, 2], [1, ".", 2]], dtype=object),
    kernels.Pattern("AAB/A.B"),
]


@pytest.mark.parametrize("pattern", SAME)
def test_a_pattern_can_be_drawn_in_many_ways(pattern):
    layer = layers.PatternConv2D(4, pattern, padding="same")
    layer.build((None, 5, 5, 2))
    free = np.asarray(layer.latent)
    assert free.shape == (2, 2, 4)
    np.testing.assert_array_equal(layer.kernel, oracles.spread(free, [[0, 0, 1], [0, -1, 1]]))


def test_repeated_patterns():
    layer = layers.PatternConv2D(4, kernels.repeat_pattern((2, 1, 2), (2, 1, 2)))
    assert layer.kernel_size == (5, 5)
    text = layers.PatternConv2D(4, "AABCC/AABCC/DDEFF/GGHII/GGHII")
    for one in (layer, text):
        one.build((None, 5, 5, 2))
        assert one.latent.shape == (9, 2, 4)
    text.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer.kernel, text.kernel)


def test_the_pattern_stands_in_the_place_of_the_kernel_size():
    layer = layers.PatternConv2D(4, "AB/BA", 2, "same", name="drawn")
    assert (layer.strides, layer.padding, layer.kernel_size) == ((2, 2), "same", (2, 2))
    config = layer.get_config()
    assert config["pattern"] == [["A", "B"], ["B", "A"]]
    assert "kernel_size" not in config
    with pytest.raises(TypeError, match="kernel_size"):
        layers.PatternConv2D(4, "AB/BA", kernel_size=2)


@pytest.mark.parametrize(
    ("layer", "pattern", "error", "message"),
    [
        (layers.PatternConv2D, "AAB/AB", ValueError, "rows of a pattern need the same length; these have 2, 3"),
        (layers.PatternConv2D, "../..", ValueError, "pattern needs a label other than '.'"),
        (layers.PatternConv2D, "", ValueError, "pattern needs at least one cell"),
        (layers.PatternConv2D, "/", ValueError, "pattern needs at least one cell"),
        (layers.PatternConv2D, [], ValueError, "pattern needs at least one cell"),
        (layers.PatternConv2D, "AB CD", ValueError, "rows of a pattern are parted by '/' or newlines, not by spaces"),
        (layers.PatternConv2D, 3, TypeError, "pattern must be text, rows of text or a 2-D array. Received: labels=3"),
        (
            layers.PatternConv2D,
            (3, 3),
            TypeError,
            r"row of a pattern must hold letters or integers. Received: labels=\(3, 3\)",
        ),
        (layers.PatternConv2D, None, TypeError, "pattern must be text.*Received: labels=None"),
        (layers.PatternConv2D, [[0.5]], TypeError, r"letters or integers. Received: labels=\[\[0.5\]\]"),
        (layers.PatternConv1D, "AB/BA", ValueError, r"In 1-D a pattern has one row. Received: pattern=\(\('A', 'B'\)"),
        (layers.PatternConv1D, "A/B/A", ValueError, "In 1-D a pattern has one row"),
        (layers.PatternConv1D, "...", ValueError, "pattern needs a label other than '.'"),
        (layers.PatternConv1D, 5, TypeError, "pattern must be text"),
    ],
)
def test_wrong_patterns_get_one_clear_message(layer, pattern, error, message):
    with pytest.raises(error, match=message):
        layer(4, pattern)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ((2, 0), (1,), r"rows must be positive integers. Received: rows=\(2, 0\)"),
        ((1,), (), r"columns must be positive integers. Received: columns=\(\)"),
        (2, (1,), "Received: rows=2"),
        ((1,), (1.5,), r"Received: columns=\(1.5,\)"),
        ((True,), (1,), r"Received: rows=\(True,\)"),
        ("21", (1,), "Received: rows='21'"),
    ],
)
def test_wrong_repeats_get_one_clear_message(rows, columns, message):
    with pytest.raises(ValueError, match=message):
        kernels.repeat_pattern(rows, columns)


def test_repeats_may_be_numbers_of_numpy():
    assert kernels.repeat_pattern(tuple(np.array([2, 1])), [1, 2]) == kernels.Pattern([[0, 1, 1], [0, 1, 1], [2, 3, 3]])
