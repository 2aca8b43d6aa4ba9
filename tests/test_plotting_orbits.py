"""Pictures of tied cells: which cells have one colour and one letter."""

import keras
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")

from matplotlib.figure import Figure

from tests import oracles
from tf_symconv import groups, kernels, layers, modules
from tf_symconv.plotting import plot_orbits

MINUS = "\N{MINUS SIGN}"


def _letters(axes):
    """Return what is written into each cell, by its place; zeros have nothing."""
    shape = axes.images[0].get_array().shape[:2]
    table = np.full(shape, "", dtype=object)
    for text in axes.texts:
        column, row = text.get_position()
        table[int(row), int(column)] = text.get_text()
    return table


def _colours(axes):
    return np.asarray(axes.images[0].get_array())[..., :3]


def _rows(axes):
    return ["".join(row) for row in _letters(axes)]


def _built(layer, *shape):
    layer.build((None, *shape))
    return layer


@pytest.mark.parametrize("name", ["h", "v", "hv", "c2", "c4", "d4", "diag"])
@pytest.mark.parametrize("size", [(4, 4), (5, 5)])
def test_cells_of_one_orbit_share_letter_and_colour(name, size):
    axes = plot_orbits(name, (*size, 3, 8)).axes[0]
    orbits = groups.get(name).orbits(size)
    letters, colours = _letters(axes), _colours(axes)
    for first in np.ndindex(size):
        for second in np.ndindex(size):
            together = orbits[first] == orbits[second]
            assert (letters[first] == letters[second]) == together
            assert np.array_equal(colours[first], colours[second]) == together


def test_letters_appear_in_the_order_of_the_alphabet():
    assert _rows(plot_orbits("hv", (3, 3, 1, 1)).axes[0]) == ["ABA", "CDC", "ABA"]
    wide = _letters(plot_orbits("free", (6, 6, 1, 1)).axes[0]).ravel().tolist()
    assert wide[25:29] == ["Z", "AA", "AB", "AC"]


def test_negated_cells_are_dark_and_zeros_hatched():
    figure = plot_orbits(kernels.Mirror("h", "odd"), (2, 3, 1, 1))
    axes = figure.axes[0]
    assert _letters(axes).tolist() == [["A", "", f"{MINUS}A"], ["B", "", f"{MINUS}B"]]
    colours = _colours(axes)
    assert (colours[:, 2] < colours[:, 0]).all()
    np.testing.assert_array_equal(colours[:, 1], np.ones((2, 3)))
    hatched = {patch.get_xy() for patch in axes.patches if patch.get_hatch()}
    assert hatched == {(0.5, -0.5), (0.5, 0.5)}
    assert figure.get_supxlabel() == "hatched: always zero; dark: negated"
    assert plot_orbits("h", (3, 3, 1, 1)).get_supxlabel() == ""


def test_patterns_keep_their_own_labels():
    layer = _built(layers.PatternConv2D(2, "BBA/B.C"), 8, 8, 1)
    assert _rows(plot_orbits(layer).axes[0]) == ["BBA", "BC"]
    numbers = kernels.Pattern(np.array([[7, 7], [3, 7]]))
    assert _rows(plot_orbits(numbers, (2, 2, 1, 1)).axes[0]) == ["77", "37"]


def test_blended_cells_name_both_weights():
    blended = kernels.Circular("linear")
    letters = _letters(plot_orbits(blended, (5, 5, 1, 1)).axes[0])
    terms = np.count_nonzero(blended.table((5, 5)).matrix, axis=1).reshape(5, 5)
    assert [text.count("+") + 1 for text in letters.ravel()] == terms.ravel().tolist()
    assert letters[0, 0] == "A" and letters[0, 1] == "A+B"


def test_a_mix_shows_each_part_once():
    layer = _built(layers.SymmetricConv2D(16, 3, symmetry={"d4": "50%", "hv": 4}), 8, 8, 3)
    figure = plot_orbits(layer)
    assert [axes.get_title() for axes in figure.axes] == ["d4: 8 filters", "hv: 4 filters", "free: 4 filters"]
    letters = [set(_letters(axes).ravel()) for axes in figure.axes]
    assert [len(each) for each in letters] == [3, 4, 9]
    assert not letters[0] & letters[1] and not letters[1] & letters[2]
    assert figure.get_suptitle() == f"{layer.name}, 3x3: {layer.latent.shape[0]} free weights of 432"


def test_a_bank_ties_filters():
    layer = _built(layers.FlipBankConv2D(6, 3, symmetry={"hv": 4}), 8, 8, 2)
    figure = plot_orbits(layer, max_channels=1)
    first, h, v, hv, *free = map(_letters, figure.axes)
    assert (
        np.array_equal(first[:, ::-1], h) and np.array_equal(first[::-1], v) and np.array_equal(first[::-1, ::-1], hv)
    )
    assert len(set(np.ravel([first, *free]))) == 27
    assert len(plot_orbits(layer, max_filters=3).axes) == 2 * 3


@pytest.mark.parametrize("group", ["c4", "d4", "hv"])
def test_group_kernels_turn_and_permute_planes(group):
    order = groups.get(group).order
    layer = _built(layers.GroupConv2D(order, 3, padding="same", group=group, input_group=group), 5, 5, order)
    figure = plot_orbits(layer, max_channels=8)
    letters = np.array([_letters(axes) for axes in figure.axes]).reshape(order, order, 3, 3)
    names = set(letters.ravel())
    assert len(names) == 9 * order  # as many as the latent has
    kernel = np.asarray(layer.kernel)
    for text in names:
        planes, filters, rows, columns = np.nonzero(letters == text)
        assert len(planes) == order
        np.testing.assert_array_equal(np.ptp(kernel[rows, columns, planes, filters]), 0)


