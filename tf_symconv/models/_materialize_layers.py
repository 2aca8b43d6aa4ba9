"""What stands for each layer of the library in a model of plain Keras layers."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tf_symconv import groups, layers
from tf_symconv.models._rebuild import Replacement, live_activation
from tf_symconv.ops._resampling import resampling_matrix

_TRAINING = ("_initializer", "_regularizer", "_constraint")


def plain(layer: Any) -> Replacement:
    """Return plain Keras layers that compute what ``layer`` computes in inference: one layer, or a small model.

    Raises:
        ValueError: If there are none.
    """
    rule = next((rule for kind, rule in _RULES.items() if isinstance(layer, kind)), None)
    if rule is None:
        raise ValueError("no plain Keras layers are known that compute the same.")
    return rule(layer)


def _array(weight: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(weight))


def _stock_class(layer: Any) -> Any:
    return next(base for base in type(layer).__mro__ if base.__module__.startswith("keras."))


def _stock(layer: Any, stock: Any, **changes: Any) -> Any:
    """Return a stock layer with the arguments of ``layer`` that it has, without what matters in training only."""
    known = {name for name in inspect.signature(stock).parameters if not name.endswith(_TRAINING)}
    config = {name: value for name, value in layer.get_config().items() if name in known | {"name", "trainable"}}
    arguments = {**config, **live_activation(layer, config), "dtype": layer.dtype_policy, **changes}
    return stock(**{name: value for name, value in arguments.items() if not name.startswith("lora_")})


def _bias(layer: Any) -> list[np.ndarray]:
    """Return the bias of every output channel, if there is one, as the list of weights that it adds."""
    if layer.bias is None:
        return []
    bias = _array(layer.bias).ravel()
    shared = getattr(layer, "shared_bias", None)
    return [bias if shared is None else bias[list(shared)]]


def _spread(kernel: np.ndarray, dilation: Sequence[int]) -> np.ndarray:
    """Return the kernel with the zeros between its cells that a dilation stands for."""
    spatial = [(size - 1) * rate + 1 for size, rate in zip(kernel.shape, dilation, strict=False)]
    spread = np.zeros((*spatial, *kernel.shape[len(dilation) :]), kernel.dtype)
    spread[tuple(slice(None, None, rate) for rate in dilation)] = kernel
    return spread


def _convolution(layer: Any, kernel: np.ndarray | None = None, **changes: Any) -> Replacement:
    """Return a plain convolution, with the layer's own kernel unless another is given."""
    kernel = _array(layer.kernel) if kernel is None else kernel
    size = kernel.shape[: layer.rank]
    new = _stock(layer, _stock_class(layer), kernel_size=size, **changes)
    return Replacement(new, (kernel, *(_bias(layer) if new.use_bias else [])))


def _transposed(layer: Any) -> Replacement:
    # The stock CPU has no dilated transposed convolution.
    return _convolution(layer, _spread(_array(layer.kernel), layer.dilation_rate), dilation_rate=1)


def _is_stock_depthwise(layer: Any) -> bool:
    """Whether the depthwise convolution of stock TensorFlow has these strides and dilations."""
    return len(set(layer.strides)) == 1 and (max(layer.strides) == 1 or max(layer.dilation_rate) == 1)


def _grouped(layer: Any, bias: Sequence[np.ndarray], **changes: Any) -> Replacement:
    """Return a depthwise convolution as one with a group for each channel, which takes any strides and dilations."""
    kernel = _spread(_array(layer.kernel), layer.dilation_rate)
    *size, channels, multiplier = kernel.shape
    own = {"filters": channels * multiplier, "kernel_size": size, "groups": channels, "dilation_rate": 1}
    stock = (keras.layers.Conv1D, keras.layers.Conv2D)[layer.rank - 1]
    new = _stock(layer, stock, **{**own, **changes})
    return Replacement(new, (kernel.reshape(*size, 1, channels * multiplier), *bias))


def _depthwise(layer: Any) -> Replacement:
    return _convolution(layer) if _is_stock_depthwise(layer) else _grouped(layer, _bias(layer))


def _separable(layer: Any) -> Replacement:
    pointwise = _array(layer.pointwise_kernel)
    kernel = _array(layer.kernel)
    if _is_stock_depthwise(layer):
        return Replacement(_stock(layer, _stock_class(layer)), (kernel, pointwise, *_bias(layer)))
    first = _grouped(layer, [], activation=None, use_bias=False, name="depthwise")
    stock = (keras.layers.Conv1D, keras.layers.Conv2D)[layer.rank - 1]
    mix = {"kernel_size": 1, "strides": 1, "dilation_rate": 1, "padding": "valid", "name": "pointwise"}
    second = Replacement(_stock(layer, stock, **mix), (pointwise, *_bias(layer)))
    return _model(layer, lambda x: second.layer(first.layer(x)), _any_size(layer), [first, second])


