"""How equivariant a model is, measured layer by layer."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import groups
from tf_symconv.models._equivariance_fields import Action, Field, name_of
from tf_symconv.models._equivariance_walk import (
    built_shapes,
    check_inputs,
    check_model,
    input_fields,
    is_number,
    judge,
    walk,
)


@final
@dataclasses.dataclass(frozen=True)
class LayerError:
    """What :func:`report` measured at one call of a layer.

    Attributes:
        name: The layer's name, after those of the models around it.
        layer: Its class.
        output: What its output is taken to be, in words.
        errors: For each element of the group, the largest difference between the output of the transformed input and
            the transformed output, relative to the largest magnitude of the output. NaN where it is not known how the
            output should transform.
        note: What :func:`lint` says about the layer.
    """

    name: str
    layer: str
    output: str
    errors: tuple[float, ...]
    note: str = ""

    @property
    def worst(self) -> float:
        """The largest error over the elements; NaN where it is not known how the output should transform."""
        return math.nan if any(map(math.isnan, self.errors)) else max(self.errors)


@final
@dataclasses.dataclass(frozen=True)
class Report:
    """What :func:`report` measured; its text is a table.

    Attributes:
        group: The name of the group.
        elements: The names of its elements, the identity first.
        layers: One entry for each call of a layer, in the order in which they are made.
        tolerance: The largest error that counts as none.
    """

    group: str
    elements: tuple[str, ...]
    layers: tuple[LayerError, ...]
    tolerance: float

    @property
    def worst(self) -> float:
        """The largest error over all layers and elements that were measured; NaN if none was."""
        measured = [layer.worst for layer in self.layers if not math.isnan(layer.worst)]
        return max(measured, default=math.nan)

    @property
    def first(self) -> LayerError | None:
        """The first layer whose error exceeds the tolerance, or None."""
        return next((layer for layer in self.layers if layer.worst > self.tolerance), None)

    @property
    def ok(self) -> bool:
        """Whether every layer was measured and no error exceeds the tolerance."""
        return all(layer.worst <= self.tolerance for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON; errors that are not finite become strings."""
        return {
            "group": self.group,
            "tolerance": self.tolerance,
            "ok": self.ok,
            "first": None if self.first is None else self.first.name,
            "elements": list(self.elements),
            "layers": [
                {**dataclasses.asdict(layer), "errors": [e if math.isfinite(e) else str(e) for e in layer.errors]}
                for layer in self.layers
            ],
        }

    def __str__(self) -> str:
        moved = range(1, len(self.elements))
        rows = [("layer", "class", "output", *(self.elements[index] for index in moved))]
        for layer in self.layers:
            rows.append((layer.name, layer.layer, layer.output, *(f"{layer.errors[index]:.1e}" for index in moved)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row, note in zip(rows, ["", *(layer.note for layer in self.layers)], strict=True):
            texts = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=False)]
            numbers = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
            lines.append("  ".join([*texts, *numbers]).rstrip())
            if note:
                lines.append(f"    {note}")
        return "\n".join([*lines, self._summary()])

    def _summary(self) -> str:
        if self.first is not None:
            return (
                f"Not equivariant under {self.group}: the first layer with an error above {self.tolerance:g} is "
                f"{self.first.name!r}."
            )
        if not self.ok:
            return f"No error above {self.tolerance:g} under {self.group}, but not every layer could be measured."
        return f"Equivariant under {self.group}: no error above {self.tolerance:g}."


@dataclasses.dataclass(frozen=True)
class _Value:
    """A tensor, once for every element that transformed the input."""

    tensors: tuple[Any, ...]
    field: Field | None


