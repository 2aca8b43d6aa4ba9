"""Kernel maps one by one: known kernels, names, and messages for wrong arguments."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.oracles import convolve, spread
from tf_symconv import groups, kernels

R2 = 2**0.5 - 1  # how far the corner of a 3x3 kernel lies beyond radius 1

KNOWN = [
    (kernels.Mirror("h"), [[0, 1, 0], [2, 3, 2], [4, 5, 4]], None),
    (kernels.Mirror("v"), [[0, 1, 2], [3, 4, 5], [0, 1, 2]], None),
    (kernels.Mirror("hv"), [[0, 1, 0], [2, 3, 2], [0, 1, 0]], None),
    (kernels.Mirror("hv"), [[0, 1, 1, 0], [0, 1, 1, 0]], None),
    (kernels.Mirror("h", "odd"), [[0, -1, 0], [1, -1, 1]], [[1, 0, -1], [1, 0, -1]]),
    (kernels.Mirror("hv", "odd"), [[0, 0], [0, 0]], [[1, -1], [-1, 1]]),
    (kernels.Mirror("vh", ("even", "odd")), [[0, 0], [0, 0]], [[1, -1], [1, -1]]),
    (kernels.Rotational(2), [[0, 1, 2], [3, 4, 3], [2, 1, 0]], None),
    (kernels.Rotational(4), [[0, 1, 2, 0], [2, 3, 3, 1], [1, 3, 3, 2], [0, 2, 1, 0]], None),
    (kernels.Rotational(4, reflect=True), [[0, 1, 0], [1, 2, 1], [0, 1, 0]], None),
    (kernels.Diagonal(), [[0, 1, 2], [1, 3, 4], [2, 4, 5]], None),
    (kernels.Circular(), [[1, 1, 1], [1, 0, 1], [1, 1, 1]], None),
    (kernels.Circular("exact"), [[2, 1, 2], [1, 0, 1], [2, 1, 2]], None),
    (
        kernels.Circular(),
        [[3, 2, 2, 2, 3], [2, 1, 1, 1, 2], [2, 1, 0, 1, 2], [2, 1, 1, 1, 2], [3, 2, 2, 2, 3]],
        None,
    ),
    (kernels.Pattern("AAB/A.B"), [[0, 0, 1], [0, -1, 1]], None),
    (kernels.Pattern("BA\nAB"), [[0, 1], [1, 0]], None),
    (kernels.Pattern(np.array([[5, 3], [3, 5]])), [[0, 1], [1, 0]], None),
    (kernels.repeat_pattern((2, 1), (1, 2)), [[0, 1, 1], [0, 1, 1], [2, 3, 3]], None),
    (kernels.Tile((1, 2)), [[0, 1, 0, 1], [2, 3, 2, 3]], None),
    (kernels.Tile((3, 1)), [[0, 1], [0, 1], [0, 1]], None),
]


@pytest.mark.parametrize(("structure", "labels", "signs"), KNOWN)
def test_expand_ties_the_cells_that_the_structure_ties(structure, labels, signs):
    labels = np.array(labels)
    shape = (*labels.shape, 2, 3)
    free = np.random.default_rng(0).normal(size=(labels.max() + 1, 2, 3))
    assert structure.latent_shape(shape)[-2:] == (2, 3)
    assert np.prod(structure.latent_shape(shape)) == free.size
    kernel = structure.expand(tf.constant(free.reshape(structure.latent_shape(shape))), shape)
    np.testing.assert_array_equal(kernel, spread(free, labels, signs))


def test_linear_circles_blend_the_neighbouring_radii():
    circle = kernels.Circular("linear")
    kernel = circle.expand(tf.constant([1.0, 10.0, 100.0], tf.float64)[:, None, None], (5, 1, 1, 1))
    np.testing.assert_allclose(np.ravel(kernel), [100, 10, 1, 10, 100])
    shape = (5, 5, 1, 1)
    knots = np.array([0.0, 1.0, 2.0, 8**0.5])
    assert circle.latent_shape(shape) == (4, 1, 1)
    values = np.array([3.0, -1.0, 2.0, 7.0])
    radii = np.hypot(*np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)))
    expected = np.interp(radii, knots, values)
    np.testing.assert_allclose(circle.expand(tf.constant(values[:, None, None]), shape)[..., 0, 0], expected)


def test_mix_orders_filters_as_its_parts_and_leaves_the_rest_free():
    mix = kernels.Mix({"h": 2, "c4": "25%", kernels.Tile((3, 1)): 1})
    assert mix.counts(8) == (2, 2, 1, 3)
    shape = (3, 3, 2, 8)
    latent = np.random.default_rng(0).normal(size=mix.latent_shape(shape))
    assert latent.shape == (6 * 2 * 2 + 3 * 2 * 2 + 3 * 2 * 1 + 9 * 2 * 3,)
    kernel = mix.expand(tf.constant(latent), shape).numpy()
    np.testing.assert_array_equal(kernel[..., :2], kernel[:, ::-1, :, :2])
    np.testing.assert_array_equal(kernel[..., 2:4], np.rot90(kernel[..., 2:4]))
    np.testing.assert_array_equal(kernel[0, ..., 4], kernel[1, ..., 4])
    np.testing.assert_array_equal(kernel[..., 5:].ravel(), latent[-54:])
    assert np.all(kernel[..., 2:] != kernel[:, ::-1, :, 2:], axis=(0, 2)).any()


def test_mix_rounds_percentages_down_and_takes_all_of_100():
    assert kernels.Mix({"hv": "33%", "c4": "50%"}).counts(10) == (3, 5, 2)
    assert kernels.Mix({"hv": "100%"}).counts(7) == (7, 0)
    assert kernels.Mix({"hv": "29%"}).counts(100) == (29, 71)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vh", kernels.Mirror("hv")),
        ("zvh", kernels.Mirror("hvz")),
        ("c2", kernels.Rotational(2)),
        ("c4", kernels.Rotational(4)),
        ("d4", kernels.Rotational(4, reflect=True)),
        ("diag", kernels.Diagonal()),
        ("circular", kernels.Circular()),
        ("free", kernels.Free()),
    ],
)
def test_get_knows_the_names(name, expected):
    assert kernels.get(name) == expected
    assert kernels.get(expected) is expected
    assert kernels.get(kernels.serialize(expected)) == expected


def test_get_hands_parity_to_mirrors_given_by_name():
    assert kernels.get("hv", "odd") == kernels.Mirror("hv", "odd")
    assert kernels.get("vh", ("odd", "even")) == kernels.Mirror("hv", ("even", "odd"))
    own = kernels.Mirror("v", "even")
    assert kernels.get({"h": 2, own: 1}, "odd") == kernels.Mix({kernels.Mirror("h", "odd"): 2, own: 1})


SQUARE, FLAT = (3, 3, 2, 8), (3, 5, 2, 8)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: kernels.get("q"), ValueError, r"symmetry must be one of h, v, z, .*circular.*Received: symmetry='q'"),
        (lambda: kernels.get(""), ValueError, "Received: symmetry=''"),
        (lambda: kernels.get("hh"), ValueError, "Received: symmetry='hh'"),
        (lambda: kernels.get("c3"), ValueError, "Received: symmetry='c3'"),
        (lambda: kernels.get(4), TypeError, "A symmetry is a name, a KernelMap or a dict.*Received: 4 of type int"),
        (lambda: kernels.get(None), TypeError, "Received: None of type NoneType"),
        (lambda: kernels.get("h", "both"), ValueError, "parity must be 'even', 'odd'.*Received: 'both'"),
        (lambda: kernels.get("h", -1), ValueError, "parity must be 'even', 'odd'.*Received: -1"),
        (lambda: kernels.get("c4", "odd"), ValueError, "Only mirror symmetries have a parity; 'c4' is always even"),
        (lambda: kernels.get({"class_name": "Nope", "config": {}}), ValueError, "Received: class_name='Nope'"),
        (lambda: kernels.Mirror("x"), ValueError, "distinct letters out of 'hvz'. Received: axes='x'"),
        (lambda: kernels.Mirror("c4"), ValueError, "Received: axes='c4'"),
        (lambda: kernels.Mirror("hv", ("odd",)), ValueError, r"one of these for each letter.*parity=\('odd',\)"),
        (lambda: kernels.Mirror("v").latent_shape((3, 2, 8)), ValueError, "In 1-D the reflections are 'h'"),
        (lambda: kernels.Mirror("h", "odd").latent_shape((3, 1, 2, 8)), ValueError, "at least 2 cells"),
        (lambda: kernels.Mirror("h").latent_shape((3, 0, 2, 8)), ValueError, "all positive integers"),
        (lambda: kernels.Rotational(3), ValueError, "order must be 2 or 4. Received: order=3"),
        (lambda: kernels.Rotational(4, reflect="yes"), ValueError, "reflect must be True or False"),
        (lambda: kernels.get("c4").latent_shape(FLAT), ValueError, r"'c4' needs a kernel of equal height and width"),
        (lambda: kernels.get("d4").latent_shape(FLAT), ValueError, r"Received: spatial shape \(3, 5\)"),
        (lambda: kernels.get("diag").latent_shape(FLAT), ValueError, "'diag' needs a kernel of equal"),
        (lambda: kernels.get("c2").latent_shape((3, 2, 8)), ValueError, "needs at least 2 spatial axes"),
        (lambda: kernels.Circular("cubic"), ValueError, "interpolation must be one of nearest, linear, exact"),
        (lambda: kernels.Pattern("AAB/AB"), ValueError, "same length; these have 2, 3"),
        (lambda: kernels.Pattern("../.."), ValueError, "needs a label other than '.'"),
        (lambda: kernels.Pattern(""), ValueError, "at least one cell"),
        (lambda: kernels.Pattern([[1.5]]), TypeError, "letters or integers"),
        (lambda: kernels.Pattern(7), TypeError, "text, rows of text or a 2-D array. Received: labels=7"),
        (lambda: kernels.Pattern("AB/CD").latent_shape(SQUARE), ValueError, r"pattern is 2x2. Received: spatial shape"),
        (lambda: kernels.repeat_pattern((2, 0), (1,)), ValueError, r"rows must be positive integers.*\(2, 0\)"),
        (lambda: kernels.repeat_pattern((2,), ()), ValueError, "columns must be positive integers"),
        (lambda: kernels.Tile(0), ValueError, "multiples must be a positive integer.*Received: multiples=0"),
        (lambda: kernels.Tile((2, -1)), ValueError, r"Received: multiples=\(2, -1\)"),
        (lambda: kernels.Tile(()), ValueError, r"Received: multiples=\(\)"),
        (lambda: kernels.Tile((2, 1)).latent_shape(SQUARE), ValueError, r"must be a multiple of.*\(2, 1\)"),
        (lambda: kernels.Tile((3,)).latent_shape(SQUARE), ValueError, "one entry for each of the 2 spatial axes"),
        (lambda: kernels.GroupLift("q"), ValueError, "In 2-D a group is one of .*Received: 'q'"),
        (
            lambda: kernels.GroupLift("c4").latent_shape((3, 3, 2, 6)),
            ValueError,
            "nearest is 4 or 8. Received: 6 output",
        ),
        (lambda: kernels.GroupLift("d4").latent_shape((3, 3, 2, 4)), ValueError, "nearest is 8. Received: 4 output"),
        (lambda: kernels.GroupRegular("c4").latent_shape((3, 3, 6, 4)), ValueError, "Received: 6 input channels"),
        (lambda: kernels.GroupLift("c4").latent_shape((3, 5, 2, 4)), ValueError, r"maps to itself.*\(3, 5\)"),
        (lambda: kernels.GroupLift("h").latent_shape((3, 2, 4)), ValueError, "2 spatial axes or more"),
        (lambda: kernels.Mix({}), ValueError, "at least one entry. Received: parts={}"),
        (lambda: kernels.Mix("hv"), ValueError, "must be a dict"),
        (lambda: kernels.Mix({"hv": -1}), ValueError, "number of filters >= 0.*Received: -1"),
        (lambda: kernels.Mix({"hv": 1.5}), ValueError, "Received: 1.5"),
        (lambda: kernels.Mix({"hv": "120%"}), ValueError, "from '0%' to '100%'. Received: '120%'"),
        (lambda: kernels.Mix({"hv": "x%"}), ValueError, "Received: 'x%'"),
        (lambda: kernels.Mix({"hv": "60%", "c4": "50%"}), ValueError, "Percentages must not exceed 100 in all"),
        (lambda: kernels.Mix({"hv": 5, "c4": 6}).latent_shape(SQUARE), ValueError, r"filters, 8.*5 \+ 6 = 11"),
    ],
)
def test_wrong_arguments_get_one_clear_message(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("group", ["c4", "d4"])
@pytest.mark.parametrize("size", [2, 3])
def test_group_kernels_are_those_of_tensorflow_1(group, size):
    golden = np.load(pathlib.Path(__file__).parents[1] / "golden" / "tf1_15_golden.npz")
    for kind, structure in (("Z2", kernels.GroupLift(group)), (group.upper(), kernels.GroupRegular(group))):
        key = f"groupy/{kind}_{group.upper()}_{size}_2_3"
        if f"{key}/w" not in golden.files:
            continue
        w, x = golden[f"{key}/w"], golden[f"{key}/x"]
        # The variables of that time hold the planes before the channels; kernels and images the channels first.
        planes = structure.inputs_per_channel
        latent = w.reshape(*w.shape[:2], planes, -1, w.shape[3]).swapaxes(2, 3).reshape(w.shape)
        kernel = structure.expand(tf.constant(latent), (*w.shape[:3], w.shape[3] * groups.get(group).order))
        y = convolve(x, kernel.numpy())
        np.testing.assert_allclose(y, golden[f"{key}/y_VALID1"], atol=1e-4)
