"""The grid, the profiles and the bars: what there is to measure."""

import dataclasses
import math

import pytest

from tf_symconv.benchmarks import BARS, LAYERS, PROFILES, Case, grid, matching
from tf_symconv.benchmarks._bars import judged

MIDDLE = (64, 64, 32, 16)


def limits(layer, shape, kind):
    found = {bar.case.kernel: bar.limit for bar in BARS if bar.case == Case(layer, bar.case.kernel, *shape, kind)}
    return [found[kernel] for kernel in sorted(found)]


@pytest.mark.parametrize(
    ("layer", "shape", "inference", "training"),
    [
        ("mirror-v", MIDDLE, [1.0, 0.78, 0.70], [1.0, 0.78, 0.70]),
        ("mirror-h", MIDDLE, [1.0, 0.78, 0.70], [1.0, 0.78, 0.70]),
        ("mirror-hv", (128, 128, 56, 8), [1.0, 0.66, 0.55], [1.0, 0.66, 0.50]),
        ("mirror-hv", (3, 64, 56, 16), [1.0, 0.95, 0.85], [0.8, 0.5, 0.35]),
        ("tile-rows", MIDDLE, [0.50, 0.32, 0.22], [0.65, 0.45, 0.32]),
        ("pattern", MIDDLE, [0.60], [0.70]),
        ("twin-max", (128, 128, 32, 16), [0.80, 0.58, 0.56], [1.0, 0.80, 0.72]),
        ("bank-hv", (128, 128, 32, 16), [1.0, 0.70, 0.60], [1.0, 0.90, 0.80]),
        ("group-d4-regular", MIDDLE, [1.02, 0.85, 0.70], [1.02, 0.95, 0.85]),
        ("group-c4-lift", MIDDLE, [None] * 3, [1.02, 0.95, 0.85]),
    ],
)
def test_the_bars_are_those_that_were_set(layer, shape, inference, training):
    assert limits(layer, shape, "inference") == inference
    assert limits(layer, shape, "training") == training


def test_a_bar_judges_the_ratio_to_what_it_names():
    bar = next(bar for bar in BARS if bar.case == Case("group-d4-lift", 5, *MIDDLE, "inference"))
    ratios = {bar.case.key: {"auto/plain": {"median": 0.86}, "auto/dense": {"median": 0.5}}}
    verdicts = {row[0]: row[2] for row in judged(ratios, ["group-d4-lift"])}
    assert verdicts.pop(bar) == "missed"
    assert set(verdicts.values()) == {"not measured"}
    assert [bar.verdict(ratio) for ratio in (0.85, 0.851)] == ["passed", "missed"]
    assert dataclasses.replace(bar, limit=None).verdict(2.0) == "-"


def test_keys_name_cases_and_none_twice():
    cases = [case for profile in PROFILES.values() for case in profile()]
    assert len({case.key for case in cases}) == len(set(cases))
    assert all(LAYERS[case.layer].takes(case) for case in cases)


def test_the_full_grid_holds_every_layer_at_every_shape_that_it_takes():
    cases = set(PROFILES["full"]())
    for layer in ("mirror-v", "tile-rows", "twin-max", "spectral"):
        for channels in ((3, 64), (32, 32), (64, 64), (128, 128)):
            wanted = {
                Case(layer, kernel, *channels, size, batch, kind)
                for kernel in (3, 5, 7, 11)
                for size in (32, 56)
                for batch in (1, 8, 32)
                for kind in ("inference", "training")
            }
            assert wanted <= cases
    assert {case.layer for case in cases} == set(LAYERS)
    assert not [case for case in cases if case.layer == "group-d4-regular" and case.channels_in == 3]
    assert {case.kernel for case in cases if case.layer == "pattern"} == {5}
    ordered = [case.work for case in PROFILES["full"]()]
    assert ordered == sorted(ordered)


def test_the_quick_profile_has_every_layer_and_shows_growth():
    cases = PROFILES["quick"]()
    assert {(case.layer, case.kind) for case in cases} == {
        (n, kind) for n in LAYERS for kind in ("inference", "training")
    }
    assert {case.kernel for case in cases if case.layer == "tile-rows"} == {3, 5, 7, 11}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("mirror-h", ["mirror-h"]),
        ("mirror", ["mirror-v", "mirror-h", "mirror-hv", "mirror-1d", "mirror-3d"]),
        ("tile,c4", ["c4", "tile-rows", "tile-columns"]),
        ("group-*-lift", ["group-c4-lift", "group-d4-lift"]),
    ],
)
def test_layers_are_named_exactly_by_their_beginning_or_with_stars(wanted, found):
    assert matching(wanted.split(",")) == found


@pytest.mark.parametrize("wanted", ["mirro-v", "", "tile,", "x*"])
def test_a_name_that_fits_no_layer_is_told(wanted):
    with pytest.raises(ValueError, match=r"no layer is named .*; there are mirror-v, "):
        matching(wanted.split(","))


def test_shapes_of_one_and_three_axes():
    first, third = (grid([name], [3], [(4, 4)], [32], [2], ["inference"])[0] for name in ("mirror-1d", "mirror-3d"))
    assert (first.input_shape, third.input_shape) == ((2, 1024, 4), (2, 8, 8, 8, 4))
    assert (first.shape, third.shape) == ("4->4 1024 b2", "4->4 8x8x8 b2")


@pytest.mark.parametrize("kernel", [3, 5, 7, 11])
def test_aims_are_counts_of_cells(kernel):
    cells = [(row, column) for row in range(kernel) for column in range(kernel)]
    last = kernel - 1

    def share(*images):
        orbits = {frozenset(image(row, column) for image in images) for row, column in cells}
        return len(orbits) / len(cells)

    def same(row, column):
        return row, column

    def up_down(row, column):
        return last - row, column

    def left_right(row, column):
        return row, last - column

    def half_turn(row, column):
        return last - row, last - column

    aims = {name: LAYERS[name].aim(kernel) for name in ("mirror-v", "mirror-hv", "c2", "tile-rows")}
    assert aims["mirror-v"] == pytest.approx(share(same, up_down))
    assert aims["mirror-hv"] == pytest.approx(share(same, up_down, left_right, half_turn))
    assert aims["c2"] == pytest.approx(share(same, half_turn))
    assert aims["tile-rows"] == pytest.approx(1 / kernel)
    assert math.isclose(LAYERS["pattern"].aim(5), len(set("AABCC/AABCC/DDEFF/GGHII/GGHII") - {"/"}) / 25)
