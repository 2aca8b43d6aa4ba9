"""Training that can be killed at any moment and resumed to the same end."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tf_symconv.datasets import ImageData

History = list[dict[str, float]]
Report = Callable[[History, float], None]


class TrainingError(Exception):
    """Why training cannot go on, in one line."""


class _Progress(tf.train.experimental.PythonState):
    """The figures of the epochs so far, kept in the checkpoint with the weights that belong to them."""

    def __init__(self) -> None:
        self.history: History = []

    def serialize(self) -> str:
        return json.dumps(self.history)

    def deserialize(self, string_value: Any) -> None:
        self.history = json.loads(string_value)


def fit(
    model: Any, data: ImageData, epochs: int, checkpoints: Path, logs: Path, report: Report | None = None
) -> History:
    """Train a compiled model from its last checkpoint, or from the start, to the end.

    A checkpoint is written after each epoch. It holds the weights, the state of the optimizer and of the random seeds,
    and the figures so far; it counts from the moment it is whole. The order of the images depends on the epoch alone,
    so a training that was stopped ends with the same bits as one that was not, provided that ops are deterministic
    (``tf.config.experimental.enable_op_determinism``).

    Args:
        model: a ``keras.Model``, compiled; its optimizer must be built too.
        data: what to train on.
        epochs: passes over the training images in all.
        checkpoints: directory of the checkpoints.
        logs: directory of the TensorBoard logs, in the layout of ``keras.callbacks.TensorBoard``.
        report: called with the figures so far and the number of epochs done, with the part of the one that runs: at
            the start, after each step and after each epoch.

    Returns:
        One dict per epoch: loss, accuracy, val_loss, val_accuracy, learning_rate.

    Raises:
        TrainingError: if the loss is not finite, TensorFlow stops (no memory, no space on the disk), or the checkpoint
            is damaged or of another model.
    """
    progress = _Progress()
    manager = _restore(model, progress, checkpoints)
    report = report or (lambda history, done: None)
    report(progress.history, float(len(progress.history)))
    if len(progress.history) >= epochs:
        return progress.history
    writers = {part: tf.summary.create_file_writer(str(logs / part)) for part in ("train", "validation")}
    for epoch in range(len(progress.history), epochs):
        try:
            figures = _epoch(model, data, epoch, lambda part, e=epoch: report(progress.history, e + part))
            _log(writers, epoch, figures)
            progress.history = [*progress.history, figures]
            manager.save(checkpoint_number=epoch + 1)
        except tf.errors.OpError as error:
            raise TrainingError(f"TensorFlow stopped in epoch {epoch + 1}: {_first_line(error)}") from error
        report(progress.history, float(epoch + 1))
    return progress.history


def _epoch(model: Any, data: ImageData, epoch: int, report: Callable[[float], None]) -> dict[str, float]:
    """Train for one epoch and return its figures."""
    steps = data.steps_per_epoch
    after_step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: report((step + 1) / steps))
    logged = model.fit(
        data.train(epoch),
        validation_data=data.validation(),
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,  # the pipeline has shuffled
        callbacks=[after_step],
        verbose=0,
    ).history
    figures = {name: float(values[0]) for name, values in logged.items()}
    figures["learning_rate"] = float(model.optimizer.learning_rate)
    if not all(map(math.isfinite, figures.values())):
        raise TrainingError(f"training diverges: the loss is not finite in epoch {epoch + 1}; lower --learning_rate")
    return figures


def _restore(model: Any, progress: _Progress, directory: Path) -> tf.train.CheckpointManager:
    variables = [variable.value for variable in (*model.variables, *model.optimizer.variables)]
    checkpoint = tf.train.Checkpoint(variables=variables, progress=progress)
    manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=1)
    if manager.latest_checkpoint is None:
        return manager
    try:
        status = checkpoint.restore(manager.latest_checkpoint)
        status.assert_existing_objects_matched()
        status.assert_consumed()
    except (tf.errors.OpError, AssertionError, LookupError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the checkpoint in {directory} cannot be used ({_first_line(error)}); delete that directory to train anew"
        ) from error
    for path in directory.iterdir():  # what a killed process left half written, or did not come to delete
        if path.name != "checkpoint" and not path.name.startswith(f"{Path(manager.latest_checkpoint).name}."):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return manager


def _log(writers: dict[str, tf.summary.SummaryWriter], epoch: int, figures: dict[str, float]) -> None:
    for name, value in figures.items():
        part = "validation" if name.startswith("val_") else "train"
        with writers[part].as_default():
            tf.summary.scalar(f"epoch_{name.removeprefix('val_')}", value, step=epoch)
    for writer in writers.values():
        writer.flush()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
