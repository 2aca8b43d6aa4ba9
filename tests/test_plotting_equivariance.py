"""Pictures of equivariance reports: the errors at their places on the scale."""

import math

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")

from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tf_symconv.models.equivariance import LayerError, Report
from tf_symconv.plotting import plot_equivariance


def _report(*errors, names=None, tolerance=1e-5):
    names = names or [f"layer_{number}" for number in range(len(errors))]
    elements = ("identity", *(f"g{number}" for number in range(1, len(errors[0]) + 1)))
    rows = tuple(
        LayerError(name, "Conv2D", "5x5 images", (0.0 if not math.isnan(each[0]) else math.nan, *each))
        for name, each in zip(names, errors, strict=True)
    )
    return Report("c4", elements, rows, tolerance)


def _marks(axes):
    """Return the marks of each element: ``{element: [(error, row), ...]}``."""
    return {
        line.get_label(): [tuple(point) for point in line.get_xydata()]
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_every_error_has_its_mark_in_its_row():
    errors = [[1e-7, 2e-7, 3e-8], [4e-7, 5e-7, 6e-7], [0.3, 0.4, 2.0]]
    axes = plot_equivariance(_report(*errors)).axes[0]
    marks = _marks(axes)
    assert list(marks) == ["g1", "g2", "g3"]
    for number, points in enumerate(marks.values()):
        assert [error for error, _ in points] == [row[number] for row in errors]
        assert [round(place) for _, place in points] == [0, 1, 2]
    assert axes.get_xscale() == "log"
    low, high = axes.get_xlim()
    assert low < 3e-8 and high > 2.0
    top, bottom = axes.get_ylim()
    assert top > bottom  # the first layer is at the top


def test_layers_beyond_the_tolerance_are_red_and_the_first_is_bold():
    axes = plot_equivariance(_report([1e-7], [0.1], [0.2], names=["good", "cause", "after"])).axes[0]
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == ["good", "cause", "after"]
    colours = [to_hex(label.get_color()) for label in labels]
    assert colours[1] == colours[2] != colours[0]
    assert [label.get_fontweight() for label in labels] == ["normal", "bold", "normal"]


def test_zero_infinite_and_unknown_errors():
    axes = plot_equivariance(_report([0.0, 1e-6], [math.inf, 1.0], [math.nan, math.nan])).axes[0]
    low, high = axes.get_xlim()
    assert _marks(axes)["g1"] == [(low, pytest.approx(-0.26)), (high, pytest.approx(0.74))]
    assert [text.get_text() for text in axes.texts] == ["not known how its output should transform"]
    assert axes.texts[0].get_position()[1] == 2
    assert np.isfinite([low, high]).all() and low > 0


def test_all_zero_and_the_line_of_the_tolerance():
    axes = plot_equivariance(_report([0.0], [0.0], tolerance=1e-3)).axes[0]
    low, high = axes.get_xlim()
    assert low < 1e-3 < high
    assert any(list(line.get_xdata()) == [1e-3, 1e-3] for line in axes.lines)


def test_title_figure_and_file(tmp_path):
    report = _report([1e-7], [0.1], names=["good", "cause"])
    figure = plot_equivariance(report)
    assert figure.get_suptitle() == str(report).splitlines()[-1]
    assert "'cause'" in figure.get_suptitle()
    assert plot_equivariance(report, title="mine").get_suptitle() == "mine"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["g1"]
    left, _ = Figure(layout="constrained").subfigures(1, 2)
    assert plot_equivariance(report, figure=left) is left
    figure.savefig(tmp_path / "equivariance.png")
    assert (tmp_path / "equivariance.png").read_bytes().startswith(b"\x89PNG")


def test_many_layers_stay_on_a_page():
    figure = plot_equivariance(_report(*[[1e-7]] * 200))
    assert figure.get_size_inches()[1] < 16


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"must be what models\.equivariance\.report returned\. Received: str"):
        plot_equivariance("report")
    with pytest.raises(ValueError, match="at least one layer"):
        plot_equivariance(Report("c4", ("identity",), (), 1e-5))
