"""Which layers of a model break its equivariance, found without data."""

import dataclasses
from typing import Any, final

import keras

from tf_symconv import groups
from tf_symconv.models._equivariance_call import BREAKS, EXACT, UNKNOWN, Outcome
from tf_symconv.models._equivariance_fields import Action, Field
from tf_symconv.models._equivariance_walk import (
    built_shapes,
    check_inputs,
    check_model,
    find_group,
    input_fields,
    is_number,
    judge,
    walk,
)


@final
@dataclasses.dataclass(frozen=True)
class LayerVerdict:
    """What :func:`lint` found about one call of a layer.

    Attributes:
        name: The layer's name, after those of the models around it.
        layer: Its class.
        verdict: ``"exact"``: if its input transforms as it should, so does its output. ``"breaks"``: not so.
            ``"unknown"``: there is no rule.
        reason: Why, or what else to know.
        output: What its output is, in words.
    """

    name: str
    layer: str
    verdict: str
    reason: str
    output: str


@final
@dataclasses.dataclass(frozen=True)
class Lint:
    """What :func:`lint` found; its text is a table.

    Attributes:
        group: The name of the group.
        layers: One entry for each call of a layer, in an order in which the model can make them.
    """

    group: str
    layers: tuple[LayerVerdict, ...]

    @property
    def first(self) -> LayerVerdict | None:
        """The first layer that breaks equivariance, or None."""
        return next((layer for layer in self.layers if layer.verdict == BREAKS), None)

    @property
    def unknown(self) -> tuple[LayerVerdict, ...]:
        """The layers that no rule judges."""
        return tuple(layer for layer in self.layers if layer.verdict == UNKNOWN)

    @property
    def ok(self) -> bool:
        """Whether every layer is exact: none breaks equivariance, and none is unknown."""
        return all(layer.verdict == EXACT for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, ready for JSON."""
        first = self.first
        return {
            "group": self.group,
            "ok": self.ok,
            "first": None if first is None else first.name,
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
        }

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self._rows(), strict=True)]
        lines = []
        for row, reason in zip(self._rows(), ["", *(layer.reason for layer in self.layers)], strict=True):
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            if reason:
                lines.append(f"    {reason}")
        return "\n".join([*lines, self._summary()])

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            ("layer", "class", "verdict", "output"),
            *((layer.name, layer.layer, layer.verdict, layer.output) for layer in self.layers),
        ]

    def _summary(self) -> str:
        if self.first is not None:
            return f"Not equivariant under {self.group}: the first layer that breaks it is {self.first.name!r}."
        if self.unknown:
            names = ", ".join(repr(layer.name) for layer in self.unknown)
            return f"No layer is known to break equivariance under {self.group}, but there is no rule for {names}."
        return f"Equivariant under {self.group}."


@dataclasses.dataclass(frozen=True)
class _Value:
    """A tensor that is not there: its shape, and how it transforms."""

    shape: tuple[int | None, ...] | None
    dtype: str
    field: Field | None


def lint(model: keras.Model, input_shape: Any = None, group: str | None = None) -> Lint:
    """Find the layers of a model that break its equivariance, without data.

    Every layer is judged by itself, whatever its weights: would its output transform as it should if its input did?
    Images and maps turn in space, maps on a group permute the elements of their group channels (group channel major,
    element minor), and vectors stay as they are. So a stride or a padding that treats the two ends of an axis
    differently at these sizes, an ordinary convolution, a normalisation that does not share its statistics over the
    group, a dense layer on maps or a flattening is named, with the reason. What a layer does in inference counts.

    A layer without a rule is reported as unknown, never passed. :func:`report` measures what it does.

    Args:
        model: A functional or Sequential Keras model, built or not. Models in it are walked too.
        input_shape: As for ``keras.Input``, without the batch: ``(height, width, channels)``, or channels first where
            the layers are. For several inputs, a list of shapes in the order of ``model.inputs``. By default, the
            shapes that the model was built with. The sizes must be known.
        group: The group to judge by: ``"c2"``, ``"c4"``, ``"d4"``, ``"h"``, ``"v"``, ``"hv"`` or ``"diag"``. By
            default, the one that the model's group layers name.

    Returns:
        A verdict for every layer; ``result.first`` is the first that breaks equivariance, and printing the result
        shows a table.

    Raises:
        TypeError: If ``model`` is no Keras model.
        ValueError: If the model is neither functional nor Sequential, a shape does not fit it or the group, or the
            group is not given and the layers do not agree on one.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, sections 4 to 6.

    Example:
        A convolution of even size pads more at the end than at the start:

        >>> import keras
        >>> from tf_symconv.layers import GroupConv2D, GroupPooling
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 1)),
        ...     GroupConv2D(8, 3, padding="same", group="c4", name="lift"),
        ...     GroupConv2D(8, 2, padding="same", group="c4", input_group="c4", equivariance="relaxed", name="even"),
        ...     GroupPooling("c4", name="pool"),
        ... ])
        >>> result = lint(model)
        >>> print(result.first.name, result.first.reason.split(";")[0], sep=": ")
        even: with padding 'same', windows of 2 cells and steps of 1, the height of 8 cells gains 0 at its start and 1
        at its end
        >>> result.ok
        False
    """
    check_model(model)
    action = Action(find_group(model) if group is None else groups.get(group, 2))
    fields = input_fields(model, _shapes(model, input_shape), action)
    found: list[LayerVerdict] = []

    def visit(name: str, layer: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = keras.tree.flatten((args, kwargs))
        values = [value for value in arguments if isinstance(value, _Value)]
        spec = _output_spec(layer, args, kwargs)
        shape = tuple(spec.shape) if isinstance(spec, keras.KerasTensor) else None
        numbers = [value for value in arguments if is_number(value)]
        outcome = judge(layer, [value.field for value in values], shape, action, numbers)
        found.append(_verdict(name, layer, outcome))
        if shape is not None or spec is None:
            return _Value(shape, values[0].dtype if values else "float32", outcome.field)
        return keras.tree.map_structure(lambda each: _Value(tuple(each.shape), str(each.dtype), None), spec)

    walk(model, [_Value(field.shape, "float32", field) for field in fields], visit)
    return Lint(action.group.name, tuple(found))


def _verdict(name: str, layer: Any, outcome: Outcome) -> LayerVerdict:
    output = "unknown" if outcome.field is None else str(outcome.field)
    return LayerVerdict(name, type(layer).__name__, outcome.verdict, outcome.reason, output)


def _output_spec(layer: Any, args: Any, kwargs: Any) -> Any:
    """Return what a layer would return, or None if that cannot be told."""

    def stand_in(value: Any) -> Any:
        return keras.KerasTensor(value.shape, value.dtype) if isinstance(value, _Value) else value

    positional: Any = keras.tree.map_structure(stand_in, args)
    named: Any = keras.tree.map_structure(stand_in, kwargs)
    try:
        return layer.compute_output_spec(*positional, **named)
    except Exception:
        # A layer that is not built, or not of ours, may raise anything; then its output is unknown.
        return None


def _shapes(model: Any, input_shape: Any) -> list[tuple[int | None, ...]]:
    """Return the shapes of the inputs of a model without the batch."""
    if input_shape is None:
        built = built_shapes(model)
        if built is None:
            raise ValueError(f"input_shape must be given for a model that is not built. Received: model {model.name!r}")
        return built
    shapes = [input_shape] if _is_shape(input_shape) else input_shape
    if not isinstance(shapes, list | tuple) or not all(_is_shape(shape) for shape in shapes):
        raise ValueError(f"input_shape must be a shape, or a list of shapes. Received: input_shape={input_shape!r}")
    check_inputs(model, "input_shape", shapes)
    return [tuple(shape) for shape in shapes]


def _is_shape(shape: Any) -> bool:
    """Whether this is a sequence of sizes."""
    return (
        isinstance(shape, list | tuple)
        and bool(shape)
        and all(size is None or (isinstance(size, int) and not isinstance(size, bool)) for size in shape)
    )
