"""A comparison from the data to the picture, each trial run once."""

import dataclasses
import importlib.metadata
import itertools
import os
import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.comparison import _plots
from tf_symconv.comparison._directory import ComparisonDirectory
from tf_symconv.comparison._networks import Network, Plan, networks
from tf_symconv.comparison._settings import (
    AUGMENTED,
    PLAIN,
    ComparisonSettings,
    Trial,
    parse_methods,
    parse_odd_kernel_size,
    parse_sizes,
)
from tf_symconv.comparison._summary import markdown, summarize
from tf_symconv.comparison._trial import Batches, Learner, endless_order
from tf_symconv.comparison._turning import Turning, onto_canvas, turning
from tf_symconv.datasets import ImageData, load

_TEST_IMAGES = 2000
_TEST_SEED, _CHOICE, _TURNS, _ORDER = range(4)  # what random numbers are for

Listener = Callable[[Trial, int, int, float], None]


def compare(
    directory: ComparisonDirectory,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_progress: Listener | None = None,
) -> dict[str, Any]:
    """Run the trials that the directory has no record of, and write the results, the table and the picture.

    TensorFlow is made deterministic for the rest of the process.

    Args:
        directory: that of the comparison.
        data_dir: where prepared data sets lie; None for the default of TensorFlow Datasets.
        on_stage: called with a few words before each stage.
        on_progress: called with the trial that runs, the number of trials done, the number of all, and the share of the
            one that runs; for a trial that is done with 1.

    Returns:
        The figures, as in ``results.json``.

    Raises:
        ValueError: if settings do not fit together, or the data set is unknown or unsuitable.
        OSError: if the data set cannot be had, or a file cannot be written.
        RunDirectoryError: if a record is damaged.
        ComparisonError: if training cannot go on.
    """
    stage = on_stage or (lambda _: None)
    settings = directory.settings
    stage("Preparing the data")
    images = _Images.load(settings, data_dir)
    sizes = _sizes(settings, len(images.labels))
    shape = images.images.shape[1:]
    plan = Plan(
        (shape[0], shape[1], shape[2]), len(images.classes), parse_odd_kernel_size(settings.kernel_size), settings.group
    )
    stage("Matching the networks")
    found = networks(plan, settings.width, parse_methods(settings.methods))
    directory.begin()
    tf.config.experimental.enable_op_determinism()
    records = _run(directory, list(settings.trials(sizes)), plan, found, images, on_progress)
    results = {
        "settings": settings.to_dict(),
        "data": {
            "name": images.name,
            "image_shape": list(shape),
            "training_images": len(images.labels),
            "test_images": len(images.test_labels),
        },
        "networks": [
            {"method": method, "budget": budget, **network.figures()} for (method, budget), network in found.items()
        ],
        "cells": summarize(records),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("tf_symconv", "tensorflow", "keras", "numpy")},
        },
    }
    directory.write_json(directory.results.name, results)
    with directory.writing(directory.table) as temporary:
        temporary.write_text(markdown(results), "utf-8")
    with directory.writing(directory.picture) as temporary:
        _plots.picture(results).savefig(temporary)
    return results


def _run(
    directory: ComparisonDirectory,
    trials: Sequence[Trial],
    plan: Plan,
    found: dict[tuple[str, str], Network],
    images: "_Images",
    on_progress: Listener | None,
) -> list[tuple[Trial, dict[str, float]]]:
    report = on_progress or (lambda *_: None)
    records = {trial: record for trial in trials if (record := directory.read(trial)) is not None}
    learners: dict[Network, Learner] = {}
    tests: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    done = len(records)
    for trial in trials:
        if trial in records:
            continue
        report(trial, done, len(trials), 0.0)
        network = dataclasses.replace(found[trial.method, trial.budget], method=_architecture(trial.method))
        if network not in learners:
            learners[network] = Learner(plan, network, directory.settings)
        if trial.turns not in tests:
            tests[trial.turns] = images.test(trial.turns)
        learner = learners[network]
        figures = learner.learn(
            trial.seed,
            images.batches(trial, directory.settings.batch_size),
            lambda part, trial=trial, done=done: report(trial, done, len(trials), part),
        )
        figures |= learner.test(*tests[trial.turns])
        directory.write(trial, figures)
        records[trial] = figures
        done += 1
        report(trial, done, len(trials), 1.0)
    return [(trial, records[trial]) for trial in trials]


def _architecture(method: str) -> str:
    """Return the method whose network is the same, so that graphs are made once."""
    return PLAIN if method == AUGMENTED else method


def _sizes(settings: ComparisonSettings, available: int) -> list[int]:
    sizes = [available if size is None else size for size in parse_sizes(settings.sizes)]
    if max(sizes) > available:
        raise ValueError(
            f"--sizes: {settings.dataset} has {available} training images. Received: --sizes={settings.sizes}"
        )
    return sorted(set(sizes))


@dataclasses.dataclass(frozen=True)
class _Images:
    """The images, upright, on their canvas; validation images are for training too, as nothing is chosen by them."""

    name: str
    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    group: str

    @classmethod
    def load(cls, settings: ComparisonSettings, data_dir: str | os.PathLike[str] | None) -> "_Images":
        data: ImageData = load(
            settings.dataset, data_dir=data_dir, batch_size=1024, seed=0, image_size=settings.image_size
        )
        images, labels = _arrays(data.train(0), data.validation())
        test_images, test_labels = _arrays(data.test())
        canvases = (onto_canvas(some, settings.padding) for some in (images, test_images))
        images, test_images = canvases
        return cls(data.name, data.class_names, images, labels, test_images, test_labels, settings.group)

    def test(self, turns: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the test images, turned, and their labels; each several times if there are few.

        Every trial is tested on the same.
        """
        repeats = max(1, -(-_TEST_IMAGES // len(self.test_labels)))
        images, labels = (np.repeat(some, repeats, axis=0) for some in (self.test_images, self.test_labels))
        way = turning(turns, self.group)
        return way.turn(images, way.draw(_generator(_TEST_SEED), len(images))), labels

    def batches(self, trial: Trial, batch_size: int) -> Batches:
        """Return a function from a number of steps to batches of the images of a trial.

        Trials of one seed see the same images in the same order, larger trials those of smaller ones among others. Each
        image is turned once, or, with augmentation, anew whenever it is seen.
        """
        way: Turning = turning(trial.turns, self.group)
        chosen = _generator(_CHOICE, trial.seed).permutation(len(self.labels))[: trial.size]
        turns = way.draw(_generator(_TURNS, trial.seed), len(self.labels))[chosen]
        order = endless_order(_generator(_ORDER, trial.seed), trial.size)
        fresh = _generator(_TURNS, trial.seed, 1)

        def batches(steps: int) -> tuple[np.ndarray, np.ndarray]:
            shown = np.array(list(itertools.islice(order, steps * batch_size)))
            drawn = way.draw(fresh, len(shown)) if trial.method == AUGMENTED else turns[shown]
            images = way.turn(self.images[chosen[shown]], drawn)
            labels = self.labels[chosen[shown]]
            return images.reshape(steps, batch_size, *images.shape[1:]), labels.reshape(steps, batch_size)

        return batches


def _generator(*purpose: int) -> np.random.Generator:
    return np.random.default_rng(purpose)


def _arrays(*datasets: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    batches = [batch for dataset in datasets for batch in dataset.as_numpy_iterator()]
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)
