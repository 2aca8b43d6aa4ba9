"""Minimal filtering equals the convolution, to the digits that it promises, wherever it is offered."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.ops.checks import assert_close, by_litert, correlated, values_and_gradients
from tf_symconv import kernels, layers, libraries, ops
from tf_symconv.ops import _winograd
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._by_point import WinogradByPoint, has_filtering_by_point
from tf_symconv.ops._forms import Dense, Problem
from tf_symconv.ops._winograd import Winograd, has_minimal_filtering

FORMS: list[Any] = [Winograd, WinogradByPoint]
by_both = pytest.mark.parametrize("form", FORMS, ids=["in groups", "by point"])


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, Problem, int]:
    form = draw(st.sampled_from(FORMS))
    padding = draw(st.sampled_from(["valid", "same"]))
    axes = []
    for smallest, largest in ((1, 9), (3, 9)) if form is Winograd else ((3, 8), (1, 9)):
        kernel = draw(st.integers(smallest, largest))
        size = draw(st.integers(kernel if padding == "valid" else 1, 21))
        axes.append(Axis(size, kernel, 1, 1, padding))
    groups = draw(st.sampled_from([1, 1, 2])) if form is Winograd else 1
    channels, filters = (draw(st.sampled_from([1, 3, 9])) * groups for _ in range(2))
    return form, Problem(tuple(axes), channels, filters, groups), draw(st.sampled_from([1, 3]))


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(problems())
def test_it_equals_the_dense_convolution(case: tuple[Any, Problem, int]) -> None:
    form, problem, batch = case
    assert has_minimal_filtering(problem) if form is Winograd else has_filtering_by_point(problem)
    sizes, cells = ([getattr(axis, what) for axis in problem.axes] for what in ("size", "kernel"))
    inputs = tf.constant(numbers(batch, *sizes, problem.channels))
    kernel = tf.constant(numbers(*cells, problem.channels // problem.groups, problem.filters, seed=1))
    want = values_and_gradients(Dense(problem), inputs, kernel)
    assert_close(values_and_gradients(form(problem), inputs, kernel), want, str(case), 2e-5)


@pytest.mark.parametrize(
    ("form", "width"),
    [(Winograd, width) for width in (3, 4, 5, 7, 9)] + [(WinogradByPoint, width) for width in (3, 5, 7, 8)],
)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_against_scipy(width: int, padding: str, form: Any) -> None:
    """64 channels, in float64: what it rounds in float32 is what the module's text says."""
    sizes, cells = ((16, 18), (3, width)) if form is Winograd else ((18, 16), (width, 3))
    inputs, kernel = numbers(2, *sizes, 64), numbers(*cells, 64, 2)
    rows, columns = (Axis(size, cell, 1, 1, padding) for size, cell in zip(sizes, cells, strict=True))
    problem = Problem((rows, columns), 64, 2)
    outputs = form(problem)(tf.constant(inputs), tf.constant(kernel)).numpy()
    want = correlated(inputs.astype(float), kernel.astype(float), problem.axes)
    assert np.linalg.norm(outputs - want) < 4e-6 * np.linalg.norm(want)
    double = form(problem)(tf.constant(inputs, tf.float64), tf.constant(kernel, tf.float64)).numpy()
    np.testing.assert_allclose(double, want, atol=1e-11)


