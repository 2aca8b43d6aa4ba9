"""How long a step takes."""

import functools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

_WARM_UP = 5
_STEPS = 60
_MIN_STEPS = 5
_SECONDS = 6.0  # for each kind of step


def step_times(models: Mapping[str, keras.Model], images: tf.Tensor, labels: tf.Tensor) -> dict[str, dict[str, float]]:
    """Time training and prediction on one batch, model by model in turn.

    The models are trained meanwhile: give copies.

    Args:
        models: compiled models by name.
        images: a batch, of shape (batch, height, width, channels).
        labels: its labels, of shape (batch,).

    Returns:
        For each name, "train" and "predict": medians in milliseconds, after warm-up.
    """
    times: dict[str, dict[str, float]] = {name: {} for name in models}
    for kind, prepare in (("train", _training_step), ("predict", _prediction_step)):
        steps = {name: prepare(model, images, labels) for name, model in models.items()}
        taken: dict[str, list[float]] = {name: [] for name in models}
        deadline = time.perf_counter() + _SECONDS
        for step in range(_WARM_UP + _STEPS):
            if step >= _WARM_UP + _MIN_STEPS and time.perf_counter() > deadline:
                break
            for name, run in steps.items():
                start = time.perf_counter()
                keras.tree.map_structure(keras.ops.convert_to_numpy, run())  # waits for the device
                if step >= _WARM_UP:
                    taken[name].append(1e3 * (time.perf_counter() - start))
        for name in models:
            times[name][kind] = statistics.median(taken[name])
    return times


def _training_step(model: Any, images: tf.Tensor, labels: tf.Tensor) -> Callable[[], Any]:
    iterator = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    model.make_train_function()
    return functools.partial(model.train_function, iterator)


def _prediction_step(model: keras.Model, images: tf.Tensor, labels: tf.Tensor) -> Callable[[], Any]:
    del labels
    predict = tf.function(functools.partial(model, training=False), jit_compile=model.jit_compile)
    return functools.partial(predict, images)
