"""Folded convolutions equal dense ones: values, gradients and second derivatives."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.ops.checks import MAPS, arrays, assert_close, values_and_gradients
from tf_symconv import kernels, ops
from tf_symconv.kernels import KernelMap
from tf_symconv.ops import _forms
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._forms import Problem
from tf_symconv.ops._plan import Choice
from tf_symconv.ops._run import run
from tf_symconv.ops._schemes import Scheme, schemes_of, twin_schemes_of


@st.composite
def cases(draw: st.DrawFn) -> tuple[KernelMap, tuple[int, ...], Problem]:
    kernel_map, shapes = MAPS[draw(st.sampled_from(sorted(MAPS)))]
    spatial = draw(st.sampled_from(shapes))
    stride, dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2), (3, 1)]))
    paddings = ["valid", "same"] + ["causal"] * (len(spatial) == 1)
    padding = draw(st.sampled_from(paddings))
    axes = []
    for kernel in spatial:
        smallest = (kernel - 1) * dilation + 1 if padding == "valid" else 1
        axes.append(Axis(draw(st.integers(smallest, smallest + 9)), kernel, stride, dilation, padding))
    paired = isinstance(kernel_map, kernels.FlipBank | kernels.GroupLift | kernels.GroupRegular)
    groups = 1 if paired else draw(st.sampled_from([1, 1, 2]))
    channels = 8 if isinstance(kernel_map, kernels.GroupRegular) else draw(st.sampled_from([2, 8]))
    problem = Problem(tuple(axes), channels * groups, 8 if paired else 4, groups)
    return kernel_map, (*spatial, channels, problem.filters), problem


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(cases())
def test_every_scheme_equals_the_dense_one(case: tuple[KernelMap, tuple[int, ...], Problem]) -> None:
    kernel_map, shape, problem = case
    inputs, latent = arrays(kernel_map, shape, problem)
    dense, *folded = schemes_of(kernel_map, shape, problem)
    dilated = any(axis.dilation > 1 for axis in problem.axes)
    measure = (lambda run, *args: [run(*args)]) if dilated else values_and_gradients  # no dilated gradients on the CPU
    want = measure(dense.run, inputs, latent)
    for scheme in folded:
        got = measure(scheme.run, inputs, latent)
        for one, other in zip(got, want, strict=True):
            assert one.shape == other.shape
            scale = float(tf.reduce_max(tf.abs(other))) if tf.size(other) > 0 else 0.0
            np.testing.assert_allclose(one, other, atol=1e-5 * scale + 1e-6, err_msg=f"{scheme.name}: {case}")


@pytest.mark.parametrize("name", sorted(MAPS))
def test_the_structures_that_fold_have_folded_schemes(name: str) -> None:
    kernel_map, shapes = MAPS[name]
    spatial = shapes[0]
    problem = Problem(tuple(Axis(9, kernel, 1, 1, "same") for kernel in spatial), 8, 8)
    dense, *folded = schemes_of(kernel_map, (*spatial, 8, 8), problem)
    assert dense.name == "dense"
    assert folded, "no folded scheme"

    # Fewer products with the kernel, whatever the folding matrices add.
    def products(scheme: Scheme) -> int:
        return sum(step.multiplications for step in scheme.steps or () if step.kernel)

    folds = [scheme for scheme in folded if scheme.implementation == "folded"]
    assert min(products(scheme) for scheme in folds) < products(dense)


def test_free_kernels_have_none() -> None:
    problem = Problem((Axis(9, 3, 1, 1, "same"),) * 2, 4, 8)
    found = schemes_of(kernels.Free(), (3, 3, 4, 8), problem)
    assert "folded" not in [scheme.implementation for scheme in found]


@pytest.mark.parametrize("reduction", ops.REDUCTIONS)
@pytest.mark.parametrize("flipped", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize(("spatial", "stride", "padding"), [((3, 4), 1, "same"), ((5, 2), 2, "valid")])
def test_twins(reduction: str, flipped: tuple[int, ...], spatial: tuple[int, int], stride: int, padding: str) -> None:
    problem = Problem(tuple(Axis(9, kernel, stride, 1, padding) for kernel in spatial), 3, 4)
    shape = (*spatial, 3, 4)
    inputs, latent = arrays(kernels.Free(), shape, problem)
    dense, *folded = twin_schemes_of(kernels.Free(), shape, problem, flipped, reduction)
    assert folded
    want = values_and_gradients(dense.run, inputs, latent)
    for scheme in folded:
        assert_close(values_and_gradients(scheme.run, inputs, latent), want, scheme.name)


@pytest.mark.parametrize("name", ["mirror hv", "tile", "tile both", "pattern", "bank", "c2"])
def test_sizes_known_at_run_time_only(name: str) -> None:
    kernel_map, shapes = MAPS[name]
    shape = (*shapes[0], 3, 8)
    for stride, padding in ((1, "same"), (2, "valid")):
        unknown = Problem(tuple(Axis(None, kernel, stride, 1, padding) for kernel in shapes[0]), 3, 8)
        dense, *folded = schemes_of(kernel_map, shape, unknown)
        assert dense.steps is None
        latent = arrays(kernel_map, shape, unknown)[1]
        signature = [tf.TensorSpec((None, None, None, 3)), tf.TensorSpec(latent.shape)]
        for scheme in folded:
            graph = tf.function(scheme.run, input_signature=signature, autograph=False)
            for size in ((9, 12), (70, 6)):
                inputs = tf.constant(np.random.default_rng(1).normal(size=(2, *size, 3)), tf.float32)
                np.testing.assert_allclose(
                    graph(inputs, latent), dense.run(inputs, latent), rtol=1e-4, atol=2e-5, err_msg=scheme.name
                )


def test_long_axes_are_cut_into_frames() -> None:
    kernel_map, shape = kernels.Mirror("h"), (7, 2, 3)
    for size, stride, padding in ((500, 1, "same"), (401, 3, "valid"), (130, 2, "causal")):
        problem = Problem((Axis(size, 7, stride, 1, padding),), 2, 3)
        inputs, latent = arrays(kernel_map, shape, problem)
        dense, *folded = schemes_of(kernel_map, shape, problem)
        want = values_and_gradients(dense.run, inputs, latent)
        for scheme in folded:
            assert_close(values_and_gradients(scheme.run, inputs, latent), want, f"{scheme.name} {size}")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_convolution_folded_and_dense(data_format: str, dtype: str) -> None:
    kernel_map, shape = kernels.Mirror("hv"), (5, 4, 3, 6)
    rng = np.random.default_rng(0)
    size = (2, 9, 12, 3) if data_format == "channels_last" else (2, 3, 9, 12)
    inputs = tf.cast(rng.normal(size=size), dtype)
    latent = tf.cast(rng.normal(size=kernel_map.latent_shape(shape)), "float32" if dtype == "bfloat16" else dtype)
    both = [
        ops.convolution(
            *(inputs, latent, kernel_map, shape),
            strides=(1, 1),
            dilations=(1, 1),
            padding="same",
            data_format=data_format,
            implementation=implementation,
        )
        for implementation in ("folded", "dense")
    ]
    assert both[0].dtype == dtype
    tolerance = {"float32": 1e-5, "float64": 1e-13, "bfloat16": 4e-2}[dtype]
    scale = float(tf.reduce_max(tf.abs(both[1])))
    np.testing.assert_allclose(tf.cast(both[0], "float64"), tf.cast(both[1], "float64"), atol=tolerance * scale)


@pytest.mark.parametrize("implementation", ["dense", "folded"])
def test_depthwise_against_numpy(implementation: str) -> None:
    kernel_map = kernels.Mirror("hv")
    rng = np.random.default_rng(0)
    latent = rng.normal(size=kernel_map.latent_shape((3, 4, 2, 3)))
    inputs = rng.normal(size=(2, 6, 7, 2))
    outputs = ops.depthwise_convolution(
        *(tf.constant(inputs), tf.constant(latent), kernel_map, (3, 4, 2, 3)),
        strides=(1, 1),
        dilations=(1, 1),
        implementation=implementation,
    )
    half = np.concatenate([latent, latent[:, ::-1]], 1)
    kernel = np.concatenate([half, half[:1]], 0)
    want = np.zeros((2, 4, 4, 2, 3))
    for row, column in np.ndindex(4, 4):
        patch = inputs[:, row : row + 3, column : column + 4]
        want[:, row, column] = np.einsum("bijc,ijcm->bcm", patch, kernel)
    np.testing.assert_allclose(outputs, want.reshape(2, 4, 4, 6), rtol=1e-10)


def mixed_choice(kernel_map: KernelMap, shape: tuple[int, ...], problem: Problem) -> tuple[Choice, Scheme]:
    dense, *folded = schemes_of(kernel_map, shape, problem)
    return Choice(dense, dense, folded[0], folded[-1], "", (1,)), dense


def test_forward_and_gradients_may_use_different_schemes() -> None:
    problem = Problem((Axis(7, 5, 1, 1, "same"), Axis(6, 3, 1, 1, "same")), 2, 3)
    kernel_map, shape = kernels.Mirror("hv"), (5, 3, 2, 3)
    inputs, latent = arrays(kernel_map, shape, problem)
    choice, dense = mixed_choice(kernel_map, shape, problem)
    want = values_and_gradients(dense.run, inputs, latent)
    assert_close(values_and_gradients(lambda x, z: run(choice, x, z), inputs, latent), want, "mixed")


@pytest.mark.parametrize("scheme_index", [0, 1, 2, 3, 4, 5, "mixed"])
def test_second_derivatives(scheme_index: Any) -> None:
    problem = Problem((Axis(5, 3, 1, 1, "same"), Axis(4, 3, 1, 1, "same")), 2, 3)
    kernel_map, shape = kernels.Mirror("hv"), (3, 3, 2, 3)
    inputs, latent = arrays(kernel_map, shape, problem)
    dense, *folded = schemes_of(kernel_map, shape, problem)
    if scheme_index == "mixed":
        choice = mixed_choice(kernel_map, shape, problem)[0]
        tested = lambda x, z: run(choice, x, z)  # noqa: E731
    else:
        tested = folded[scheme_index].run

    def hessian_product(scheme: Any) -> list[tf.Tensor]:
        with tf.GradientTape() as outer:
            outer.watch([inputs, latent])
            with tf.GradientTape() as inner:
                inner.watch([inputs, latent])
                loss = tf.reduce_sum(tf.sin(scheme(inputs, latent)))
            first: Any = inner.gradient(loss, [inputs, latent])
            norm = tf.add_n([tf.reduce_sum(tf.square(one)) for one in first])
        second: Any = outer.gradient(norm, [inputs, latent])
        return [*second]

    for got, want in zip(hessian_product(tested), hessian_product(dense.run), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * float(tf.reduce_max(tf.abs(want))))


#: Structures of every kind, which have all forms between them.
KINDS = ("odd and even", "c4", "circular", "tile both", "pattern", "bank", "lift d4", "regular d4", "1-D", "3-D")


def small_problem(name: str) -> tuple[KernelMap, tuple[int, ...], Problem]:
    kernel_map, shapes = MAPS[name]
    axes = tuple(Axis(kernel + 3, kernel, 1, 1, "same") for kernel in shapes[0])
    return kernel_map, (*shapes[0], 8, 8), Problem(axes, 8, 8)


def test_the_kinds_have_every_form() -> None:
    names = {name: {scheme.name for scheme in schemes_of(*small_problem(name))} for name in MAPS}
    assert set.union(*(names[name] for name in KINDS)) == set.union(*names.values())


@pytest.mark.parametrize("name", KINDS)
def test_gradients_in_graphs_come_in_lots(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_forms, "WORTH", 1.0)
    kernel_map, shape, problem = small_problem(name)
    inputs, latent = arrays(kernel_map, shape, problem, batch=5)
    dense, *folded = schemes_of(kernel_map, shape, problem)

    def norm_and_gradients(scheme: Scheme) -> Any:
        @tf.function
        def graph(inputs: tf.Tensor, latent: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([inputs, latent])
                first = values_and_gradients(scheme.run, inputs, latent)
                norm = tf.add_n([tf.reduce_sum(tf.square(one)) for one in first])
            return first, tape.gradient(norm, [inputs, latent])

        first, second = graph(inputs, latent)
        return [*first, *second]

    want = norm_and_gradients(dense)
    for scheme in folded:
        for got, expected in zip(norm_and_gradients(scheme), want, strict=True):
            scale = float(tf.reduce_max(tf.abs(expected)))
            np.testing.assert_allclose(got, expected, atol=2e-5 * scale, err_msg=scheme.name)


def test_graphs_with_the_behaviour_of_tensorflow_1() -> None:
    """It is a switch of the whole process: sizes are no integers there, and conditions are made of other ops."""
    script = Path(__file__).with_name("tf1_behavior.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_compiled_by_xla() -> None:
    problem = Problem((Axis(8, 5, 1, 1, "same"), Axis(9, 5, 1, 1, "same")), 3, 4)
    maps = (kernels.Mirror("hv"), kernels.Tile((5, 1)), kernels.Rotational(2), kernels.FlipBank({"hv": 4}))
    for kernel_map in maps:
        shape = (5, 5, 3, 4)
        inputs, latent = arrays(kernel_map, shape, problem)
        dense, *folded = schemes_of(kernel_map, shape, problem)
        want = values_and_gradients(dense.run, inputs, latent)
        for scheme in folded:
            compiled = tf.function(lambda x, z, run=scheme.run: values_and_gradients(run, x, z), jit_compile=True)
            assert_close(compiled(inputs, latent), want, scheme.name)