@by_both
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_second_derivatives(padding: str, form: Any) -> None:
    groups = 2 if form is Winograd else 1
    problem = Problem((Axis(8, 4, 1, 1, padding), Axis(9, 5, 1, 1, padding)), 4, 6, groups)
    inputs, kernel = tf.constant(numbers(3, 8, 9, 4)), tf.constant(numbers(4, 5, 4 // groups, 6))

    def twice(form: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            first = values_and_gradients(form, inputs, kernel)
            norm = tf.add_n([tf.reduce_sum(tf.square(one)) for one in first])
        return [norm, *tape.gradient(norm, [inputs, kernel])]

    assert_close(twice(form(problem)), twice(Dense(problem)), padding, 2e-5)


@by_both
def test_it_takes_large_batches_in_lots_two_at_a_time(monkeypatch: pytest.MonkeyPatch, form: Any) -> None:
    problem = Problem((Axis(8, 3, 1, 1, "same"), Axis(9, 3, 1, 1, "same")), 4, 6)
    inputs, kernel = tf.constant(numbers(7, 8, 9, 4)), tf.constant(numbers(3, 3, 4, 6))
    want = values_and_gradients(Dense(problem), inputs, kernel)

    def convolutions() -> int:
        traced = tf.function(lambda x, k: form(problem)(x, k), autograph=False).get_concrete_function(inputs, kernel)
        return sum(op.type == "Conv2D" for op in traced.graph.get_operations())

    each = 1 if form is Winograd else 8
    assert convolutions() == each
    monkeypatch.setattr(_winograd, "_LOT", 4000)
    assert convolutions() == 4 * each
    function = tf.function(lambda x, k: values_and_gradients(form(problem), x, k))
    assert_close(function(inputs, kernel), want, "lots", 2e-5)


@by_both
def test_batches_of_unknown_size(form: Any) -> None:
    problem = Problem((Axis(8, 3, 1, 1, "same"), Axis(9, 6, 1, 1, "same")), 4, 6)
    kernel = tf.constant(numbers(3, 6, 4, 6))
    free = [tf.TensorSpec((None, 8, 9, 4)), tf.TensorSpec(kernel.shape)]
    function = tf.function(lambda x, k: values_and_gradients(form(problem), x, k), input_signature=free)
    for batch in (1, 5):
        inputs = tf.constant(numbers(batch, 8, 9, 4))
        assert_close(function(inputs, kernel), values_and_gradients(Dense(problem), inputs, kernel), str(batch), 2e-5)


@pytest.mark.parametrize(
    "axes",
    [
        (Axis(32, 5, 1, 1, "same"),),
        (Axis(32, 5, 1, 1, "same"), Axis(32, 5, 2, 1, "same")),
        (Axis(32, 5, 1, 2, "same"), Axis(32, 5, 1, 2, "same")),
        (Axis(32, 5, 1, 1, "same"), Axis(32, 2, 1, 1, "same")),
        (Axis(32, 11, 1, 1, "same"), Axis(32, 11, 1, 1, "same")),
        (Axis(None, 5, 1, 1, "same"), Axis(32, 5, 1, 1, "same")),
        (Axis(4, 5, 1, 1, "valid"), Axis(32, 5, 1, 1, "valid")),
        (Axis(224, 5, 1, 1, "same"), Axis(224, 5, 1, 1, "same")),
    ],
    ids=["1-D", "stride", "dilation", "narrow", "wide", "unknown", "no outputs", "large"],
)
def test_where_it_is_not_offered(axes: tuple[Axis, ...]) -> None:
    turned = Problem(axes[::-1], 64, 64)
    assert not has_minimal_filtering(Problem(axes, 64, 64))
    assert not has_filtering_by_point(turned)


def test_nine_rows_are_not_filtered_by_point() -> None:
    """They would round by more than 4e-6."""
    nine = Axis(32, 9, 1, 1, "same")
    assert has_minimal_filtering(Problem((nine, nine), 64, 64))
    assert not has_filtering_by_point(Problem((nine, nine), 64, 64))


def test_auto_takes_it_where_nothing_folds_as_well() -> None:
    """Fourfold turns leave nothing to fold; their kernels are convolved with fewer multiplications nevertheless."""

    def built(**options: Any) -> layers.GroupConv2D:
        layer = layers.GroupConv2D(64, 7, group="c4", padding="same", **options)
        layer.build((16, 32, 32, 64))
        return layer

    plan = built().plan((16, 32, 32, 64), "CPU")
    assert (plan.implementation, plan.forward) == ("winograd", "winograd F(4, 7)")
    # Ten products for four outputs of seven cells, and two products with matrices.
    assert plan.dense_multiplications == 32 * 32 * 49 * 64 * 64
    assert plan.multiplications == 32 * 80 * 7 * 64 * 64 + 2 * 32 * 80 * 32 * 64
    for device, dtype in (("CPU", "mixed_bfloat16"), ("XLA", "float32"), ("GPU", "float32")):
        assert built(dtype=dtype).plan((16, 32, 32, 64), device).implementation == "dense"
    for implementation in ("dense", "folded"):
        assert built(implementation=implementation).plan((16, 32, 32, 64), "CPU").implementation == "dense"


def test_eigen_convolves_for_each_point() -> None:
    layer = layers.GroupConv2D(64, 7, group="c4", padding="same")
    layer.build((16, 32, 32, 64))
    for library, forward in (("onednn", "winograd F(4, 7)"), ("eigen", "winograd F(4, 7), point by point")):
        with libraries.planned_for(library):
            assert layer.plan((16, 32, 32, 64), "CPU").forward == forward


@pytest.mark.parametrize("batch", [0, None])
def test_an_empty_batch(batch: int | None) -> None:
    problem = Problem((Axis(8, 3, 1, 1, "same"), Axis(9, 6, 1, 1, "valid")), 4, 6)
    kernel = tf.constant(numbers(3, 6, 4, 6))
    for form in (Winograd(problem), WinogradByPoint(problem)):
        function = tf.function(lambda x, form=form: form(x, kernel), input_signature=[tf.TensorSpec((batch, 8, 9, 4))])
        assert function(tf.zeros((0, 8, 9, 4))).shape == (0, 8, 4, 6)


def test_mirrors_that_are_convolved_so_have_gradients_that_fold() -> None:
    options = {"strides": (1, 1), "dilations": (1, 1), "padding": "same"}
    plan = ops.plan_convolution((16, 32, 32, 64), kernels.Mirror("v"), (7, 7, 64, 64), device="CPU", **options)
    assert (plan.forward, plan.kernel_gradient) == ("winograd F(4, 7)", "summed axis 0")
    inputs, latent = tf.constant(numbers(16, 32, 32, 64)), tf.constant(numbers(4, 7, 64, 64))

    def results(implementation: str) -> list[tf.Tensor]:
        def convolve(x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
            return ops.convolution(x, z, kernels.Mirror("v"), (7, 7, 64, 64), implementation=implementation, **options)

        return tf.function(lambda x, z: values_and_gradients(convolve, x, z))(inputs, latent)

    assert_close(results("auto"), results("dense"), "mirror", 1e-5)


@by_both
def test_it_converts_to_litert(form: Any) -> None:
    """In groups it is a convolution with dilation, which LiteRT has, if not for gradients."""
    problem = Problem((Axis(8, 3, 1, 1, "same"), Axis(9, 5, 1, 1, "same")), 4, 6)
    inputs, kernel = tf.constant(numbers(2, 8, 9, 4)), tf.constant(numbers(3, 5, 4, 6))
    found = by_litert(lambda x: form(problem)(x, kernel), inputs)
    want = Dense(problem)(inputs, kernel).numpy()
    np.testing.assert_allclose(found, want, atol=1e-5 * np.abs(want).max())


def test_without_the_convolutions_of_onednn() -> None:
    """Groups with dilation are convolved by other code then, and their gradients are not there at all."""
    script = Path(__file__).with_name("without_onednn.py")
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
