"""Lower layers to StableHLO, for machines that have JAX and no TensorFlow. Needs TensorFlow."""

import dataclasses
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tf_symconv import ops
from tf_symconv.benchmarks._cases import Case
from tf_symconv.benchmarks._stablehlo import INDEX
from tf_symconv.benchmarks._subjects import Options, plain_layer, structured_layer


def lower(case: Case, directory: Path, options: Options) -> dict[str, Any]:
    """Write a case as StableHLO text: the plain layer, ours dense and ours folded.

    Weights are arguments, after the inputs; the gradient with respect to the outputs is the last one of a training
    step, which returns the outputs, the gradient with respect to the inputs and the new weights.

    Args:
        case: What to lower.
        directory: Takes ``KEY.FORM.mlir``, and ``index.json``, which says what the files are and what they take.
        options: See :class:`Options`; the implementations do not matter.

    Returns:
        The entry of ``index.json``.
    """
    folded = "folded" if "folded" in ops.IMPLEMENTATIONS else "auto"
    forms: dict[str, keras.layers.Layer] = {"plain": plain_layer(case, use_bias=options.bias)}
    for name, implementation in (("dense", "dense"), ("folded", folded)):
        forms[name] = structured_layer(case, use_bias=options.bias, implementation=implementation)
    stem = case.key.replace("/", "_")
    files, arguments = {}, {}
    for name, layer in forms.items():
        layer.build(case.input_shape)
        text, shapes = stablehlo(layer, case)
        files[name], arguments[name] = f"{stem}.{name}.mlir", shapes
        (directory / files[name]).write_text(text, "utf-8")
    entry = {"case": dataclasses.asdict(case), "files": files, "arguments": arguments}
    index = directory / INDEX
    known = json.loads(index.read_text("utf-8")) if index.exists() else {}
    index.write_text(json.dumps({**known, case.key: entry}, indent=1) + "\n", "utf-8")
    return entry


def stablehlo(layer: keras.layers.Layer, case: Case) -> tuple[str, list[list[int]]]:
    """Return a built layer at the shape of a case as StableHLO text, and the shapes of its float32 arguments."""
    weights = [tuple(variable.shape) for variable in layer.trainable_variables]
    shapes = [case.input_shape, *weights]
    if case.kind == "training":
        shapes.append(tuple(layer.compute_output_shape(case.input_shape)))
    run = tf.function(_training(layer) if case.kind == "training" else _inference(layer), jit_compile=True)
    generate = run.experimental_get_compiler_ir(*(tf.TensorSpec(shape, tf.float32) for shape in shapes))
    return generate(stage="stablehlo", platform_name="CPU"), [list(shape) for shape in shapes]


def _outputs(layer: keras.layers.Layer, inputs: tf.Tensor, weights: Sequence[tf.Tensor], training: bool) -> tf.Tensor:
    takes = "training" in inspect.signature(layer.call).parameters
    return layer.stateless_call(list(weights), [], inputs, **({"training": training} if takes else {}))[0]


def _inference(layer: keras.layers.Layer) -> Callable[..., tf.Tensor]:
    def run(inputs: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
        return _outputs(layer, inputs, weights, training=False)

    return run


def _training(layer: keras.layers.Layer) -> Callable[..., Any]:
    def run(inputs: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        *weights, upstream = rest
        with tf.GradientTape() as tape:
            tape.watch([inputs, *weights])
            outputs = _outputs(layer, inputs, weights, training=True)
        to_inputs, *to_weights = tape.gradient(outputs, [inputs, *weights], output_gradients=[upstream])
        return (outputs, to_inputs, *(weight - 1e-6 * step for weight, step in zip(weights, to_weights, strict=True)))

    return run
