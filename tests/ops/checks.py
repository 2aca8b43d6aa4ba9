"""Kernel maps that fold, and what the tests of their convolutions compare."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.signal import correlate2d

from docs.conversion_table import _interpreter as interpreter_of
from tf_symconv import kernels
from tf_symconv.kernels import KernelMap
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._forms import Problem

PATTERN = "AABCC/AABCC/DDEFF/GGHII/GGHII"
MAPS: dict[str, tuple[KernelMap, list[tuple[int, ...]]]] = {
    "mirror v": (kernels.Mirror("v"), [(3, 3), (4, 2), (5, 3), (1, 3)]),
    "mirror h": (kernels.Mirror("h"), [(3, 3), (2, 4)]),
    "mirror hv": (kernels.Mirror("hv"), [(3, 3), (5, 4), (2, 2)]),
    "odd": (kernels.Mirror("hv", "odd"), [(3, 3), (4, 5)]),
    "odd and even": (kernels.Mirror("hv", ("odd", "even")), [(3, 3), (4, 3)]),
    "c2": (kernels.Rotational(2), [(3, 3), (4, 2)]),
    "c4": (kernels.Rotational(4), [(3, 3)]),
    "d4": (kernels.Rotational(4, reflect=True), [(3, 3), (4, 4)]),
    "circular": (kernels.Circular(), [(5, 5), (3, 4)]),
    "linear": (kernels.Circular("linear"), [(5, 5)]),
    "tile": (kernels.Tile((3, 1)), [(3, 2), (6, 3)]),
    "tile both": (kernels.Tile((2, 2)), [(4, 4), (2, 6)]),
    "pattern": (kernels.Pattern(PATTERN), [(5, 5)]),
    "zeros": (kernels.Pattern("A.A/B.B"), [(2, 3)]),
    "bank": (kernels.FlipBank({"hv": 8}), [(3, 3), (2, 4)]),
    "bank h": (kernels.FlipBank({"h": 8}), [(3, 3)]),
    "lift d4": (kernels.GroupLift("d4"), [(3, 3), (4, 4)]),
    "lift hv": (kernels.GroupLift("hv"), [(3, 4)]),
    "regular d4": (kernels.GroupRegular("d4"), [(3, 3), (4, 4)]),
    "regular h": (kernels.GroupRegular("h"), [(3, 2)]),
    "1-D": (kernels.Mirror("h"), [(3,), (6,)]),
    "1-D tile": (kernels.Tile((3,)), [(3,), (6,)]),
    "3-D": (kernels.Mirror("hvz"), [(3, 2, 3)]),
}


def arrays(
    kernel_map: KernelMap, shape: tuple[int, ...], problem: Problem, seed: int = 0, batch: int = 2
) -> tuple[tf.Tensor, ...]:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(batch, *(axis.size or 9 for axis in problem.axes), problem.channels))
    latent = rng.normal(size=kernel_map.latent_shape(shape))
    return tf.constant(inputs, tf.float32), tf.constant(latent, tf.float32)


@tf.autograph.experimental.do_not_convert  # which would take seconds
def values_and_gradients(scheme: Any, inputs: tf.Tensor, latent: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch([inputs, latent])
        outputs = scheme(inputs, latent)
        loss = tf.reduce_sum(
            outputs * tf.reshape(tf.sin(tf.range(tf.size(outputs), dtype=outputs.dtype)), tf.shape(outputs))
        )
    gradients: Any = tape.gradient(loss, [inputs, latent])
    return [outputs, *gradients]


def assert_close(got: list[tf.Tensor], want: list[tf.Tensor], label: str, tolerance: float = 1e-5) -> None:
    for name, one, other in zip(("outputs", "inputs", "latent"), got, want, strict=True):
        assert one.shape == other.shape, f"{label}: {name}"
        scale = float(tf.reduce_max(tf.abs(other))) if tf.size(other) > 0 else 0.0
        np.testing.assert_allclose(one, other, atol=tolerance * scale + 1e-6, err_msg=f"{label}: {name}")


def correlated(inputs: np.ndarray, kernel: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """Return the convolution of pictures by SciPy, without strides; the kernel holds the zeros of its dilation."""
    if axes[0].padding == "same":
        inputs = np.pad(inputs, [(0, 0), *((axis.before(axis.size), axis.extent) for axis in axes), (0, 0)])
    made = np.zeros((len(inputs), *(axis.outputs(axis.size) for axis in axes), kernel.shape[-1]))
    _, rows, columns, filters = made.shape
    for example in range(len(inputs)):
        for channel in range(kernel.shape[-2]):
            for filter_ in range(filters):
                one = correlate2d(inputs[example, ..., channel], kernel[..., channel, filter_], mode="valid")
                made[example, ..., filter_] += one[:rows, :columns]
    return made


def by_litert(function: Callable[[tf.Tensor], tf.Tensor], inputs: tf.Tensor) -> np.ndarray:
    """Return what the function makes of the inputs once it is converted to LiteRT."""
    traced = tf.function(function, input_signature=[tf.TensorSpec(inputs.shape)], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])
    interpreter = interpreter_of(converter.convert())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
