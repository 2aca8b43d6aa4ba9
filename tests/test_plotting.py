"""Pictures of kernels: what is drawn, where, in which colour."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")

from matplotlib.figure import Figure

from tf_symconv.layers import SymmetricConv2D
from tf_symconv.plotting import plot_kernels


def _drawn(figure):
    return [np.ma.filled(axes.images[0].get_array(), np.nan) for axes in figure.axes]


def test_filters_run_right_and_channels_down():
    kernel = np.random.default_rng(0).normal(size=(3, 2, 2, 5))
    figure = plot_kernels(kernel)
    assert isinstance(figure, Figure)
    pictures = _drawn(figure)
    assert len(pictures) == 10
    for number, picture in enumerate(pictures):
        channel, filter_ = divmod(number, 5)
        np.testing.assert_array_equal(picture, kernel[:, :, channel, filter_])
    places = [axes.get_subplotspec() for axes in figure.axes]
    assert [(place.rowspan.start, place.colspan.start) for place in places[:6]] == [*((0, i) for i in range(5)), (1, 0)]


def test_one_scale_holds_for_the_picture_and_zero_is_its_middle():
    kernel = np.zeros((3, 3, 1, 3))
    kernel[0, 0, 0, 1], kernel[1, 1, 0, 2] = -0.25, 2.0
    images = [axes.images[0] for axes in plot_kernels(kernel).axes]
    assert {image.get_clim() for image in images} == {(-2.0, 2.0)}
    red, _, blue, _ = images[2].to_rgba(np.array([2.0]))[0]
    assert red > blue  # positive is red
    np.testing.assert_allclose(images[0].to_rgba(np.array([0.0]))[0][:3], [0.97, 0.97, 0.97], atol=0.01)
    assert plot_kernels(kernel, limit=4.0).axes[0].images[0].get_clim() == (-4.0, 4.0)
    assert plot_kernels(np.zeros((3, 3, 1, 2))).axes[0].images[0].get_clim() == (-1.0, 1.0)


def test_no_more_than_asked_for_and_wrapped_when_there_is_one_channel():
    assert len(plot_kernels(np.ones((3, 3, 9, 40))).axes) == 4 * 16
    assert len(plot_kernels(np.ones((3, 3, 9, 40)), max_filters=3, max_channels=2).axes) == 6
    wrapped = plot_kernels(np.ones((3, 3, 1, 40)), max_filters=40)
    assert len(wrapped.axes) == 40
    assert wrapped.axes[39].get_subplotspec().rowspan.start == 2


def test_one_and_three_dimensions():
    line = np.arange(5.0).reshape(5, 1, 1)
    np.testing.assert_array_equal(_drawn(plot_kernels(line))[0], [[0, 1, 2, 3, 4]])
    cube = np.arange(1, 9, dtype=float).reshape(2, 2, 2, 1, 1)
    np.testing.assert_array_equal(_drawn(plot_kernels(cube))[0], [[1, 2, np.nan, 5, 6], [3, 4, np.nan, 7, 8]])


def test_a_layer_shows_its_full_kernel_and_counts():
    layer = SymmetricConv2D(4, 5, symmetry="hv")
    layer.build((None, 8, 8, 1))
    figure = plot_kernels(layer)
    for number, picture in enumerate(_drawn(figure)):
        np.testing.assert_allclose(picture, np.asarray(layer.kernel)[:, :, 0, number])
        np.testing.assert_allclose(picture, picture[::-1, ::-1])
    assert figure.get_suptitle() == f"{layer.name}: 5x5x1x4, 36 of 100 weights free"
    plain = keras.layers.Conv2D(2, 3, name="plain")
    plain.build((None, 8, 8, 1))
    assert plot_kernels(plain).get_suptitle() == "plain: 3x3x1x2"
    assert plot_kernels(plain, title="mine").get_suptitle() == "mine"
    depthwise = keras.layers.DepthwiseConv2D(3)
    depthwise.build((None, 8, 8, 2))
    assert len(plot_kernels(depthwise).axes) == 2


def test_a_figure_given_is_drawn_into():
    figure = Figure(layout="constrained")
    left, right = figure.subfigures(1, 2)
    assert plot_kernels(np.ones((3, 3, 1, 2)), figure=left) is left
    plot_kernels(np.ones((3, 3, 1, 3)), figure=right)
    assert [len(part.axes) for part in (left, right)] == [2, 3]


def test_sixteen_bit_kernels_are_drawn():
    kernel = tf.cast(tf.reshape(tf.range(9), (3, 3, 1, 1)), tf.bfloat16)
    np.testing.assert_array_equal(_drawn(plot_kernels(kernel))[0], np.arange(9.0).reshape(3, 3))


def test_a_picture_can_be_saved(tmp_path):
    plot_kernels(np.random.default_rng(0).normal(size=(3, 3, 1, 4)), title="four").savefig(tmp_path / "kernels.png")
    assert (tmp_path / "kernels.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layer_or_kernel": np.ones((3, 3))}, ValueError, r"\(\*size, channels, filters\).*shape=\(3, 3\)"),
        ({"layer_or_kernel": np.ones((3, 3, 0, 2))}, ValueError, r"none of them zero"),
        ({"layer_or_kernel": "kernel"}, TypeError, r"array of real numbers.*Received: str"),
        ({"layer_or_kernel": None}, TypeError, r"Received: NoneType"),
        ({"layer_or_kernel": keras.layers.Conv2D(1, 3, name="raw")}, ValueError, r"unbuilt layer 'raw'"),
        ({"max_filters": 0}, ValueError, r"at least 1\. Received: max_filters=0"),
        ({"max_channels": 1.5}, TypeError, r"must be an integer\. Received: max_channels=1.5"),
        ({"layer_or_kernel": np.ones((3, 3, 1, 1), complex)}, TypeError, r"real numbers"),
        ({"limit": -1.0}, ValueError, r"at least 0.*limit=-1"),
        ({"layer_or_kernel": np.full((3, 3, 1, 1), np.inf)}, ValueError, r"must be finite"),
        ({"layer_or_kernel": np.full((3, 3, 1, 1), np.nan)}, ValueError, r"must be finite"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        plot_kernels(**{"layer_or_kernel": np.ones((3, 3, 1, 2)), **arguments})


def test_a_layer_without_a_kernel_is_told():
    layer = keras.layers.ReLU()
    layer.build((None, 3))
    with pytest.raises(TypeError, match="must have a kernel"):
        plot_kernels(layer)


def test_neither_pyplot_nor_matplotlib_is_imported_for_nothing():
    code = (
        "import sys, numpy, tf_symconv.plotting as p; before = 'matplotlib' in sys.modules;"
        "p.plot_kernels(numpy.ones((3, 3, 1, 2))); print(before, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False", "False"], done.stderr
