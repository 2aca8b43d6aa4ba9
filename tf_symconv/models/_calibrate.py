"""Layer-sequential unit variance: scale every kernel so that its layer's outputs vary as they should on real data."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, final

import keras
import numpy as np
import tensorflow as tf
from absl import logging


@final
@dataclasses.dataclass(frozen=True)
class CalibratedLayer:
    """What :func:`calibrate` did to one layer.

    Attributes:
        name: The path of the layer in the model.
        before: The variance of its outputs, before the activation, in the model as it was.
        after: The same in the calibrated model.
        factor: What its kernel was multiplied by.
        steps: How often it was rescaled.
        note: Why the layer was left as it is, or off the target; empty otherwise.
    """

    name: str
    before: float
    after: float
    factor: float
    steps: int
    note: str = ""


@final
@dataclasses.dataclass(frozen=True)
class Calibration:
    """The report of :func:`calibrate`; its text is a table.

    Attributes:
        layers: One entry for each layer with a kernel, in the order in which the model calls them.
        variance: The target.
    """

    layers: tuple[CalibratedLayer, ...]
    variance: float

    @property
    def converged(self) -> bool:
        """Whether every layer met the target."""
        return not any(layer.note for layer in self.layers)

    def __str__(self) -> str:
        width = max([len(layer.name) for layer in self.layers], default=5)
        rows = [f"{'layer':<{width}}  {'before':>10}  {'after':>10}  {'factor':>10}"]
        rows += [
            f"{layer.name:<{width}}  {layer.before:10.4g}  {layer.after:10.4g}  {layer.factor:10.4g}  {layer.note}"
            for layer in self.layers
        ]
        return "\n".join(row.rstrip() for row in rows)


def calibrate(
    model: keras.layers.Layer,
    batch: Any,
    *,
    variance: float = 1.0,
    tolerance: float = 0.05,
    max_steps: int = 10,
    layers: Iterable[keras.layers.Layer] | None = None,
    progress: Callable[[int, int, CalibratedLayer], None] | None = None,
) -> Calibration:
    """Scale the kernels of a model so that the outputs of every layer have unit variance on a batch of data.

    Layers are visited in the order in which the model calls them. The kernel of each is multiplied by
    ``sqrt(variance / variance of its outputs)``, until the outputs, taken before the activation over the whole batch,
    meet the target; only then the next layer sees them. A structured kernel keeps its structure, since its free weights
    are scaled. Biases stay as they are.

    The model runs as in inference: dropout is off and a batch normalisation uses its moving statistics. Layers without
    a kernel, recurrent cells and frozen layers are left alone. A layer that is called more than once is calibrated at
    its first call. If anything fails, the weights are as they were.

    Args:
        model: Any Keras model or layer: functional, sequential, subclassed, nested. It is built if need be.
        batch: Inputs as the model takes them: an array, or a structure of arrays. Some tens of examples are enough.
            With normal noise in place of data, the model is calibrated without data.
        variance: The target.
        tolerance: The relative error at which a layer counts as calibrated.
        max_steps: How often a layer is rescaled at most. Without biases one step is exact.
        layers: The layers to calibrate, all by default.
        progress: Called after each layer with the number of layers done, their total and what was done. The same goes
            to the log at level INFO.

    Returns:
        What was done. A layer that missed the target has a note, and a warning is logged.

    Raises:
        TypeError: If ``model`` is no Keras layer.
        ValueError: If a number is out of its range, if the batch or the outputs of a layer are not finite, if there is
            no layer to calibrate, or if the model runs as a ``tf.function`` only.

    Reference:
        Mishkin and Matas, "All you need is a good init" (ICLR 2016), arXiv:1511.06422, algorithm 1, without its
        orthonormal start.

    Example:
        >>> import keras, numpy as np
        >>> from tf_symconv.layers import SymmetricConv2D
        >>> model = keras.Sequential([SymmetricConv2D(8, 3, activation="relu") for _ in range(3)])
        >>> report = calibrate(model, np.random.default_rng(0).normal(size=(8, 12, 12, 1)))
        >>> report.converged, [abs(layer.after - 1) < 0.05 for layer in report.layers]
        (True, [True, True, True])
    """
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"model must be a Keras model or layer. Received: {type(model).__name__}")
    for name, number, good in (
        ("variance", variance, 0 < variance < math.inf),
        ("tolerance", tolerance, 0 < tolerance < 1),
        ("max_steps", max_steps, max_steps >= 1),
    ):
        if not good:
            rule = {"variance": "positive and finite", "tolerance": "between 0 and 1", "max_steps": "at least 1"}[name]
            raise ValueError(f"{name} must be {rule}. Received: {name}={number!r}")
    for array in keras.tree.flatten(batch):
        if not np.size(array) or not np.all(np.isfinite(array)):
            raise ValueError(f"batch must hold finite numbers, and at least one. Received: shape {np.shape(array)}")
    if not all(layer.built for layer in _flatten(model)):
        model(batch, training=False)
    found = list({id(layer): layer for layer in _flatten(model) if layer.trainable and _kernels(layer)}.values())
    if layers is not None:
        chosen = list(layers)
        strange = [layer.name for layer in chosen if not any(layer is one for one in found)]
        if strange:
            raise ValueError(f"layers must be trainable layers of the model, with a kernel. Received: {strange}")
        found = [layer for layer in found if any(layer is one for one in chosen)]
    if not found:
        raise ValueError(f"There must be a trainable layer with a kernel to calibrate. Received: model {model.name!r}")
    return _Run(model, batch, found, variance, tolerance, max_steps, progress).report()


class _Run:
    """One calibration: the weights that it started from, and what it has done so far."""

    def __init__(
        self,
        model: keras.layers.Layer,
        batch: Any,
        layers: list[keras.layers.Layer],
        variance: float,
        tolerance: float,
        max_steps: int,
        progress: Callable[[int, int, CalibratedLayer], None] | None,
    ) -> None:
        self._model, self._batch, self._layers = model, batch, layers
        self._variance, self._tolerance, self._max_steps = variance, tolerance, max_steps
        self._progress = progress
        # Reading a variable inside a call may cast it to the compute type, so kernels are read once, here.
        self._start = {id(layer): [np.array(kernel.numpy()) for kernel in _kernels(layer)] for layer in layers}
        self._before: dict[int, float] = {}
        self._done: dict[int, CalibratedLayer] = {}
        self._error: ValueError | None = None

    def report(self) -> Calibration:
        try:
            with _watched(self._layers, self._measure):
                self._model(self._batch, training=False)
            with _watched(self._layers, self._calibrate):
                self._model(self._batch, training=False)
        except BaseException:
            for layer in self._layers:
                self._scale(layer, 1.0)
            if self._error is not None:
                # As it was raised: on its way through the layers Keras has wrapped it.
                raise self._error from None
            raise
        if not self._done:
            raise ValueError(
                "A model is calibrated while it runs eagerly, and no layer with a kernel was called so; is its call a "
                f"tf.function? Received: model {self._model.name!r}"
            )
        for layer in self._layers:
            if id(layer) not in self._done:
                self._finish(layer, math.nan, 1.0, 0, "not called eagerly on this batch")
        return Calibration(tuple(self._done.values()), self._variance)

    def _scale(self, layer: keras.layers.Layer, factor: float) -> None:
        """Set the kernels of a layer to ``factor`` times those it had in the beginning."""
        kernels = _kernels(layer)
        for kernel, start in zip(kernels, self._start[id(layer)], strict=True):
            kernel.assign(start * factor ** (1.0 / len(kernels)))

    def _measure(self, layer: keras.layers.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if id(layer) not in self._before and tf.executing_eagerly():
            with _without_activation(layer):
                self._before[id(layer)] = _variance(call(*args, **kwargs))
        return call(*args, **kwargs)

    def _calibrate(self, layer: keras.layers.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if id(layer) not in self._done and tf.executing_eagerly():
            with _without_activation(layer):
                self._adjust(layer, functools.partial(call, *args, **kwargs))
        return call(*args, **kwargs)

    def _adjust(self, layer: keras.layers.Layer, call: Callable[[], Any]) -> None:
        factor, steps = 1.0, 0
        while True:
            found = _variance(call())
            if not math.isfinite(found):
                self._error = ValueError(
                    f"The outputs of a layer must be finite to be calibrated. Received: variance {found} at "
                    f"{_name(layer)!r}, compute dtype {layer.compute_dtype}"
                )
                raise self._error
            if abs(found / self._variance - 1.0) <= self._tolerance:
                return self._finish(layer, found, factor, steps, "")
            if found == 0.0 or steps == self._max_steps:
                note = f"off the target after {steps} steps" if found else "its outputs do not vary"
                return self._finish(layer, found, factor, steps, note)
            factor *= math.sqrt(self._variance / found)
            steps += 1
            self._scale(layer, factor)

    def _finish(self, layer: keras.layers.Layer, after: float, factor: float, steps: int, note: str) -> None:
        done = CalibratedLayer(_name(layer), self._before.get(id(layer), math.nan), after, factor, steps, note)
        self._done[id(layer)] = done
        logging.log(
            logging.WARNING if note else logging.INFO,
            "calibrate %d/%d %s: variance %.4g -> %.4g %s",
            *(len(self._done), len(self._layers), done.name, done.before, done.after, done.note),
        )
        if self._progress is not None:
            self._progress(len(self._done), len(self._layers), done)


def _name(layer: keras.layers.Layer) -> str:
    return getattr(layer, "path", None) or layer.name


def _flatten(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return a layer and all layers in it."""
    return list(model._flatten_layers())


