"""Gradients that are convolutions equal those of the stock convolution, and are chosen where they are faster."""

from typing import Any

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.ops.checks import assert_close, values_and_gradients
from tf_symconv import kernels, layers, libraries, ops
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._convolved import Convolved, has_convolved_gradients
from tf_symconv.ops._forms import Dense, Problem


def numbers(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Problem, int]:
    padding = draw(st.sampled_from(["valid", "same"]))
    axes = []
    for _ in range(2):
        kernel = draw(st.integers(1, 6))
        axes.append(Axis(draw(st.integers(kernel if padding == "valid" else 1, 12)), kernel, 1, 1, padding))
    channels, filters = (draw(st.sampled_from([1, 3, 8])) for _ in range(2))
    return Problem(tuple(axes), channels, filters), draw(st.sampled_from([1, 3, 8]))


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(problems())
def test_they_equal_those_of_the_stock_convolution(case: tuple[Problem, int]) -> None:
    problem, batch = case
    assert has_convolved_gradients(problem)
    sizes, cells = ([getattr(axis, what) for axis in problem.axes] for what in ("size", "kernel"))
    given = numbers(batch, *sizes, problem.channels), numbers(*cells, problem.channels, problem.filters, seed=1)
    assert_close(values_and_gradients(Convolved(problem), *given), values_and_gradients(Dense(problem), *given), "")


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_second_derivatives(padding: str) -> None:
    problem = Problem((Axis(8, 4, 1, 1, padding), Axis(9, 5, 1, 1, padding)), 4, 6)
    given = [numbers(3, 8, 9, 4), numbers(4, 5, 4, 6)]

    def twice(form: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(given)
            norm = tf.add_n([tf.reduce_sum(tf.square(one)) for one in values_and_gradients(form, *given)])
        return [norm, *tape.gradient(norm, given)]

    assert_close(twice(Convolved(problem)), twice(Dense(problem)), padding, 2e-5)


def test_batches_of_unknown_size() -> None:
    problem = Problem((Axis(8, 3, 1, 1, "same"), Axis(9, 4, 1, 1, "same")), 4, 6)
    kernel = numbers(3, 4, 4, 6)
    free = [tf.TensorSpec((None, 8, 9, 4)), tf.TensorSpec(kernel.shape)]
    function = tf.function(lambda x, k: values_and_gradients(Convolved(problem), x, k), input_signature=free)
    for batch in (1, 5):
        inputs = numbers(batch, 8, 9, 4)
        assert_close(function(inputs, kernel), values_and_gradients(Dense(problem), inputs, kernel), str(batch))


@pytest.mark.parametrize(
    ("axes", "options"),
    [
        ((Axis(32, 5, 1, 1, "same"),), {}),
        ((Axis(32, 5, 1, 1, "same"), Axis(32, 5, 2, 1, "same")), {}),
        ((Axis(32, 5, 1, 2, "same"), Axis(32, 5, 1, 2, "same")), {}),
        ((Axis(None, 5, 1, 1, "same"), Axis(32, 5, 1, 1, "same")), {}),
        ((Axis(4, 5, 1, 1, "valid"), Axis(32, 5, 1, 1, "valid")), {}),
        ((Axis(32, 5, 1, 1, "same"), Axis(32, 5, 1, 1, "same")), {"groups": 2}),
        ((Axis(32, 5, 1, 1, "same"), Axis(32, 5, 1, 1, "same")), {"groups": 64, "depthwise": True}),
    ],
    ids=["1-D", "stride", "dilation", "unknown", "no outputs", "groups", "depthwise"],
)
def test_where_they_are_not_offered(axes: tuple[Axis, ...], options: dict[str, Any]) -> None:
    assert not has_convolved_gradients(Problem(axes, 64, 64, **options))


def planned(library: str, batch: int | None = 16, device: str = "CPU", **options: Any) -> ops.Plan:
    layer = layers.GroupConv2D(64, 3, group="c4", padding="same", **options)
    layer.build((batch, 32, 32, 64))
    with libraries.planned_for(library):
        return layer.plan((batch, 32, 32, 64), device)


def test_auto_takes_them_where_gradients_are_slow() -> None:
    name = Convolved(Problem((Axis(4, 3, 1, 1, "same"),) * 2, 4, 4)).name
    assert planned("eigen").kernel_gradient == name
    # Where a few examples would be all the channels, where gradients are fast, and where they are not ours to choose:
    for other in (
        planned("eigen", batch=1),
        planned("eigen", batch=None),
        planned("onednn"),
        planned("eigen", device="XLA"),
        planned("eigen", implementation="dense"),
    ):
        assert name not in (other.forward, other.inputs_gradient, other.kernel_gradient)


def test_a_layer_trains_by_them() -> None:
    inputs, latent = numbers(16, 32, 32, 64), numbers(5, 5, 64, 16)
    options = {"strides": (1, 1), "dilations": (1, 1), "padding": "same"}

    def results(implementation: str) -> list[tf.Tensor]:
        def convolve(x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
            kernel_map = kernels.GroupRegular("c4")
            return ops.convolution(x, z, kernel_map, (5, 5, 64, 64), implementation=implementation, **options)

        with libraries.planned_for("eigen"):
            return tf.function(lambda x, z: values_and_gradients(convolve, x, z))(inputs, latent)

    assert_close(results("auto"), results("dense"), "c4", 1e-5)
