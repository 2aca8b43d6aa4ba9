"""The functions whose time is taken: a layer, its dense form and the plain Keras layers it stands for, at one shape."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import layers
from tf_symconv.benchmarks._cases import Case
from tf_symconv.ops._order import after

_PATTERN = "AABCC/AABCC/DDEFF/GGHII/GGHII"
_RATE = 1e-6  # small enough that thousands of steps change nothing
# By bytes of a number, of the norm of the outputs or of a gradient; a wrong row at the border alone makes 1e-1.
_TOLERANCES = {2: 3e-2, 4: 5e-3, 8: 5e-3}


@dataclasses.dataclass(frozen=True)
class Options:
    """How the functions are made.

    Args:
        implementations: Forms of our layer, out of ``tf_symconv.ops.IMPLEMENTATIONS``.
        jit_compile: Whether XLA compiles them.
        bias: Whether the layers have a bias.
        dtype: The Keras dtype policy of the layers.
        device: A TensorFlow device, ``""`` for its own choice.
        seed: Of weights and inputs.
    """

    implementations: tuple[str, ...] = ("dense", "auto")
    jit_compile: bool = False
    bias: bool = False
    dtype: str = "float32"
    device: str = ""
    seed: int = 0

    def of_layers(self) -> dict[str, Any]:
        """Return the arguments of the layers."""
        return {"use_bias": self.bias, "dtype": self.dtype}


@dataclasses.dataclass(frozen=True)
class Subjects:
    """What is compared at one shape.

    Args:
        functions: By name: ``"plain"`` and the implementations. A call ends when the work is done.
        plan: What ``layer.plan`` says of the layer under ``"auto"``, None where there is no such method.
        difference: Norm of the difference between the results of the implementations, as a share of the result's.
    """

    functions: dict[str, Callable[[], Any]]
    plan: Any
    difference: float


class Twins(keras.layers.Layer):
    """What a twin flip stands for: two plain convolutions and the reduction of their outputs."""

    def __init__(self, reduction: str, make: Callable[[int], keras.layers.Layer], filters: int, dtype: Any) -> None:
        super().__init__(dtype=dtype)
        self.reduction = reduction
        each = filters // 2 if reduction == "concat" else filters
        self.first, self.second = make(each), make(each)

    def build(self, input_shape: Any) -> None:
        self.first.build(input_shape)
        self.second.build(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        *rest, channels = self.first.compute_output_shape(input_shape)
        return (*rest, channels * (2 if self.reduction == "concat" else 1))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        first, second = self.first(inputs), self.second(inputs)
        if self.reduction == "concat":
            return tf.concat([first, second], -1)
        return tf.maximum(first, second) if self.reduction == "max" else first + second


def structured_layer(case: Case, **options: Any) -> keras.layers.Layer:
    """Return our layer, not built; ``options`` are arguments that all convolutions have."""
    kernel, filters = case.kernel, case.channels_out
    options = {"padding": "same", **options}
    name, _, rest = case.layer.partition("-")
    if case.layer == "mirror-1d":
        return layers.SymmetricConv1D(filters, kernel, symmetry="h", **options)
    if case.layer == "mirror-3d":
        return layers.SymmetricConv3D(filters, kernel, symmetry="hvz", **options)
    if name == "mirror":
        return layers.SymmetricConv2D(filters, kernel, symmetry=rest, **options)
    if name == "tile":
        small = (1, kernel) if rest == "rows" else (kernel, 1)
        return layers.TiledConv2D(filters, small, multiples=small[::-1], **options)
    if name == "pattern":
        return layers.PatternConv2D(filters, _PATTERN, **options)
    if name == "twin":
        return layers.TwinFlipConv2D(filters, kernel, reduction=rest, **options)
    if name == "bank":
        return layers.FlipBankConv2D(filters, kernel, symmetry={rest: filters}, **options)
    if name == "depthwise":
        return layers.SymmetricDepthwiseConv2D(kernel, symmetry="hv", **options)
    if name == "separable":
        return layers.SymmetricSeparableConv2D(filters, kernel, symmetry="hv", **options)
    if name == "spectral":
        return layers.SpectralConv2D(filters, kernel, **options)
    if name == "group":
        group, kind = rest.split("-")
        return layers.GroupConv2D(
            filters, kernel, group=group, input_group=group if kind == "regular" else None, **options
        )
    return layers.SymmetricConv2D(filters, kernel, symmetry=case.layer, **options)


def plain_layer(case: Case, **options: Any) -> keras.layers.Layer:
    """Return the plain Keras layer with the same filters, not built; for twins, two of them and the reduction."""
    kernel, filters = case.kernel, case.channels_out
    options = {"padding": "same", **options}
    conv = keras.layers
    if case.layer.startswith("twin-"):
        make = functools.partial(conv.Conv2D, kernel_size=kernel, **options)
        reduction = case.layer.removeprefix("twin-")
        return Twins(reduction, lambda each: make(filters=each), filters, options.get("dtype"))
    if case.layer == "depthwise":
        return conv.DepthwiseConv2D(kernel, **options)
    stock = {"mirror-1d": conv.Conv1D, "mirror-3d": conv.Conv3D, "separable": conv.SeparableConv2D}
    return stock.get(case.layer, conv.Conv2D)(filters, kernel, **options)


def subjects(case: Case, options: Options) -> Subjects:
    """Build the layers of a case, and the functions that run them.

    Raises:
        ArithmeticError: If the implementations disagree.
    """
    keras.utils.set_random_seed(options.seed)
    common = options.of_layers()
    with tf.device(options.device or None):
        built = {"plain": plain_layer(case, **common)}
        for name in options.implementations:
            built[name] = structured_layer(case, implementation=name, **common)
        for layer in built.values():
            layer.build(case.input_shape)
        first = built[options.implementations[0]]
        for name in options.implementations[1:]:
            built[name].set_weights(first.get_weights())
        given = arguments(first, case)
        functions = {name: function(layer, given, options) for name, layer in built.items()}
        difference = _difference([functions[name]() for name in options.implementations])
    if difference > _TOLERANCES[given[0].dtype.size]:
        raise ArithmeticError(f"{case.key}: the implementations differ by {difference:.2g} of the result's norm")
    return Subjects(functions, _plan(built.get("auto"), case, options), difference)


def folds(case: Case, options: Options) -> bool:
    """Return whether a layer under ``"auto"`` folds anything that it computes in this case, as far as it has a plan."""
    with tf.device(options.device or None):
        layer = structured_layer(case, implementation="auto", **options.of_layers())
        layer.build(case.input_shape)
    plan = _plan(layer, case, options)
    steps = ("training_forward", "inputs_gradient", "kernel_gradient")
    parts = ("forward",) if case.kind == "inference" else steps
    return plan is not None and any(getattr(plan, part) != "dense" for part in parts)


def _plan(layer: Any, case: Case, options: Options) -> Any:
    """Return the plan of a layer, None where it has none: it is not there, or has several convolutions."""
    plan = getattr(layer, "plan", None)
    device = "XLA" if options.jit_compile and not tf.config.list_logical_devices("GPU") else None
    return None if plan is None else plan(case.input_shape, device)


def arguments(layer: keras.layers.Layer, case: Case) -> tuple[tf.Tensor, ...]:
    """Return random inputs of a built layer, and for a training step a gradient with respect to its outputs."""
    shapes = [case.input_shape]
    if case.kind == "training":
        shapes.append(layer.compute_output_shape(case.input_shape))
    return tuple(tf.cast(tf.random.normal(shape), layer.compute_dtype) for shape in shapes)


def function(layer: keras.layers.Layer, given: Sequence[tf.Tensor], options: Options) -> Callable[[], Any]:
    """Return a function without arguments that calls the layer, or does a training step where a gradient is given.

    Args:
        layer: A built layer.
        given: The inputs; for a training step also the gradient with respect to the outputs, which the rest of a
            network would give. The step computes the outputs and the gradient with respect to the inputs, which it
            returns, and the gradients with respect to the weights, of which it subtracts a share.
        options: See :class:`Options`.
    """
    weights = [variable.value for variable in layer.trainable_variables]

    @functools.partial(tf.function, jit_compile=options.jit_compile)
    def run(inputs: tf.Tensor, *upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if not upstream:
            return (layer(inputs, training=False),)
        with tf.GradientTape() as tape:
            tape.watch([inputs, *weights])
            outputs = layer(inputs, training=True)
        # The rest of a network gives its gradient when it has the outputs.
        upstream = [after(gradient, outputs) for gradient in upstream]
        to_inputs, *to_weights = tape.gradient(outputs, [inputs, *weights], output_gradients=upstream)
        for weight, gradient in zip(weights, to_weights, strict=True):
            weight.assign_sub(_RATE * gradient)
        return outputs, to_inputs  # the outputs too: a step that returns none of them skips the forward pass

    return _finished(functools.partial(run, *given))


def construction_seconds(case: Case, runs: int = 5) -> dict[str, float]:
    """Return the median seconds to construct and build our layer and the plain one, tables not yet made."""
    from tf_symconv.benchmarks.construction import forget

    shape = (None, *case.input_shape[1:])
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(runs):
        for name, make in (("plain", plain_layer), ("ours", structured_layer)):
            forget()
            start = time.perf_counter()
            make(case).build(shape)
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def _finished(run: Callable[[], Any]) -> Callable[[], Any]:
    """Return ``run`` as it is where calls end with the work done, else with a wait for the device."""
    if not tf.config.list_physical_devices("GPU"):
        return run

    def waiting() -> Any:
        result = run()
        tf.test.experimental.sync_devices()
        return result

    return waiting


def _difference(results: Sequence[Sequence[tf.Tensor]]) -> float:
    """Return the norm of the largest difference from the first result, as a share of the norm of that.

    Not its largest entry: where both twins answer almost alike, rounding decides which one a gradient goes to.
    """
    worst = 0.0
    for other in results[1:]:
        for wanted, found in zip(results[0], other, strict=True):
            wanted, found = (tf.cast(one, tf.float64) for one in (wanted, found))
            difference = float(tf.norm(found - wanted) / tf.maximum(tf.norm(wanted), 1e-30))
            worst = max(worst, difference if math.isfinite(difference) else math.inf)
    return worst