def _twins(layer: Any) -> Replacement:
    """Return the convolutions with a filter and its flip; those that add up are one."""
    kernel = _array(layer.kernel)
    flipped = np.flip(kernel, layer.flipped_axes)
    if layer.reduction in ("sum", "mean"):
        return _convolution(layer, (kernel + flipped) / (2 if layer.reduction == "mean" else 1))
    names = [f"{layer.name}_filters", f"{layer.name}_flips"]
    common = {"filters": kernel.shape[-1], "use_bias": layer.bias is not None}
    bias = [] if layer.bias is None else [_array(layer.bias)]
    if layer.reduction == "concat":
        if layer.groups == 1:
            return _convolution(layer, np.concatenate([kernel, flipped], axis=-1))
        merge: Any = keras.layers.Concatenate(
            -1 if layer.data_format == "channels_last" else 1, dtype=layer.dtype_policy
        )
    else:
        merge = {"max": keras.layers.Maximum, "min": keras.layers.Minimum}[layer.reduction](dtype=layer.dtype_policy)
    # Adding one bias to both changes the maximum by it, and an activation after that sees what it saw.
    pair = [
        Replacement(_stock(layer, _stock_class(layer), name=name, activation=None, **common), (one, *bias))
        for name, one in zip(names, (kernel, flipped), strict=True)
    ]
    activate = _activation(layer)
    return _model(layer, lambda x: activate(merge([one.layer(x) for one in pair])), _any_size(layer), pair)


