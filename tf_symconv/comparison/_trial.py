"""One network, trained once from weights that depend on the seed only."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_symconv.comparison._networks import Network, Plan
from tf_symconv.comparison._settings import ComparisonSettings

_STEPS_PER_CALL = 50
_TEST_BATCH = 512

Batches = Callable[[int], tuple[np.ndarray, np.ndarray]]


class ComparisonError(Exception):
    """Why a comparison cannot go on, in one line."""


class Learner:
    """A network that learns anew as often as it is asked to; its graphs are made once.

    Args:
        plan: what all networks have in common.
        network: the one to build.
        settings: of the training.
    """

    def __init__(self, plan: Plan, network: Network, settings: ComparisonSettings) -> None:
        self._plan = plan
        self._network = network
        self._steps = settings.steps
        self._model: Any = plan.build(network.method, network.orbits)
        schedule: Any = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)
        self._optimizer = keras.optimizers.Adam(schedule)
        self._optimizer.build(self._model.trainable_variables)
        self._train = tf.function(self._train_steps, reduce_retracing=True)
        self._predict: Any = tf.function(self._model, reduce_retracing=True)

    def learn(self, seed: int, batches: Batches, on_step: Callable[[float], None]) -> dict[str, float]:
        """Train from fresh weights.

        Args:
            seed: of the first weights.
            batches: takes a number of steps and returns images of shape (steps, batch, height, width, channels) and
                labels of shape (steps, batch) for as many.
            on_step: called with the share of the training that is done.

        Returns:
            "training_loss": the mean of the last steps; "seconds".

        Raises:
            ComparisonError: if the loss is not finite.
        """
        start = time.perf_counter()
        keras.utils.set_random_seed(seed)
        self._model.set_weights(self._plan.build(self._network.method, self._network.orbits).get_weights())
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        loss = math.nan
        for done in range(0, self._steps, _STEPS_PER_CALL):
            steps = min(_STEPS_PER_CALL, self._steps - done)
            images, labels = batches(steps)
            loss = float(self._train(tf.constant(images), tf.constant(labels)))
            if not math.isfinite(loss):
                raise ComparisonError(
                    f"training of {self._network.method} diverges: the loss is not finite; lower --learning_rate"
                )
            on_step((done + steps) / self._steps)
        return {"training_loss": loss, "seconds": time.perf_counter() - start}

    def _train_steps(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        variables = self._model.trainable_variables
        total = tf.constant(0.0)
        for step in tf.range(tf.shape(labels)[0]):
            with tf.GradientTape() as tape:
                scores = self._model(images[step], training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels[step], scores)
                loss = tf.reduce_mean(losses)
            self._optimizer.apply(tape.gradient(loss, variables), variables)
            total += loss
        return total / tf.cast(tf.shape(labels)[0], tf.float32)

    def test(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Return "accuracy" and "loss" of the network as it is."""
        parts = [
            self._predict(tf.constant(images[start : start + _TEST_BATCH]), training=False)
            for start in range(0, len(images), _TEST_BATCH)
        ]
        scores = np.concatenate([np.asarray(part) for part in parts])
        losses: Any = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
        return {
            "accuracy": float(np.mean(scores.argmax(axis=1) == labels)),
            "loss": float(tf.reduce_mean(losses)),
        }


def endless_order(rng: np.random.Generator, count: int) -> Iterator[int]:
    """Yield the numbers below ``count`` in random order, again and again."""
    while True:
        yield from rng.permutation(count)