def _kernels(layer: Any) -> list[keras.Variable]:
    """Return the kernels that a layer owns itself; the cells of recurrent layers have none here."""
    own = {variable.name: variable for variable in layer._trainable_variables}
    if "recurrent_kernel" in own:
        return []
    return [variable for name, variable in own.items() if name.endswith("kernel")]


def _variance(outputs: Any) -> float:
    """Return the variance over all entries of a layer's outputs."""
    wide = [tf.cast(each, tf.float64) for each in keras.tree.flatten(outputs)]
    return float(np.mean([tf.math.reduce_variance(each) for each in wide]))


@contextlib.contextmanager
def _watched(layers: list[Any], handler: Callable[..., Any]) -> Iterator[None]:
    """Have ``handler(layer, call, ...)`` stand in for the ``call(...)`` of each layer."""
    for layer in layers:
        # Into the instance's dict: a layer tracks what is set as an attribute.
        layer.__dict__["call"] = functools.partial(handler, layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["call"]


@contextlib.contextmanager
def _without_activation(layer: Any) -> Iterator[None]:
    """Have a layer return what it would hand to its activation."""
    if layer.__dict__.get("activation") is None:
        yield
        return
    activation = layer.__dict__["activation"]
    layer.__dict__["activation"] = keras.activations.linear
    try:
        yield
    finally:
        layer.__dict__["activation"] = activation