def _fourier(layer: Any) -> Replacement:
    """Return the convolution of the image that goes on beyond its borders with itself."""
    shape = _input_shape(layer)
    axes = (1, 2) if layer.data_format == "channels_last" else (2, 3)
    _check_sizes(shape, axes)
    own = {"padding": "valid", "strides": 1, "name": f"{layer.name}_conv"}
    conv = Replacement(_stock(layer, keras.layers.Conv2D, **own), (_array(layer.kernel), *_bias(layer)))

    def call(x: Any) -> Any:
        for axis, size in zip(axes, layer.kernel_size, strict=True):
            before, after, length = (size - 1) // 2, size // 2, shape[axis]
            pieces = [_cut(x, axis, slice(length - before % length, None))] if before % length else []
            pieces += [x] * (before // length + 1 + after // length)
            pieces += [_cut(x, axis, slice(0, after % length))] if after % length else []
            x = keras.layers.Concatenate(axis, dtype=layer.dtype_policy)(pieces) if len(pieces) > 1 else x
        return conv.layer(x)

    return _model(layer, call, shape[1:], [conv])


def _group_batch_normalization(layer: Any) -> Replacement:
    return Replacement(_stock(layer, keras.layers.BatchNormalization), _repeated(layer))


def _group_layer_normalization(layer: Any) -> Replacement:
    return Replacement(_stock(layer, keras.layers.LayerNormalization), _repeated(layer))


def _repeated(layer: Any) -> tuple[np.ndarray, ...]:
    """Return the weights with an entry for each element of each group channel."""
    return tuple(np.repeat(_array(weight), groups.get(layer.group, 2).order) for weight in layer.weights)


def _group_pooling(layer: Any) -> Replacement:
    shape = _input_shape(layer)
    axis, order = layer.axis % len(shape), groups.get(layer.group, 2).order
    kind: Any = {"max": keras.layers.Maximum, "mean": keras.layers.Average}[layer.reduction]
    merge = kind(dtype=layer.dtype_policy)
    sizes = [size if index == axis else None for index, size in enumerate(shape)]
    return _model(layer, lambda x: merge([_cut(x, axis, slice(g, None, order)) for g in range(order)]), sizes[1:], [])


def _spectral_pooling(layer: Any) -> Replacement:
    """Return one matrix product for each axis: cropping a spectrum is linear."""
    shape: Any = list(_input_shape(layer))
    first = 1 if layer.data_format == "channels_last" else 2
    axes = range(first, first + layer.rank)
    _check_sizes(shape, axes)
    pooled: Any = layer.compute_output_shape(tuple(shape))
    steps: list[Replacement] = []
    letters = "bxyz"[: len(shape)]
    sizes = shape[1:]
    for axis in axes:
        old, matrix = letters[axis], resampling_matrix(shape[axis], pooled[axis]).T
        sizes[axis - 1] = pooled[axis]
        product = keras.layers.EinsumDense(
            f"{letters},{old}w->{letters.replace(old, 'w')}",
            output_shape=tuple(sizes),
            dtype=layer.dtype_policy,
            trainable=False,
            name=f"{layer.name}_axis{axis}",
        )
        steps.append(Replacement(product, (matrix,)))

    def call(x: Any) -> Any:
        for step in steps:
            x = step.layer(x)
        return x

    return _model(layer, call, shape[1:], steps)


def _top_k(layer: Any) -> Replacement:
    shape = _input_shape(layer)

    def call(x: Any) -> Any:
        last = layer.data_format == "channels_last"
        top: Any = keras.ops.top_k(_swap_axes(layer, x) if last else x, layer.k)
        return _swap_axes(layer, top[0]) if last else top[0]

    return _model(layer, call, shape[1:], [])


def _swap_axes(layer: Any, x: Any) -> Any:
    return keras.layers.Permute((2, 1), dtype=layer.dtype_policy)(x)


def _global_convolution(layer: Any) -> Replacement:
    """Return ``x (K0 - K1) + (sum of x) K1``: what each position gets from itself, and all get from all."""
    itself, others = _array(layer.kernel).astype(np.float64)
    names = {name: f"{layer.name}_{name}" for name in ("position", "total")}
    common = {"dtype": layer.dtype_policy, "trainable": layer.trainable}
    dense = keras.layers.Dense
    position = Replacement(
        dense(layer.filters, use_bias=layer.use_bias, name=names["position"], **common),
        ((itself - others), *_bias(layer)),
    )
    total = Replacement(dense(layer.filters, use_bias=False, name=names["total"], **common), (others,))
    shape = _input_shape(layer)
    activate = _activation(layer)
    last = layer.data_format == "channels_last"

    def call(x: Any) -> Any:
        if len(shape) == 2:
            x = keras.layers.Reshape((-1, 1), dtype=layer.dtype_policy)(x)
        elif not last:
            x = _swap_axes(layer, x)
        everything = keras.ops.sum(x, axis=1, keepdims=True)
        outputs = activate(keras.layers.Add(dtype=layer.dtype_policy)([position.layer(x), total.layer(everything)]))
        return outputs if last else _swap_axes(layer, outputs)

    return _model(layer, call, shape[1:], [position, total])


def _activation(layer: Any) -> Callable[[Any], Any]:
    if layer.activation in (None, keras.activations.linear):
        return lambda x: x
    return keras.layers.Activation(**live_activation(layer, layer.get_config()), dtype=layer.dtype_policy)


def _input_shape(layer: Any) -> tuple[int | None, ...]:
    """Return the shape that a layer was built for."""
    return tuple(layer.get_build_config()["input_shape"])


def _any_size(layer: Any) -> list[int | None]:
    """Return the shape of the input of a convolution, without the batch, whose spatial sizes are left open."""
    shape = _input_shape(layer)
    axis = len(shape) - 1 if layer.data_format == "channels_last" else 1
    return [size if index == axis else None for index, size in enumerate(shape)][1:]


def _check_sizes(shape: Sequence[int | None], axes: Sequence[int]) -> None:
    if any(shape[axis] is None for axis in axes):
        raise ValueError(
            "its plain form depends on the spatial sizes of its input, which must be known: give the model an Input of "
            f"a fixed size. Received: input shape {tuple(shape)}"
        )


def _cut(x: Any, axis: int, part: slice) -> Any:
    return x[(*[slice(None)] * axis, part)]


def _model(
    layer: Any, call: Callable[[Any], Any], shape: Sequence[int | None], parts: Sequence[Replacement]
) -> Replacement:
    """Return a small model in the place of a layer, with the weights of its parts."""
    inputs = keras.Input(tuple(shape), dtype=layer.compute_dtype)
    model = keras.Model(inputs, call(inputs), name=layer.name)
    for part in parts:
        part.layer.set_weights(list(part.weights))
    if not layer.trainable:
        model.trainable = False
    return Replacement(model)


_RULES: dict[Any, Callable[[Any], Replacement]] = {
    (layers.TwinFlipConv1D, layers.TwinFlipConv2D, layers.TwinFlipConv3D): _twins,
    layers.FourierConv2D: _fourier,
    (layers.SymmetricDepthwiseConv1D, layers.SymmetricDepthwiseConv2D): _depthwise,
    (layers.SymmetricSeparableConv1D, layers.SymmetricSeparableConv2D): _separable,
    (
        *(layers.SymmetricConv1DTranspose, layers.SymmetricConv2DTranspose, layers.SymmetricConv3DTranspose),
        *(layers.FlipBankConv2DTranspose, layers.FlipBankConv3DTranspose, layers.GroupConv2DTranspose),
    ): _transposed,
    (
        *(layers.SymmetricConv1D, layers.SymmetricConv2D, layers.SymmetricConv3D),
        *(layers.TiledConv1D, layers.TiledConv2D, layers.TiledConv3D, layers.PatternConv1D, layers.PatternConv2D),
        *(layers.FlipBankConv1D, layers.FlipBankConv2D, layers.FlipBankConv3D),
        *(layers.SpectralConv1D, layers.SpectralConv2D, layers.GroupConv2D),
    ): _convolution,
    layers.GroupBatchNormalization: _group_batch_normalization,
    layers.GroupLayerNormalization: _group_layer_normalization,
    layers.GroupPooling: _group_pooling,
    (layers.SpectralPooling1D, layers.SpectralPooling2D): _spectral_pooling,
    layers.TopKPooling1D: _top_k,
    layers.GlobalConv1D: _global_convolution,
}
