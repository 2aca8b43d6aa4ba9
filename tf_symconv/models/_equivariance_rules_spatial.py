"""Rules for what looks at several positions or changes the shape: convolutions, pooling, padding, dense layers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import groups, layers
from tf_symconv.models._equivariance_call import Call, Outcome, Rule
from tf_symconv.models._equivariance_fields import Field, induced, name_of
from tf_symconv.models._equivariance_geometry import Sides, transposed_windows, windows
from tf_symconv.models._equivariance_rules_pointwise import activation


def _pool(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    sides = windows(field.spatial_shape, layer.pool_size, layer.strides, layer.padding)
    return call.like_input(sides.problem(call.action, field.spatial_shape))


def _global_pool(call: Call) -> Outcome:
    return call.with_channels(call.field.permutations, call.field.carries)


def _group_pool(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    order = groups.get(layer.group, 2).order
    if layer.axis % len(field.shape) != field.channel_axis:
        return call.like_input(f"it pools axis {layer.axis}, but the channels lie along axis {field.channel_axis}")
    pooled = induced(field.permutations, np.arange(field.channels) // order)
    if pooled is None:
        return call.invariant(f"it pools over {layer.group}, but its input's channels do not carry that group")
    permutes = (pooled != np.arange(pooled.shape[1])).any()
    note = "" if field.permutes else "its input carries no group: it pools ordinary channels"
    return call.with_channels(pooled, field.carries if permutes else "", note=note)


def _pad(call: Call) -> Outcome:
    ends = [tuple(pair) for pair in call.layer.padding]
    return call.like_input(Sides((0, 0), ends).problem(call.action, call.field.spatial_shape))


def _crop(call: Call) -> Outcome:
    ends = [(-before, -after) for before, after in call.layer.cropping]
    return call.like_input(Sides((0, 0), ends).problem(call.action, call.field.spatial_shape))


def _upsample(call: Call) -> Outcome:
    sides = Sides(tuple(call.layer.size), ((0, 0), (0, 0)))
    return call.like_input(sides.problem(call.action, call.field.spatial_shape))


def _resize(call: Call) -> Outcome:
    layer, sizes = call.layer, call.field.spatial_shape
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio:
        return call.like_input(unknown="there is no rule for resizing that crops or pads")
    made = (layer.height, layer.width)
    ends = [(0, 0), (0, 0)]
    if layer.interpolation == "nearest":
        # The cells that are taken; between two that are equally near, the later one.
        taken = [((np.arange(new) + 0.5) * size / new).astype(int) for size, new in zip(sizes, made, strict=True)]
        ends = [(-int(cells[0]), int(cells[-1]) + 1 - size) for size, cells in zip(sizes, taken, strict=True)]
    return call.like_input(Sides(made, ends).problem(call.action, sizes))


def _center_crop(call: Call) -> Outcome:
    layer, sizes = call.layer, call.field.spatial_shape
    made = (layer.height, layer.width)
    excess = [size - new for size, new in zip(sizes, made, strict=True)]
    if min(excess) < 0:
        return call.like_input(unknown="it resizes images that are smaller than the crop")
    ends = [(-(cells // 2), cells // 2 - cells) for cells in excess]
    return call.like_input(Sides(made, ends).problem(call.action, sizes))


def _adaptive_pool(call: Call) -> Outcome:
    size = call.layer.output_size
    sides = Sides((size, size) if isinstance(size, int) else tuple(size), ((0, 0), (0, 0)))
    return call.like_input(sides.problem(call.action, call.field.spatial_shape))


def _spectral_pool(call: Call) -> Outcome:
    sizes = call.field.spatial_shape
    made = dataclasses.replace(call.field, shape=call.shape).spatial_shape
    # The first cell stays where it is, and the spacing grows: the last one falls short of the end.
    ends = [(0.0, 1 - size / new if new != size else 0.0) for size, new in zip(sizes, made, strict=True)]
    return call.like_input(Sides(made, ends).problem(call.action, sizes))


def _flatten(call: Call) -> Outcome:
    field = call.field
    if all(size == 1 for size in field.spatial_shape):
        return call.with_channels(field.permutations, field.carries)
    return call.invariant(
        "it gives every position features of its own, and an element moves the positions; pool over them instead, "
        "for example by GlobalAveragePooling2D"
    )


def _reshape(call: Call) -> Outcome:
    field = call.field
    if tuple(call.shape[1:]) == tuple(field.shape[1:]):
        return call.like_input()
    if len(call.shape) == 2:
        return _flatten(call)
    if not field.is_map and len(call.shape) == 4:
        made = Field(call.shape, 3, call.action.trivial(call.shape[3] or 0))
        if made.spatial_shape == (1, 1):
            return Outcome(Field(call.shape, 3, field.permutations, field.carries))
        return Outcome(made, ("it makes an image of a vector: the image does not turn",))
    return Outcome(None, unknown="it moves values between axes in a way that is not followed")


def _permute(call: Call) -> Outcome:
    field = call.field
    order = [0, *call.layer.dims]
    if not field.is_map:
        return call.like_input()
    axis = order.index(field.channel_axis)
    if axis == 2:
        return Outcome(None, unknown="it puts the channels between height and width")
    swaps = order.index(field.spatial_axes[0]) > order.index(field.spatial_axes[1])
    swap = groups.get("diag", 2).elements[1]
    commutes = all(swap * element == element * swap for element in call.action.group.elements)
    problem = "it exchanges height and width, which changes the sense of what an element does"
    made = Field(call.shape, axis, field.permutations, field.carries)
    return Outcome(made, (problem,) if swaps and not commutes else ())


def _spans(layer: Any) -> list[int]:
    return [step * (size - 1) + 1 for step, size in zip(layer.dilation_rate, layer.kernel_size, strict=True)]


def _convolution(call: Call) -> Outcome:
    layer = call.layer
    sides = windows(call.field.spatial_shape, _spans(layer), layer.strides, layer.padding)
    return _linear(call, _full_kernel(layer, call.field.channels), sides)


def _fourier(call: Call) -> Outcome:
    return _linear(call, _full_kernel(call.layer, call.field.channels))


def _transposed(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    made = dataclasses.replace(field, shape=call.shape).spatial_shape
    sides = transposed_windows(made, field.spatial_shape, _spans(layer), layer.strides, layer.padding)
    kernel = _random_kernel(layer, (*layer.kernel_size, layer.filters, field.channels))
    return _linear(call, np.swapaxes(kernel, 2, 3), sides)


def _depthwise(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    kernel = _random_kernel(layer, (*layer.kernel_size, field.channels, layer.depth_multiplier))
    sides = windows(field.spatial_shape, _spans(layer), layer.strides, layer.padding)
    return _linear(call, _block_diagonal(kernel), sides)


def _separable(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    kernel = _random_kernel(layer, (*layer.kernel_size, field.channels, layer.depth_multiplier))
    pointwise = np.random.default_rng(1).normal(size=(field.channels * layer.depth_multiplier, layer.filters))
    sides = windows(field.spatial_shape, _spans(layer), layer.strides, layer.padding)
    return _linear(call, _block_diagonal(kernel) @ pointwise, sides)


def _twin(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    if layer.groups != 1:
        return call.invariant(unknown="there is no rule for twins in channel groups")
    filters = np.random.default_rng(0).normal(size=(*layer.kernel_size, field.channels, layer.unique_filters))
    twins = np.concatenate([filters, np.flip(filters, layer.flipped_axes)], axis=3)
    sides = windows(field.spatial_shape, _spans(layer), layer.strides, layer.padding)
    pairs = None if layer.reduction == "concat" else np.tile(np.arange(layer.unique_filters), 2)
    return _linear(call, twins, sides, pairs)


def _dense(call: Call) -> Outcome:
    layer, field = call.layer, call.field
    if field.is_map and field.channel_axis != 3:
        return call.invariant("it mixes the positions of a row, since the last axis is the width")
    kernel = np.random.default_rng(0).normal(size=(1, 1, field.channels, layer.units))
    return _linear(call, kernel)


def _random_kernel(layer: Any, shape: Sequence[int]) -> np.ndarray:
    """Return a random kernel with the structure of a layer."""
    rng = np.random.default_rng(0)
    kernel_map = getattr(layer, "kernel_map", None)
    if kernel_map is None:
        return rng.normal(size=tuple(shape))
    latent = tf.constant(rng.normal(size=kernel_map.latent_shape(shape)), tf.float64)
    return np.asarray(kernel_map.expand(latent, shape))


def _full_kernel(layer: Any, channels: int) -> np.ndarray:
    kernel = _random_kernel(layer, (*layer.kernel_size, channels // layer.groups, layer.filters))
    return _grouped(kernel, layer.groups)


def _grouped(kernel: np.ndarray, count: int) -> np.ndarray:
    """Return the kernel of all channels, given that of a convolution in channel groups."""
    inputs, outputs = kernel.shape[2:]
    full = np.zeros((*kernel.shape[:2], inputs * count, outputs))
    for index in range(count):
        made = slice(index * (outputs // count), (index + 1) * (outputs // count))
        full[:, :, index * inputs : (index + 1) * inputs, made] = kernel[..., made]
    return full


def _block_diagonal(kernel: np.ndarray) -> np.ndarray:
    """Return the kernel of all channels, given that of a depthwise convolution."""
    height, width, channels, multiplier = kernel.shape
    full = np.zeros((height, width, channels, channels, multiplier))
    full[:, :, np.arange(channels), np.arange(channels)] = kernel
    return full.reshape(height, width, channels, channels * multiplier)


def _linear(call: Call, kernel: np.ndarray, sides: Sides | None = None, pairs: np.ndarray | None = None) -> Outcome:
    """Judge a convolution by a random kernel with its structure.

    It is equivariant if an element turns the kernel, with its input channels permuted, into the same kernel with its
    output channels permuted.
    """
    layer, field, action = call.layer, call.field, call.action
    name = getattr(layer, "group", None)
    filters = kernel.shape[3]
    claimed = action.trivial(filters) if name is None else action.regular(name, filters)
    found = [
        _matching(element, field.permutations[i], claimed[i], kernel) for i, element in enumerate(action.group.elements)
    ]
    permutations = np.stack([claimed[i] if each is None else each for i, each in enumerate(found)])
    broken = [name_of(element) for element, each in zip(action.group.elements, found, strict=True) if each is None]
    problems = [_unmatched(call, broken)] if broken else []
    if pairs is not None:
        reduced = induced(permutations, pairs)
        permutations = action.trivial(int(pairs.max()) + 1) if reduced is None else reduced
        if reduced is None and not broken:
            problems.append("it reduces pairs of filters that an element tears apart")
    if not problems and getattr(layer, "use_bias", False):
        shared = getattr(layer, "shared_bias", None)
        labels = np.arange(permutations.shape[1]) if shared is None else np.array(shared)
        if (labels[permutations] != labels).any():
            problems.append("it has a bias of its own for channels that an element permutes")
    if sides is not None:
        problems.append(sides.problem(action, field.spatial_shape))
    permutes = (permutations != np.arange(permutations.shape[1])).any()
    carries = (name or "flips of filters") if permutes else ""
    made = Field(call.shape, field.channel_axis, permutations, carries)
    problem, unknown = activation(action, made, getattr(layer, "activation", None))
    return call.with_channels(permutations, carries, *problems, problem, unknown=unknown)


def _matching(
    element: groups.Element, permutation: np.ndarray, claimed: np.ndarray, kernel: np.ndarray
) -> np.ndarray | None:
    """Return which output channel of the kernel each one of the transformed kernel equals, or None.

    Where several are equal, the claimed one is taken if it is among them.
    """
    if element.inverse(np.empty(kernel.shape[:2])).shape != kernel.shape[:2]:
        return None
    moved = element.inverse(kernel)[:, :, np.argsort(permutation)]
    # Kernels are random, so a random projection tells them apart.
    weights = np.random.default_rng(2).normal(size=kernel.shape[:3])
    before, after = np.tensordot(weights, kernel, 3), np.tensordot(weights, moved, 3)
    tolerance = 1e-8 * max(float(np.abs(before).max()), 1.0)
    match = np.empty_like(claimed)
    match[np.argsort(after)] = np.argsort(before)
    for candidate in (claimed, match):
        if (np.abs(before[candidate] - after) <= tolerance).all():
            return candidate
    return None


def _unmatched(call: Call, broken: Sequence[str]) -> str:
    layer, field = call.layer, call.field
    name, elements = getattr(layer, "group", None), ", ".join(broken)
    if name is not None:
        missing = call.action.missing_from(name)
        if missing:
            return f"it is equivariant under {name} only, not under {', '.join(missing)}"
        if layer.input_group is None:
            return f"it lifts images, but its input carries a group already: set input_group={name!r}"
        return f"it reads maps on {name}, but the channels of its input are not laid out so"
    if field.permutes:
        return "its weights differ between the channels that an element permutes; use a group layer, or pool the group"
    return f"its kernels are not symmetric under {elements}: it is an ordinary layer, not a group layer"


def _reads_maps(rule: Rule) -> Rule:
    """Have a rule see maps only, with the channels where its layer looks for them."""

    def checked(call: Call) -> Outcome:
        if not call.field.is_map:
            return call.invariant(unknown="its input is no image or map")
        wanted = getattr(call.layer, "data_format", call.field.data_format)
        if wanted == call.field.data_format:
            return rule(call)
        return Outcome(
            Field(call.shape, 3 if wanted == "channels_last" else 1, call.action.trivial(_channels(call, wanted))),
            (f"it reads {wanted}, but the channels of its input lie along axis {call.field.channel_axis}",),
        )

    return checked


def _channels(call: Call, data_format: str) -> int:
    return call.shape[3 if data_format == "channels_last" else 1] or 0


RULES: dict[type, Rule] = {
    **{
        layer: _reads_maps(rule)
        for layer, rule in {
            keras.layers.AveragePooling2D: _pool,
            keras.layers.CenterCrop: _center_crop,
            keras.layers.Conv2D: _convolution,
            keras.layers.Conv2DTranspose: _transposed,
            keras.layers.Cropping2D: _crop,
            keras.layers.DepthwiseConv2D: _depthwise,
            keras.layers.GlobalAveragePooling2D: _global_pool,
            keras.layers.GlobalMaxPooling2D: _global_pool,
            keras.layers.MaxPooling2D: _pool,
            keras.layers.Resizing: _resize,
            keras.layers.SeparableConv2D: _separable,
            keras.layers.UpSampling2D: _upsample,
            keras.layers.ZeroPadding2D: _pad,
            layers.FlipBankConv2D: _convolution,
            layers.FlipBankConv2DTranspose: _transposed,
            layers.FourierConv2D: _fourier,
            layers.GroupConv2D: _convolution,
            layers.GroupConv2DTranspose: _transposed,
            layers.PatternConv2D: _convolution,
            layers.SpectralConv2D: _convolution,
            layers.SpectralPooling2D: _spectral_pool,
            layers.SymmetricConv2D: _convolution,
            layers.SymmetricConv2DTranspose: _transposed,
            layers.SymmetricDepthwiseConv2D: _depthwise,
            layers.SymmetricSeparableConv2D: _separable,
            layers.TiledConv2D: _convolution,
            layers.TwinFlipConv2D: _twin,
            # Layers that an older Keras does not have.
            **{
                getattr(keras.layers, name): _adaptive_pool
                for name in ("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D")
                if hasattr(keras.layers, name)
            },
        }.items()
    },
    keras.layers.Dense: _dense,
    keras.layers.Flatten: _flatten,
    keras.layers.Permute: _permute,
    keras.layers.Reshape: _reshape,
    layers.GroupPooling: _group_pool,
}
