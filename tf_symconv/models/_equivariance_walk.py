"""A walk over the layers of a Keras model that tells how the output of each one transforms."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tf_symconv import groups
from tf_symconv.models import _equivariance_rules_pointwise, _equivariance_rules_spatial
from tf_symconv.models._equivariance_call import Call, Outcome, Rule
from tf_symconv.models._equivariance_fields import Action, Field

RULES: dict[type, Rule] = {**_equivariance_rules_pointwise.RULES, **_equivariance_rules_spatial.RULES}

Visit = Callable[..., Any]


def check_model(model: Any) -> None:
    """Raise a TypeError or ValueError unless the layers of a model can be walked."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a functional or Sequential Keras model. Received: {type(model).__name__}")
    if not _is_graph(model):
        raise ValueError(
            "model must be a functional or Sequential Keras model: what a subclassed model calls, and in which order, "
            f"cannot be read from it. Received: {type(model).__name__} {model.name!r}"
        )
    if isinstance(model, keras.Sequential) and not model.layers:
        raise ValueError(f"model must have layers. Received: the empty model {model.name!r}")


def _is_graph(layer: Any) -> bool:
    """Whether a layer is a model whose graph of layers is known."""
    if isinstance(layer, keras.Sequential):
        return True
    is_functional = isinstance(layer, keras.Model) and isinstance(layer, keras.Function)
    return is_functional and type(layer).call.__module__.startswith("keras.")


def walk(model: Any, values: Sequence[Any], visit: Visit, prefix: str = "") -> Any:
    """Run a model on values of any kind.

    Args:
        model: A functional or Sequential model, nested ones included.
        values: One for each input of the model.
        visit: Called as ``visit(name, layer, *args, **kwargs)`` for each call of a layer or operation, in an order in
            which its inputs are known; its arguments hold values where the layer's hold tensors. It returns the value
            of the output, or a list of them.
        prefix: What to put before the names of layers.
    """

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        name = prefix + layer.name
        if _is_graph(layer):
            return walk(layer, keras.tree.flatten(args), visit, f"{name}/")
        return visit(name, layer, *args, **kwargs)

    if isinstance(model, keras.Sequential):
        return functools.reduce(lambda value, layer: call(layer, value), model.layers, values[0])
    return model._run_through_graph(list(values), operation_fn=lambda layer: functools.partial(call, layer))


def flat_layers(model: Any) -> list[Any]:
    """Return the layers of a model and of the models in it."""
    found: list[Any] = []
    for layer in model.layers:
        found += flat_layers(layer) if _is_graph(layer) else [layer]
    return found


def built_shapes(model: Any) -> list[tuple[int | None, ...]] | None:
    """Return the shapes of the inputs of a model without the batch; None for a model that is not built."""
    if isinstance(model, keras.Sequential) and not model.built:
        return None
    return [tuple(tensor.shape[1:]) for tensor in model.inputs]


def check_inputs(model: Any, name: str, shapes: Sequence[Sequence[int | None]]) -> None:
    """Raise a ValueError about the argument ``name`` unless shapes without the batch fit the inputs of a model."""
    built = built_shapes(model)
    if built is None:
        if len(shapes) != 1:
            raise ValueError(f"{name} must be one for a Sequential model. Received: {len(shapes)} of them")
        return
    fits = len(shapes) == len(built) and all(
        len(shape) == len(known) and all(n is None or n == m for m, n in zip(shape, known, strict=True))
        for shape, known in zip(shapes, built, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} must fit the inputs of the model, of shape {', '.join(map(str, built))} without the batch. "
            f"Received: {', '.join(str(tuple(shape)) for shape in shapes)}"
        )


def input_fields(model: Any, shapes: Sequence[Sequence[int | None]], action: Action) -> list[Field]:
    """Return how the inputs of a model transform: images with the group, vectors not at all.

    Args:
        model: The model.
        shapes: The shapes of its inputs, without the batch.
        action: What the elements of the group do.

    Raises:
        ValueError: If an input is no image or vector, has an unknown size, or is not square where the group turns it.
    """
    formats = [layer.data_format for layer in flat_layers(model) if hasattr(layer, "data_format")]
    first = (formats or [keras.config.image_data_format()])[0] == "channels_first"
    fields = []
    for shape in shapes:
        if len(shape) not in (1, 3) or any(size is None or size < 1 for size in shape):
            raise ValueError(
                "The inputs of the model must be images (height, width, channels) or vectors, with known sizes. "
                f"Received: input shape {tuple(shape)} without the batch"
            )
        axis = 1 if first or len(shape) == 1 else 3
        field = Field((None, *shape), axis, action.trivial(shape[axis - 1] or 0))
        if field.is_map and not action.group.preserves(field.spatial_shape):
            raise ValueError(
                f"The group {action.group.name!r} exchanges height and width, so images must be square. "
                f"Received: input shape {tuple(shape)} without the batch"
            )
        fields.append(field)
    if not any(field.is_map for field in fields):
        raise ValueError(f"The model must have an image among its inputs. Received: shapes {[*map(tuple, shapes)]}")
    return fields


def judge(layer: Any, fields: Sequence[Field | None], shapes: Any, action: Action, constants: Sequence[Any]) -> Outcome:
    """Tell how the output of a call transforms.

    Args:
        layer: The layer or operation.
        fields: How its inputs transform; None where that is not known.
        shapes: The shape of its output as a tuple; anything else if that is unknown, or if there are several.
        action: What the elements of the group do.
        constants: The arguments that are no tensors of the model.
    """
    known = [field for field in fields if field is not None]
    if len(known) < len(fields) or not known:
        return Outcome(None, unknown="how its input transforms is unknown")
    if not isinstance(shapes, tuple):
        return Outcome(None, unknown="it has no single output of a known shape")
    call = Call(layer, known, shapes, action, constants)
    rule = RULES.get(type(layer))
    if rule is not None:
        return rule(call)
    return _guess(call)


def _guess(call: Call) -> Outcome:
    """Assume the likely of a layer without a rule, so that what follows can be measured."""
    unknown = f"there is no rule for {type(call.layer).__name__}"
    if call.shape == call.field.shape:
        return call.like_input(unknown=f"{unknown}; what follows assumes that its output transforms as its input does")
    if len(call.shape) == 2 and call.shape[1] is not None:
        return call.invariant(unknown=f"{unknown}; what follows assumes that its output is invariant")
    return Outcome(None, unknown=unknown)


def find_group(model: Any) -> groups.Group:
    """Return the group that the group layers of a model name.

    Raises:
        ValueError: If they name none, or several.
    """
    ours = [layer for layer in flat_layers(model) if type(layer) in RULES and hasattr(layer, "group")]
    names = sorted({groups.get(layer.group, 2).name for layer in ours})
    if len(names) != 1:
        raise ValueError(
            "The group of a model is read from its group layers, which must agree on one; group=... names another. "
            f"Received: model {model.name!r} with group layers of {', '.join(names) or 'no group'}"
        )
    return groups.get(names[0], 2)


def is_number(value: Any) -> bool:
    """Whether an argument of a call takes part in its arithmetic."""
    return isinstance(value, int | float | complex | np.ndarray | np.generic) and not isinstance(value, bool)