def report(model: keras.Model, group: str, samples: Any, *, tolerance: float = 1e-5) -> Report:
    """Measure how equivariant a model is, layer by layer and element by element.

    The model runs once for each element of the group, on samples that the element transformed. At every layer, the
    output is compared with the transformed output for the samples as they are. How an output transforms is worked out
    from the layers: images and maps turn in space, maps on a group permute the elements of their group channels (group
    channel major, element minor), and vectors stay as they are. Errors add up along the model, so the first layer with
    a large one is the cause.

    The model runs as in inference, with the weights that it has. A fresh layer may hide what a trained one does: a new
    ``BatchNormalization`` treats all channels alike. :func:`lint` judges layers whatever their weights.

    Args:
        model: A functional or Sequential Keras model. Models in it are walked too.
        group: ``"c2"``, ``"c4"``, ``"d4"``, ``"h"``, ``"v"``, ``"hv"`` or ``"diag"``; a group that holds fewer elements
            than the model's layers is fine.
        samples: Images of shape ``(batch, height, width, channels)``, or channels first where the layers are. For
            several inputs, a list of arrays in the order of ``model.inputs``; vectors stay as they are. A few samples
            are enough.
        tolerance: The largest relative error that counts as none. Rounding leaves some 1e-7 per layer in float32.

    Returns:
        The errors; ``result.first`` is the first layer whose error exceeds the tolerance, and printing the result shows
        a table.

    Raises:
        TypeError: If ``model`` is no Keras model.
        ValueError: If the model is neither functional nor Sequential, there is no such group, or the samples do not fit
            the model or the group, are not finite, or look the same from all sides, or the tolerance is not positive.

    Example:
        >>> import keras, numpy as np
        >>> from tf_symconv.layers import GroupConv2D
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 1)),
        ...     GroupConv2D(8, 3, padding="same", group="c4", name="lift"),
        ...     keras.layers.Conv2D(8, 3, padding="same", name="ordinary"),
        ... ])
        >>> result = report(model, "c4", np.random.default_rng(0).normal(size=(2, 8, 8, 1)))
        >>> result.elements, result.first.name, result.layers[0].worst < 1e-5
        (('identity', 'rot90', 'rot180', 'rot270'), 'ordinary', True)
    """
    check_model(model)
    if not isinstance(tolerance, int | float) or not tolerance > 0:
        raise ValueError(f"tolerance must be a positive number. Received: tolerance={tolerance!r}")
    action = Action(groups.get(group, 2))
    arrays = _arrays(model, samples)
    fields = input_fields(model, [array.shape[1:] for array in arrays], action)
    indices = range(action.group.order)
    moved = [
        [field.transform(action.group, i, array) for i in indices] for field, array in zip(fields, arrays, strict=True)
    ]
    if all(np.array_equal(each, versions[0]) for versions in moved for each in versions):
        raise ValueError(
            f"samples must change under the group {action.group.name!r}, or every model looks equivariant. Received: "
            "samples that look the same from all sides"
        )
    dtypes = _dtypes(model, len(arrays))
    values = [
        _Value(tuple(tf.constant(each, dtype) for each in versions), field)
        for versions, field, dtype in zip(moved, fields, dtypes, strict=True)
    ]
    found: list[LayerError] = []

    def visit(name: str, layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = [layer(*_pick(args, index), **_pick(kwargs, index)) for index in indices]
        arguments = keras.tree.flatten((args, kwargs))
        single = not isinstance(outputs[0], list | tuple | dict)
        shape = (None, *outputs[0].shape[1:]) if single else None
        inputs = [value.field for value in arguments if isinstance(value, _Value)]
        outcome = judge(layer, inputs, shape, action, [value for value in arguments if is_number(value)])
        output = "unknown" if outcome.field is None else str(outcome.field)
        errors = _errors(action.group, outcome.field, outputs)
        found.append(LayerError(name, type(layer).__name__, output, errors, outcome.reason))
        if single:
            return _Value(tuple(outputs), outcome.field)
        return keras.tree.map_structure(lambda *each: _Value(each, None), *outputs)

    walk(model, values, visit)
    return Report(action.group.name, tuple(map(name_of, action.group.elements)), tuple(found), tolerance)


def _pick(arguments: Any, index: int) -> Any:
    return keras.tree.map_structure(
        lambda value: value.tensors[index] if isinstance(value, _Value) else value, arguments
    )


def _errors(group: groups.Group, field: Field | None, outputs: Sequence[Any]) -> tuple[float, ...]:
    if field is None:
        return (math.nan,) * group.order
    still = np.asarray(tf.cast(outputs[0], tf.float64))
    scale = float(np.abs(still).max(initial=0.0))
    errors = []
    for index, output in enumerate(outputs):
        wanted = field.transform(group, index, still)
        if wanted.shape != tuple(output.shape):
            errors.append(math.inf)
            continue
        difference = float(np.abs(np.asarray(tf.cast(output, tf.float64)) - wanted).max(initial=0.0))
        errors.append(difference / scale if scale else math.inf if difference else 0.0)
    return tuple(errors)


def _arrays(model: Any, samples: Any) -> list[np.ndarray]:
    flat = keras.tree.flatten(samples) if isinstance(samples, list | tuple | dict) else [samples]
    arrays = [np.asarray(each) for each in flat]
    for array in arrays:
        if array.dtype.kind not in "biuf" or not array.size or not np.isfinite(array).all():
            raise ValueError(
                "samples must hold finite numbers, and at least one image. "
                f"Received: shape {array.shape} of dtype {array.dtype}"
            )
        if array.ndim < 2:
            raise ValueError(f"samples must be batches of images or vectors. Received: shape {array.shape}")
    check_inputs(model, "samples", [array.shape[1:] for array in arrays])
    return arrays


def _dtypes(model: Any, count: int) -> list[str]:
    if built_shapes(model) is None:
        return [keras.config.floatx()] * count
    return [str(tensor.dtype) for tensor in model.inputs]
