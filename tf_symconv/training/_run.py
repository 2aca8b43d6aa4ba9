"""A run from the data to the report, each stage done once."""

import functools
import importlib.metadata
import os
import platform
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import serving
from tf_symconv.datasets import ImageData, load
from tf_symconv.training import _plots, _report
from tf_symconv.training._directory import RunDirectory
from tf_symconv.training._model import build, weights
from tf_symconv.training._settings import ROLES, SYMMETRIC, Settings
from tf_symconv.training._timing import step_times
from tf_symconv.training._trainer import History, fit

_EXAMPLES = 16

Listener = Callable[[str, History, float], None]


def train(
    directory: RunDirectory,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_progress: Listener | None = None,
) -> dict[str, Any]:
    """Train both models of a run, export and verify the symmetric one, and write the report.

    What the directory already holds is used; in a finished run nothing is done again. TensorFlow is made
    deterministic for the rest of the process.

    Args:
        directory: the run.
        data_dir: where prepared data sets lie; None for the default of TensorFlow Datasets.
        on_stage: called with a few words before each stage.
        on_progress: called with "symmetric" or "plain", the figures so far and the number of epochs done, often.

    Returns:
        The figures, as in ``metrics.json``.

    Raises:
        ValueError: if settings do not fit together, or the data set is unknown or unsuitable.
        OSError: if the data set cannot be had, or a file cannot be written.
        TrainingError: if training cannot go on.
    """
    if directory.finished:
        return directory.read_metrics()
    stage = on_stage or (lambda _: None)
    settings = directory.settings
    for role in ROLES:
        build(settings, role, (8, 8, 1), 2, 1)  # settings that do not fit are told before the data are sought
    stage("Preparing the data")
    data = load(
        settings.dataset,
        data_dir=data_dir,
        batch_size=settings.batch_size,
        seed=settings.seed,
        image_size=settings.image_size,
    )
    directory.begin()
    _make_deterministic(settings)
    directory.report.unlink(missing_ok=True)  # until the last stage has ended again
    metrics = directory.read_metrics() if directory.metrics.exists() else None
    models: dict[str, keras.Model] = {}
    histories: dict[str, History] = {}
    for role in ROLES:
        if metrics is not None and directory.model(role).exists():
            loaded: Any = keras.models.load_model(directory.model(role))
            models[role] = loaded
            histories[role] = metrics["models"][role]["history"]
            continue
        stage(f"Training the {role} model")
        models[role], histories[role] = _trained(directory, role, data, on_progress)
        with directory.writing(directory.model(role)) as temporary:
            models[role].save(temporary)
    if not directory.export.exists():
        stage("Exporting")
        serving.write_version(models[SYMMETRIC], directory.export, _images(data.test())[:_EXAMPLES])
    if metrics is None:
        stage("Measuring")
        metrics = _measure(directory, data, models, histories)
    stage("Verifying the export")
    metrics["verification"] = _verify(directory)
    directory.write_json(directory.metrics.name, metrics)
    stage("Drawing the report")
    _write_report(directory, data, models, metrics)
    return metrics


def _make_deterministic(settings: Settings) -> None:
    if settings.jit_compile:  # Keras compiles nothing once ops are deterministic; XLA has a switch of its own
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    else:
        tf.config.experimental.enable_op_determinism()


def _trained(
    directory: RunDirectory, role: str, data: ImageData, on_progress: Listener | None
) -> tuple[keras.Model, History]:
    model = _fresh(directory, role, data)
    history = fit(
        model,
        data,
        directory.settings.epochs,
        directory.checkpoints(role),
        directory.logs(role),
        None if on_progress is None else functools.partial(on_progress, role),
    )
    return model, history


def _fresh(directory: RunDirectory, role: str, data: ImageData) -> keras.Model:
    steps = directory.settings.epochs * data.steps_per_epoch
    return build(directory.settings, role, data.image_shape, len(data.class_names), steps)


def _images(dataset: tf.data.Dataset) -> np.ndarray:
    return next(dataset.as_numpy_iterator())[0]


def _measure(
    directory: RunDirectory, data: ImageData, models: dict[str, keras.Model], histories: dict[str, History]
) -> dict[str, Any]:
    images, labels = next(iter(data.train(0)))
    times = step_times({role: _fresh(directory, role, data) for role in ROLES}, images, labels)
    devices = tf.config.list_physical_devices("GPU")
    return {
        "settings": directory.settings.to_dict(),
        "data": {
            "name": data.name,
            "image_shape": list(data.image_shape),
            "class_names": list(data.class_names),
            "sizes": dict(data.sizes),
        },
        "models": {
            role: {
                "test": _evaluate(model, data),
                "weights": weights(model),
                "history": histories[role],
            }
            for role, model in models.items()
        },
        "timing": {
            "milliseconds": times,
            "batch_size": len(labels),
            "device": f"{len(devices)} GPU" if devices else f"CPU, {os.cpu_count()} cores",
        },
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("tf_symconv", "tensorflow", "keras", "numpy")},
        },
    }


def _evaluate(model: Any, data: ImageData) -> dict[str, float]:
    figures = model.evaluate(data.test(), verbose=0, return_dict=True)
    return {name: float(value) for name, value in figures.items()}


def _verify(directory: RunDirectory) -> dict[str, Any]:
    try:
        report = serving.verify(directory.export)
    except serving.SavedModelError as error:
        report = serving.Report(str(directory.export), "", (), faults=(str(error),))
    return {**report.to_dict(), "version_dir": str(directory.export.relative_to(directory.path))}


def _write_report(
    directory: RunDirectory, data: ImageData, models: dict[str, keras.Model], metrics: dict[str, Any]
) -> None:
    if not directory.curves.exists():
        histories = {role: metrics["models"][role]["history"] for role in ROLES}
        with directory.writing(directory.curves) as temporary:
            _plots.curves(histories).savefig(temporary)
    for role, model in models.items():
        if not directory.kernels(role).exists():
            figure = _plots.kernels(_fresh(directory, role, data), model)
            with directory.writing(directory.kernels(role)) as temporary:
                figure.savefig(temporary)
    pictures = {"curves": directory.curves, **{f"kernels_{role}": directory.kernels(role) for role in ROLES}}
    with directory.writing(directory.report) as temporary:
        temporary.write_text(_report.render(metrics, pictures), "utf-8")
