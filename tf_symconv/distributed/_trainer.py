"""The training loop that each worker runs."""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_symconv.distributed._batches import Data, check_dataset, distributed, next_batch, steps_of
from tf_symconv.distributed._cluster import make_strategy, place_of
from tf_symconv.distributed._errors import DistributedTrainingError, WorkerLostError, first_line
from tf_symconv.distributed._state import Checkpoints, Progress, tell
from tf_symconv.distributed._step import Loss, check_loss, check_metrics, make_call, make_optimizer, make_steps

History = list[dict[str, float]]
Report = Callable[[History, float], None]

_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class Trainer:
    """Train a model on all devices of all workers, each of which runs the same script.

    Every batch is divided among the replicas, in equal parts, and the gradient is that of the whole batch: what the
    number of workers changes is rounding. (Layers that look at a batch as a whole, batch normalisation, see the part
    of their replica.) Every call of a method is one that all workers make, in the same order.

    Args:
        make_model: returns a new Keras model, or a ``tf.Module`` that is called with a batch of inputs. Its first
            weights are those of the chief.
        optimizer: the name of a Keras optimizer, or one, of which the configuration is taken. Clipping applies to the
            gradient of the whole batch.
        loss: the name of a Keras loss, or a function of labels and outputs; the mean of what it returns is the loss.
        metrics: functions of labels and outputs whose means are wanted, by name.
        directory: where the chief keeps checkpoints, from which a training goes on; other workers do not touch it, and
            may have another file system. None keeps none.
        strategy: by default that of :func:`make_strategy`.

    Raises:
        ValueError: a loss, metric or optimizer that cannot be distributed; what :func:`make_strategy` refuses.
        TypeError: a strategy of another kind.

    Example:
        >>> import keras, tensorflow as tf
        >>> from tf_symconv.distributed import Trainer
        >>> from tf_symconv.modules import SymmetricConv2D
        >>> images = tf.data.Dataset.from_tensors((tf.ones((4, 8, 8, 1)), tf.ones((4, 6, 6, 2))))
        >>> trainer = Trainer(lambda: SymmetricConv2D(2, 3, symmetry="d4"), "adam", "mean_squared_error")
        >>> history = trainer.fit(lambda epoch: images, epochs=2)
        >>> len(history), history[1]["loss"] < history[0]["loss"], trainer.trained_model().kernel.shape.as_list()
        (2, True, [3, 3, 1, 2])
    """

    def __init__(
        self,
        make_model: Callable[[], Any],
        optimizer: Any = "adam",
        loss: Loss = "sparse_categorical_crossentropy",
        *,
        metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
        directory: str | os.PathLike[str] | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        if not callable(make_model) or isinstance(make_model, keras.Layer | tf.Module):
            raise TypeError(f"make_model must be a function that returns a new model. Received: {make_model!r}")
        self._loss = check_loss(loss)
        self._metrics = check_metrics(metrics)
        self._make_model = make_model
        self._directory = None if directory is None else Path(directory)
        self.strategy = make_strategy() if strategy is None else strategy
        if isinstance(self.strategy, tf.distribute.experimental.ParameterServerStrategy):
            raise TypeError(f"strategy must be one that mirrors variables. Received: {self.strategy!r}")
        self.worker, self.workers = place_of(self.strategy)
        with self.strategy.scope():
            self._optimizer, self._clipping = make_optimizer(optimizer)
        self._model: Any = None
        self._example: Any = None
        self._common: list[tf.Tensor] = []

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes files and tells progress."""
        return self.worker == 0

    def fit(
        self,
        data: Data,
        epochs: int,
        *,
        steps_per_epoch: int | None = None,
        validation: tf.data.Dataset | None = None,
        per_worker: bool = False,
        checkpoint_steps: int | None = None,
        on_progress: Report | None = None,
    ) -> History:
        """Train from the last checkpoint, or from the start, to the end.

        A checkpoint is written after each epoch. It holds the weights, the state of the optimizer and the figures.

        Args:
            data: returns the batches of an epoch (0, 1, ...), pairs of inputs and labels. All workers must see the
                same batches: seed what shuffles, with the epoch. Every batch must divide by the number of replicas.
            epochs: passes over the data in all.
            steps_per_epoch: batches of an epoch; None takes as many as the data set says it has.
            validation: batches to evaluate after each epoch.
            per_worker: whether ``data`` and ``validation`` yield only this worker's part of each batch (of worker
                ``trainer.worker`` of ``trainer.workers``), so that no worker reads what others train on.
            checkpoint_steps: write checkpoints within an epoch too, after so many steps each.
            on_progress: called on the chief alone with the figures so far and the number of epochs done, with the part
                of the one that runs: at the start, after each step and after each epoch.

        Returns:
            One dict per epoch: loss, metrics, and these again with ``val_`` if there is validation.

        Raises:
            WorkerLostError: if another worker has gone.
            DistributedTrainingError: if the loss is not finite, the data end too soon, or the checkpoint cannot be
                used.
            ValueError: if a number is not positive, or a batch does not divide.
            TypeError: if the data are no pairs of batches.
        """
        numbers = {"epochs": epochs, "steps_per_epoch": steps_per_epoch, "checkpoint_steps": checkpoint_steps}
        for name, number in numbers.items():
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
                raise ValueError(f"{name} must be an integer above 0. Received: {name}={number!r}")
        parts = self.strategy.num_replicas_in_sync // (self.workers if per_worker else 1)
        dataset = data(0)
        check_dataset(dataset, parts)
        if validation is not None:
            check_dataset(validation, parts)
            steps_of(validation, None)
        report = on_progress if on_progress is not None and self.is_chief else (lambda history, done: None)
        with self._in_words(), self._checkpoints() as checkpoints:
            self._build(dataset)
            progress = self._resume(checkpoints)
            train, test = make_steps(
                self.strategy, self._model, self._optimizer, self._clipping, self._loss, self._metrics
            )
            report(progress.history, float(len(progress.history)))
            for epoch in range(len(progress.history), epochs):
                dataset = dataset if epoch == 0 else data(epoch)
                check_dataset(dataset, parts)
                steps = steps_of(dataset, steps_per_epoch)
                batches = distributed(self.strategy, dataset, per_worker, progress.step)
                totals = tf.constant(progress.totals or [0.0] * (1 + len(self._metrics)), tf.float32)
                for step in range(progress.step, steps):
                    totals += train(next_batch(batches, f"step {step + 1} of {steps} in epoch {epoch + 1}"))
                    report(progress.history, epoch + (step + 1) / steps)
                    if checkpoint_steps and (step + 1) % checkpoint_steps == 0 and step + 1 < steps:
                        self._named(totals, step + 1, epoch)
                        self._save(checkpoints, Progress(progress.history, step + 1, totals.numpy().tolist()))
                figures = self._named(totals, steps, epoch)
                self._merge()
                if validation is not None:
                    held_out = self._mean(test, validation, per_worker)
                    figures |= {f"val_{name}": value for name, value in held_out.items()}
                progress = Progress([*progress.history, figures])
                self._save(checkpoints, progress)
                report(progress.history, float(epoch + 1))
        return progress.history

    def evaluate(self, dataset: tf.data.Dataset, *, per_worker: bool = False) -> dict[str, float]:
        """Return the means of the loss and the metrics over the batches of a data set.

        Args:
            dataset: as ``validation`` of :meth:`fit`.
            per_worker: as there.

        Raises:
            ValueError: if a batch does not divide, or the length of the data set is not known.
            WorkerLostError: if another worker has gone.
        """
        self._check_built("evaluate")
        check_dataset(dataset, self.strategy.num_replicas_in_sync // (self.workers if per_worker else 1))
        steps_of(dataset, None)
        _, test = make_steps(self.strategy, self._model, self._optimizer, self._clipping, self._loss, self._metrics)
        with self._in_words():
            return self._mean(test, dataset, per_worker)

    def trained_model(self) -> Any:
        """Return a new model with the weights so far, which no longer belongs to a strategy.

        Raises:
            RuntimeError: before :meth:`fit`.
        """
        self._check_built("trained_model")
        with self._in_words():
            values = self._read(self._model.variables)
        model = self._make_model()
        make_call(model)(self._example, False)
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)
        return model

    def export(self, base_dir: str | os.PathLike[str], **options: Any) -> Path | None:
        """Export the trained model for TensorFlow Serving, by ``tf_symconv.serving.export``, on the chief.

        Args:
            base_dir: the directory that the server watches.
            **options: what ``serving.export`` takes.

        Returns:
            The path of the version; None on the other workers.

        Raises:
            RuntimeError: before :meth:`fit`.
            ExportError, ValueError, TypeError: as ``serving.export``.
        """
        model = self.trained_model()
        if not self.is_chief:
            return None
        from tf_symconv import serving

        return serving.export(model, Path(base_dir), **options)

    def _check_built(self, what: str) -> None:
        if self._model is None:
            raise RuntimeError(f"{what} needs a model, which fit makes: call fit first")

    def _build(self, dataset: tf.data.Dataset) -> None:
        if self._model is not None:
            return
        pair: Any = dataset.element_spec
        spec = pair[0]
        if any(None in leaf.shape[1:] or leaf.shape.rank is None for leaf in tf.nest.flatten(spec)):
            batch: Any = next(iter(dataset))
            self._example = tf.nest.map_structure(lambda values: values[:1], batch[0])
        else:
            self._example = tf.nest.map_structure(lambda leaf: tf.zeros([1, *leaf.shape[1:]], leaf.dtype), spec)
        with self.strategy.scope():
            model = self._make_model()
            make_call(model)(self._example, False)
            if not model.trainable_variables:
                raise ValueError(f"the model must have weights to train. Received: {model!r}")
            self._optimizer.build(model.trainable_variables)
        self._model = model
        self._note_common()

    @contextlib.contextmanager
    def _checkpoints(self) -> Iterator[Checkpoints | None]:
        """Give the chief's directory; what is wrong with it is told to all."""
        checkpoints, problem = None, ""
        if self._directory is not None and self.is_chief:
            try:
                checkpoints = Checkpoints(self._directory)
            except DistributedTrainingError as error:
                problem = str(error)
        try:
            self._agree(problem)
            yield checkpoints
        finally:
            if checkpoints is not None:
                checkpoints.close()

    def _agree(self, problem: str) -> None:
        problem = tell(self.strategy, self.workers, self.is_chief, problem.encode()).decode()
        if problem:
            raise DistributedTrainingError(problem)

    def _statistics(self) -> list[Any]:
        """List the variables that replicas may have changed by what they saw themselves, such as moving averages."""
        return [v for v in self._model.non_trainable_variables if tf.as_dtype(v.dtype).is_floating]

    def _note_common(self) -> None:
        with self.strategy.scope():
            self._common = [tf.convert_to_tensor(variable) for variable in self._statistics()]

    def _merge(self) -> None:
        """Give all replicas the mean of their statistics; what none has changed stays as it is, to the bit."""
        changed = self._statistics()
        if self.strategy.num_replicas_in_sync == 1 or not changed:
            return

        @tf.function
        def mean_changes() -> list[tf.Tensor]:
            def changes() -> list[tf.Tensor]:
                return [tf.convert_to_tensor(v) - common for v, common in zip(changed, self._common, strict=True)]

            means: Any = self.strategy.reduce(tf.distribute.ReduceOp.MEAN, self.strategy.run(changes), axis=None)
            return means

        with self.strategy.scope():
            for variable, common, change in zip(changed, self._common, mean_changes(), strict=True):
                variable.assign(common + change)
        self._note_common()

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._optimizer.variables]

    def _read(self, variables: list[Any]) -> list[np.ndarray]:
        """Return values; those that each replica holds its own of are put together, by all workers."""
        with self.strategy.scope():
            return [tf.convert_to_tensor(variable).numpy() for variable in variables]

    def _resume(self, checkpoints: Checkpoints | None) -> Progress:
        """Take over the last state; only the chief can read it."""
        if self._directory is None:
            return Progress()
        variables = self._variables()
        values = self._read(variables)
        stored, problem = None, ""
        if checkpoints is not None:
            try:
                stored = checkpoints.load(values)
            except DistributedTrainingError as error:
                problem = str(error)
        self._agree(problem)
        progress = json.loads(self._tell(json.dumps(None if stored is None else vars(stored[0])).encode()))
        if progress is None:
            return Progress()
        if stored is not None:
            values = stored[1]
        content = self._tell(b"".join(value.tobytes() for value in values) if self.is_chief else b"")
        position = 0
        with self.strategy.scope():
            for variable, like in zip(variables, values, strict=True):
                value = np.frombuffer(content, like.dtype, like.size, position).reshape(like.shape)
                variable.assign(value)
                position += like.nbytes
        self._note_common()
        return Progress(**progress)

    def _tell(self, content: bytes) -> bytes:
        return tell(self.strategy, self.workers, self.is_chief, content)

    def _save(self, checkpoints: Checkpoints | None, progress: Progress) -> None:
        if self._directory is None:
            return
        self._merge()
        values = self._read(self._variables())
        if checkpoints is not None:
            checkpoints.save(progress, values)

    def _mean(self, test: Callable[[Any], tf.Tensor], dataset: tf.data.Dataset, per_worker: bool) -> dict[str, float]:
        steps = steps_of(dataset, None)
        batches = distributed(self.strategy, dataset, per_worker, 0)
        totals = tf.add_n([test(next_batch(batches, f"step {step + 1} of {steps}")) for step in range(steps)])
        return dict(zip(("loss", *self._metrics), (totals / steps).numpy().tolist(), strict=True))

    def _named(self, totals: tf.Tensor, steps: int, epoch: int) -> dict[str, float]:
        figures = dict(zip(("loss", *self._metrics), (totals / steps).numpy().tolist(), strict=True))
        if not all(map(math.isfinite, figures.values())):
            raise DistributedTrainingError(
                f"training diverges: the loss is not finite in epoch {epoch + 1}; lower the learning rate"
            )
        return figures

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except _LOST as error:
            if self.workers == 1:
                raise
            raise WorkerLostError(
                "another worker has gone; start all workers again, and training goes on from the last checkpoint "
                f"({first_line(error)})"
            ) from error
