"""What trials see, how they are summed up, and what is kept of them."""

import dataclasses
import json

import numpy as np
import pytest

from tf_symconv.comparison import ComparisonDirectory, ComparisonSettings, RunDirectoryError, markdown, parse_sizes
from tf_symconv.comparison._plots import picture
from tf_symconv.comparison._run import _Images
from tf_symconv.comparison._settings import METHODS, Trial
from tf_symconv.comparison._summary import summarize

SETTINGS = ComparisonSettings(sizes="20,all", seeds=2)
FIGURES = {"accuracy": 0.75, "loss": 1.0, "training_loss": 0.5, "seconds": 2.0}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    upright = np.zeros((60, 4, 4, 1), "float32")
    upright[np.arange(60), 0, 0, 0] = np.arange(60)  # a number in a corner tells which image it is
    return _Images("numbers", ("a", "b"), upright, np.arange(60) % 2, upright[:7], rng.integers(2, size=7), "c4")


def seen(images, trial, steps=5):
    shown, labels = images.batches(trial, 8)(steps)
    assert shown.shape == (steps, 8, 4, 4, 1) and labels.shape == (steps, 8)
    corners = shown.reshape(-1, 4, 4)[:, [0, 3, 3, 0], [0, 0, 3, 3]]  # at 0, 90, 180 and 270 degrees
    numbers, turns = corners.sum(1).astype(int), corners.argmax(1)
    np.testing.assert_array_equal(labels.ravel(), numbers % 2)
    return numbers, turns


def test_every_method_sees_the_same_images_in_the_same_order_turned_alike(images):
    one, two = (Trial("group", 20, 3, method, "reference") for method in ("plain", "c4"))
    np.testing.assert_array_equal(seen(images, one), seen(images, two))
    numbers, turns = seen(images, one)
    assert len(set(numbers)) == 20 and len(set(turns)) == 4
    assert sorted(numbers[:20]) == sorted(numbers[20:]) and list(numbers[:20]) != list(numbers[20:])
    assert len(set(zip(numbers, turns, strict=True))) == 20  # each is turned once
    numbers, turns = seen(images, dataclasses.replace(one, method="augmented"))
    assert len(set(zip(numbers, turns, strict=True))) > 25  # anew whenever it is seen


def test_larger_trials_hold_the_images_of_smaller_ones_and_seeds_differ(images):
    small, large = (Trial("group", size, 0, "plain", "reference") for size in (10, 40))
    drawn = [set(seen(images, trial, 20)[0]) for trial in (small, large, dataclasses.replace(small, seed=1))]
    assert drawn[0] < drawn[1] and drawn[0] != drawn[2]


def test_the_test_images_are_turned_once_for_all(images):
    one, labels = images.test("any")
    np.testing.assert_array_equal(one, images.test("any")[0])
    assert len(one) == len(labels) >= 2000 and len(one) % 7 == 0


def results(values):
    trials = [
        Trial(turns, size, seed, method, budget)
        for turns in ("group", "any")
        for size in (20, 60)
        for seed in range(len(values))
        for method, budgets in (("plain", ["reference"]), ("c4", ["parameters", "compute"]))
        for budget in budgets
    ]
    cells = summarize([(trial, {**FIGURES, "accuracy": values[trial.seed]}) for trial in trials])
    numbers = {"orbits": 2, "channels": 8, "weights": 1234, "multiplications": 56789}
    networks = [
        {"method": method, "budget": budget, **numbers}
        for method, budget in (("plain", "reference"), ("c4", "parameters"), ("c4", "compute"))
    ]
    settings = dataclasses.replace(SETTINGS, seeds=len(values)).to_dict()
    data = {"name": "numbers", "image_shape": [10, 10, 1], "training_images": 60, "test_images": 7}
    return {"settings": settings, "data": data, "networks": networks, "cells": cells}


def test_tables_tell_mean_and_standard_deviation():
    text = markdown(results([0.5, 0.6, 0.7]))
    assert "of 3 seeds" in text and "turned by the elements of c4" in text and "turned by any angle" in text
    assert "| network | weights | multiplications | 20 | 60 |" in text
    assert text.count("| c4, equal compute | 1,234 | 56,789 | 60.0 ± 10.0 | 60.0 ± 10.0 |") == 2
    assert "| plain | 1,234 | 56,789 | 50.0 | 50.0 |" in markdown(results([0.5]))


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.7]])
def test_the_picture_has_a_panel_for_each_way_and_budget(values):
    figure = picture(results(values))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        f"Images turned by {way}, equal {budget}"
        for way in ("the elements of c4", "any angle")
        for budget in ("parameters", "compute")
    ]
    for axes in figure.axes:
        assert axes.get_legend_handles_labels()[1] == ["plain", "c4"]
    figure.canvas.draw()


def test_a_directory_takes_more_trials_and_refuses_other_settings(tmp_path):
    trial = Trial("group", 20, 0, "plain", "reference")
    with ComparisonDirectory(tmp_path, SETTINGS) as directory:
        directory.begin()
        assert directory.read(trial) is None
        directory.write(trial, FIGURES)
    more = dataclasses.replace(SETTINGS, sizes="30", seeds=5, methods="plain", any_angle=False)
    with ComparisonDirectory(tmp_path, more) as directory:
        directory.begin()
        assert directory.read(trial) == FIGURES
        assert directory.read(dataclasses.replace(trial, seed=1)) is None
    for name, value in (("steps", 7), ("group", "d4"), ("dataset", "mnist"), ("width", 3)):
        other = dataclasses.replace(SETTINGS, **{name: value})
        with pytest.raises(RunDirectoryError, match=rf"--{name} \(.* there, {value} here\)"):
            ComparisonDirectory(tmp_path, other)
    with ComparisonDirectory(tmp_path, dataclasses.replace(SETTINGS, steps=7), overwrite=True) as directory:
        directory.begin()
        assert directory.read(trial) is None
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"figures": {}}', '{"figures": {"accuracy": "much"}}'])
def test_a_damaged_record_is_named(text, tmp_path):
    trial = Trial("group", 20, 0, "plain", "reference")
    with ComparisonDirectory(tmp_path, SETTINGS) as directory:
        directory.begin()
        directory.write(trial, FIGURES)
        (tmp_path / "trials" / f"{trial.name}.json").write_text(text)
        with pytest.raises(RunDirectoryError, match=r"group-20-0-plain-reference\.json is damaged"):
            directory.read(trial)


def test_trials_come_seed_by_seed_and_each_has_a_name_of_its_own():
    trials = list(SETTINGS.trials([20, 60]))
    assert len(trials) == 2 * 2 * 2 * 10
    assert len({trial.name for trial in trials}) == len(trials)
    assert [trial.seed for trial in trials] == sorted(trial.seed for trial in trials)
    assert {trial.method for trial in trials} == set(METHODS)
    assert json.dumps([vars(trial) for trial in trials])


@pytest.mark.parametrize("text", ["", "0", "-5", "five", "50,,100", "all,all", "50;60", "1.5"])
def test_sizes_that_are_none(text):
    with pytest.raises(ValueError, match=r"Received: "):
        parse_sizes(text)