def test_transposed_layers_show_filters_across():
    layer = _built(layers.GroupConv2DTranspose(8, 2, 2, group="c4", input_group="c4"), 4, 4, 4)
    figure = plot_orbits(layer)
    assert [axes.get_title() for axes in figure.axes[:8]] == [f"filter {i}" for i in range(8)]
    assert len(figure.axes) == 8 * 4
    mix = _built(layers.SymmetricConv2DTranspose(4, 3, symmetry={"c4": 2}), 4, 4, 3)
    assert [axes.get_title() for axes in plot_orbits(mix).axes] == ["c4: 2 filters", "free: 2 filters"]


def test_twin_flips_show_a_filter_and_its_flip():
    layer = _built(layers.TwinFlipConv2D(4, 3, axes="hv"), 8, 8, 2)
    own, flip = map(_letters, plot_orbits(layer).axes)
    np.testing.assert_array_equal(own[::-1, ::-1], flip)


def test_one_and_three_dimensions_and_modules():
    assert _rows(plot_orbits("h", (5, 1, 1)).axes[0]) == ["ABCBA"]
    cube = _letters(plot_orbits("hvz", (2, 3, 3, 1, 1)).axes[0])
    assert ["".join(row) for row in cube] == ["ABAABA", "CDCCDC", "ABAABA"]
    assert cube.shape == (3, 7)  # a gap between the slices
    module = modules.SymmetricConv2D(2, 3, symmetry="d4")
    module(np.zeros((1, 5, 5, 1), "float32"))
    assert _rows(plot_orbits(module).axes[0]) == ["ABA", "BCB", "ABA"]
    depthwise = _built(layers.SymmetricDepthwiseConv2D(3, symmetry="c4"), 6, 6, 2)
    assert _rows(plot_orbits(depthwise).axes[0]) == ["ABA", "BCB", "ABA"]


def test_the_picture_is_that_of_the_kernel():
    """What the letters say, spread over the cells, is the layer's kernel."""
    layer = _built(layers.SymmetricConv2D(1, 5, symmetry="c4"), 8, 8, 1)
    letters = _letters(plot_orbits(layer).axes[0])
    labels = np.unique(letters, return_inverse=True)[1].reshape(letters.shape)
    kernel = np.asarray(layer.kernel)
    means = oracles.tie(kernel, labels) / np.bincount(labels.ravel())[:, None, None]
    np.testing.assert_allclose(oracles.spread(means, labels), kernel, atol=1e-7)


def test_titles_figures_and_files(tmp_path):
    assert plot_orbits("d4", (5, 5, 1, 1)).get_suptitle() == "d4, 5x5: 6 free weights of 25"
    assert plot_orbits(kernels.Mirror("h", "odd"), (3, 3, 1, 1)).get_suptitle().startswith("Mirror(axes='h', parity")
    assert plot_orbits(kernels.Tile(2), (4, 4, 1, 1), title="mine").get_suptitle() == "mine"
    left, right = Figure(layout="constrained").subfigures(1, 2)
    assert plot_orbits("h", (3, 3, 1, 1), figure=left) is left
    assert (len(left.axes), len(right.axes)) == (1, 0)
    plot_orbits(kernels.FlipBank({"h": 2}), (3, 3, 1, 3)).savefig(tmp_path / "orbits.png")
    assert (tmp_path / "orbits.png").read_bytes().startswith(b"\x89PNG")


def test_text_that_would_not_fit_is_left_out():
    assert not plot_orbits("free", (40, 40, 1, 1), figure=Figure(figsize=(2, 2))).axes[0].texts


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((keras.layers.Conv2D(1, 3, name="plain"),), TypeError, r"structured kernel.*Conv2D 'plain'"),
        ((layers.SymmetricConv2D(1, 3, name="raw"),), ValueError, r"unbuilt layer 'raw'"),
        (("d4",), ValueError, r"needs the kernel_shape.*kernel_shape=None"),
        (("d5", (3, 3, 1, 1)), ValueError, r"symmetry must be one of"),
        (("d4", (3, 5, 1, 1)), ValueError, r"shape"),
        (("d4", (3, 3)), ValueError, r"kernel_shape=\(3, 3\)"),
        ((kernels.Spectral(), (3, 3, 1, 1)), ValueError, r"free weights, or blends of two.*Spectral"),
        ((3, (3, 3, 1, 1)), TypeError, r"Received: 3"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        plot_orbits(*arguments)


def test_a_layer_knows_its_shape_and_counts_are_checked():
    layer = _built(layers.SymmetricConv2D(1, 3), 8, 8, 1)
    with pytest.raises(ValueError, match=r"knows the shape.*kernel_shape=\(3, 3, 1, 1\)"):
        plot_orbits(layer, (3, 3, 1, 1))
    with pytest.raises(ValueError, match=r"at least 1\. Received: max_filters=0"):
        plot_orbits(layer, max_filters=0)
    with pytest.raises(TypeError, match=r"integer\. Received: max_channels='2'"):
        plot_orbits(layer, max_channels="2")
