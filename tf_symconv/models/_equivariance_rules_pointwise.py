"""Rules for what treats all positions alike: activations, normalisation, merging, noise."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import groups, layers
from tf_symconv.models._equivariance_call import Call, Outcome, Rule
from tf_symconv.models._equivariance_fields import Action, Field, induced

_POINTWISE_NAMES = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh",
    "tanh_shrink",
    "threshold",
]
_POINTWISE = [
    *(getattr(keras.activations, name) for name in _POINTWISE_NAMES if hasattr(keras.activations, name)),
    *(tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.nn.selu, tf.nn.gelu, tf.nn.silu, tf.nn.leaky_relu),
    *(tf.nn.sigmoid, tf.nn.tanh, tf.nn.softplus, tf.nn.softsign, tf.identity),
]
_OVER_LAST_AXIS = [
    getattr(keras.activations, name)
    for name in ("softmax", "log_softmax", "sparsemax")
    if hasattr(keras.activations, name)
]

ACROSS_ELEMENTS = (
    "it has a weight of its own for every element of the group, while an element permutes the channels; use the group "
    "layer that shares them"
)


def over_axes(action: Action, field: Field, axes: set[int]) -> str:
    """Return why a symmetric function over some axes is not equivariant, or nothing."""
    if action.preserves_axes(field, {axis % len(field.shape) for axis in axes}):
        return ""
    return f"it works along one spatial axis, and {action.group.name} exchanges height and width"


def activation(action: Action, field: Field, function: Any) -> tuple[str, str]:
    """Return why an activation breaks equivariance, and why it cannot be told; one or both are empty."""
    if function is None or any(function is each for each in _POINTWISE):
        return "", ""
    if any(function is each for each in _OVER_LAST_AXIS):
        return over_axes(action, field, {-1}), ""
    name = getattr(function, "__name__", None) or type(function).__name__
    return "", f"there is no rule for the activation {name!r}"


def per_channel(field: Field, labels: np.ndarray) -> str:
    """Return why parameters shared by channels of the same label are not equivariant, or nothing."""
    return ACROSS_ELEMENTS if (labels[field.permutations] != labels).any() else ""


def _labels(field: Field, group: str | None) -> np.ndarray:
    """Return which parameters the channels share: those of a group channel, or none."""
    return np.arange(field.channels) // (1 if group is None else groups.get(group, 2).order)


def _along_channels(call: Call, axis: int) -> str:
    field = call.field
    if axis % len(field.shape) == field.channel_axis:
        return ""
    return f"it works along axis {axis}, but the channels lie along axis {field.channel_axis}"


def _keeps(call: Call) -> Outcome:
    return call.like_input()


def _in_inference(call: Call) -> Outcome:
    return call.like_input(note="in training, what it draws is not transformed")


def _activation(call: Call) -> Outcome:
    problem, unknown = activation(call.action, call.field, call.layer.activation)
    return call.like_input(problem, unknown=unknown)


def _softmax(call: Call) -> Outcome:
    axis = call.layer.axis
    return call.like_input(over_axes(call.action, call.field, {axis} if isinstance(axis, int) else set(axis)))


def _prelu(call: Call) -> Outcome:
    field, shared = call.field, set(call.layer.shared_axes or ())
    moved = {
        field.spatial_axes[axis]
        for element in call.action.group.elements
        for axis in (range(2) if field.is_map else ())
        if element.reversal[axis] or element.permutation[axis] != axis
    }
    by_position = sorted(axis for axis in moved - shared if field.shape[axis] != 1)
    problems = [f"it has a weight of its own for every position: share axes {by_position}"] if by_position else []
    if field.channel_axis not in shared:
        problems.append(per_channel(field, _labels(field, None)))
    return call.like_input(*problems)


def _batch_normalization(call: Call) -> Outcome:
    problem = _along_channels(call, call.layer.axis)
    return call.like_input(problem or per_channel(call.field, _labels(call.field, None)))


def _group_batch_normalization(call: Call) -> Outcome:
    problem = _along_channels(call, call.layer.channel_axis)
    return call.like_input(problem or per_channel(call.field, _labels(call.field, call.layer.group)))


def _layer_normalization(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    axes = {axis % len(field.shape) for axis in ([layer.axis] if isinstance(layer.axis, int) else layer.axis)}
    problems = [over_axes(call.action, field, axes)]
    if getattr(layer, "scale", True) or getattr(layer, "center", False):
        if axes & {axis for axis in field.spatial_axes if field.shape[axis] != 1}:
            problems.append("it has a weight of its own for every position")
        if field.channel_axis in axes:
            problems.append(per_channel(field, _labels(field, None)))
    return call.like_input(*problems)


def _group_layer_normalization(call: Call) -> Outcome:
    layer = call.layer
    weighs = layer.scale or layer.center
    return call.like_input(
        _along_channels(call, layer.channel_axis),
        per_channel(call.field, _labels(call.field, layer.group)) if weighs else "",
    )


def _group_normalization(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    problem = _along_channels(call, layer.axis)
    if problem:
        return call.like_input(problem)
    blocks = field.channels if layer.groups == -1 else layer.groups
    torn = induced(field.permutations, np.arange(field.channels) // (field.channels // blocks)) is None
    weighs = layer.scale or layer.center
    return call.like_input(
        "its groups of channels cut through group channels" if torn else "",
        per_channel(field, _labels(field, None)) if weighs else "",
    )


def _unit_normalization(call: Call) -> Outcome:
    axis = call.layer.axis
    return call.like_input(over_axes(call.action, call.field, {axis} if isinstance(axis, int) else set(axis)))


def _rescaling(call: Call) -> Outcome:
    field = call.field
    factors = [np.asarray(value) for value in (call.layer.scale, call.layer.offset)]
    if all(factor.size == 1 for factor in factors):
        return call.like_input()
    if field.data_format == "channels_last" and all(
        factor.shape in ((), (1,), (field.channels,)) for factor in factors
    ):
        each = np.stack([np.broadcast_to(factor, (field.channels,)) for factor in factors])
        return call.like_input(per_channel(field, np.unique(each, axis=1, return_inverse=True)[1].ravel()))
    return call.like_input(unknown="its factors are neither numbers nor one for each channel")


def _normalization(call: Call) -> Outcome:
    axes = call.layer.axis
    axes = [] if axes is None else [axes] if isinstance(axes, int) else list(axes)
    if not axes:
        return call.like_input()
    problem = next(filter(None, (_along_channels(call, axis) for axis in axes)), "")
    return call.like_input(problem or per_channel(call.field, _labels(call.field, None)))


def _merge(call: Call) -> Outcome:
    numbers = [c for c in call.constants if c is not None]
    if any(np.ndim(number) for number in numbers):
        return call.like_input(unknown="it merges with a constant array")
    if len({len(field.shape) for field in call.fields}) > 1:
        return call.invariant(unknown="it merges maps with vectors")
    widest = max(call.fields, key=lambda field: field.channels)
    parts = [field for field in call.fields if field.channels == widest.channels]
    merged = Call(call.layer, [widest], call.shape, call.action)
    if len({field.channel_axis for field in call.fields}) > 1:
        return merged.like_input("its inputs have their channels along different axes")
    sizes = {size for field in call.fields for size in zip(range(2), field.spatial_shape, strict=False) if size[1] != 1}
    if len(sizes) > len({axis for axis, _ in sizes}):
        return merged.like_input(unknown="its inputs have different sizes")
    if any((field.permutations != widest.permutations).any() for field in parts):
        return merged.like_input("an element permutes the channels of its inputs differently")
    return merged.like_input()


def _concatenate(call: Call) -> Outcome:
    first = call.field
    if any((len(f.shape), f.channel_axis) != (len(first.shape), first.channel_axis) for f in call.fields):
        return call.invariant("its inputs have their channels along different axes")
    axis = call.layer.axis % len(first.shape)
    if axis == first.channel_axis:
        starts = np.cumsum([0, *(field.channels for field in call.fields)])
        permutations = np.concatenate(
            [field.permutations + start for field, start in zip(call.fields, starts, strict=False)], axis=1
        )
        carried = {field.carries for field in call.fields}
        return call.with_channels(permutations, carried.pop() if len(carried) == 1 else "several groups or none")
    place = first.spatial_axes.index(axis)
    differ = any((field.permutations != first.permutations).any() for field in call.fields)
    moved = any(e.reversal[place] or e.permutation[place] != place for e in call.action.group.elements)
    return call.like_input(
        "it lays its inputs side by side, and an element moves them" if moved else "",
        "an element permutes the channels of its inputs differently" if differ else "",
    )


def _reduction(call: Call) -> Outcome:
    """Judge a mean, sum or extremum over some axes."""
    layer, field = call.layer, call.field
    axis = layer.axis
    axes = {place % len(field.shape) for place in ([axis] if isinstance(axis, int) else axis or ())}
    if axes == set(field.spatial_axes) and axes:
        problem = over_axes(call.action, field, axes)
        return call.with_channels(field.permutations, field.carries, problem)
    if axes == {field.channel_axis} and layer.keepdims:
        return call.invariant(over_axes(call.action, field, axes))
    return Outcome(None, unknown="there is no rule for a reduction over these axes")


def _operation(function: Callable[..., Any], arguments: int) -> type:
    """Return the class of the operation that a function of ``keras.ops`` records in a model."""
    result: Any = function(*(keras.KerasTensor((1, 1)) for _ in range(arguments)))
    return type(result._keras_history.operation)


_LAYERS: dict[str, Rule] = {
    "Activation": _activation,
    "ActivityRegularization": _keeps,
    "Add": _merge,
    "AlphaDropout": _in_inference,
    "Average": _merge,
    "BatchNormalization": _batch_normalization,
    "Concatenate": _concatenate,
    "Dropout": _in_inference,
    "ELU": _keeps,
    "GaussianDropout": _in_inference,
    "GaussianNoise": _in_inference,
    "GroupNormalization": _group_normalization,
    "Identity": _keeps,
    "LayerNormalization": _layer_normalization,
    "LeakyReLU": _keeps,
    "Maximum": _merge,
    "Minimum": _merge,
    "Multiply": _merge,
    "Normalization": _normalization,
    "PReLU": _prelu,
    "RMSNormalization": _layer_normalization,
    "RandomBrightness": _in_inference,
    "RandomContrast": _in_inference,
    "RandomFlip": _in_inference,
    "RandomRotation": _in_inference,
    "RandomTranslation": _in_inference,
    "RandomZoom": _in_inference,
    "ReLU": _keeps,
    "Rescaling": _rescaling,
    "Softmax": _softmax,
    "SpatialDropout2D": _in_inference,
    "Subtract": _merge,
    "UnitNormalization": _unit_normalization,
}

RULES: dict[type, Rule] = {
    # A Keras that is older than one of them has no such layer to judge.
    **{getattr(keras.layers, name): rule for name, rule in _LAYERS.items() if hasattr(keras.layers, name)},
    layers.GroupBatchNormalization: _group_batch_normalization,
    layers.GroupLayerNormalization: _group_layer_normalization,
    **{
        _operation(function, 2): _merge
        for function in (
            *(keras.ops.add, keras.ops.subtract, keras.ops.multiply, keras.ops.divide),
            *(keras.ops.true_divide, keras.ops.maximum, keras.ops.minimum),
        )
    },
    **{
        _operation(function, 1): _reduction
        for function in (keras.ops.mean, keras.ops.sum, keras.ops.max, keras.ops.min)
    },
    _operation(lambda a, b: keras.ops.concatenate([a, b]), 2): _concatenate,
    **{
        _operation(function, 1): _keeps
        for function in (
            *(keras.ops.negative, keras.ops.absolute, keras.ops.square, keras.ops.sqrt, keras.ops.exp, keras.ops.relu),
            *(keras.ops.tanh, keras.ops.sigmoid, keras.ops.silu, keras.ops.gelu, keras.ops.elu, keras.ops.softplus),
        )
    },
}
