"""Sums of few channels, side by side: they equal SciPy and the dense form; where they are offered, and taken."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.ops.checks import MAPS, arrays, assert_close, by_litert, correlated, values_and_gradients
from tf_symconv import kernels, libraries, ops
from tf_symconv.kernels import Ties
from tf_symconv.ops import _flat
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._flat import Flat, has_flat_product
from tf_symconv.ops._forms import Problem
from tf_symconv.ops._schemes import Scheme, schemes_of

NAME = "folded both, flat"


def axes(size: Any = (9, 8), kernel: Any = (5, 3), dilation: int = 1, padding: str = "same") -> tuple[Axis, ...]:
    return tuple(Axis(n, k, 1, dilation, padding) for n, k in zip(size, kernel, strict=True))


def flat_and_dense(problem: Problem) -> tuple[Scheme, Scheme]:
    shape = (*(axis.kernel for axis in problem.axes), problem.channels, problem.filters)
    dense, *others = schemes_of(kernels.Mirror("hv"), shape, problem)
    return next(one for one in others if one.name == NAME), dense


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (-1, -1)])
def test_against_scipy(signs: tuple[int, int], padding: str, dilation: int) -> None:
    """Odd kernels, and even ones, whose padding is uneven, in float64."""
    problem = Problem(axes((13, 11), (5, 4), dilation, padding), 3, 2)
    ties = [Ties.mirrored(axis.kernel, sign) for axis, sign in zip(problem.axes, signs, strict=True)]
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2, 13, 11, 3))
    small = rng.normal(size=(*(one.reduced for one in ties), 3, 2))
    outputs = Flat(problem, ties)(tf.constant(inputs), tf.constant(small)).numpy()
    kernel = np.einsum("ia,jb,abcf->ijcf", *(one.matrix for one in ties), small)
    spread = np.zeros((4 * dilation + 1, 3 * dilation + 1, 3, 2))
    spread[::dilation, ::dilation] = kernel
    np.testing.assert_allclose(outputs, correlated(inputs, spread, problem.axes), atol=1e-12)


@pytest.mark.parametrize("name", ["mirror v", "mirror hv", "odd and even", "circular", "tile", "pattern", "zeros"])
def test_structures_of_few_channels_have_it(name: str) -> None:
    """Elsewhere all schemes are compared with the dense one; these are among them."""
    kernel_map, shapes = MAPS[name]
    for spatial in shapes:
        schemes = schemes_of(kernel_map, (*spatial, 2, 4), Problem(axes(kernel=spatial), 2, 4))
        folds = any(not one.is_free for one in kernel_map.ties(spatial))
        assert (NAME in [one.name for one in schemes]) is folds, spatial


@pytest.mark.parametrize(
    "problem",
    [
        Problem(axes(), 8, 4),
        Problem(axes(), 4, 4, groups=2),
        Problem(axes((None, 8)), 3, 4),
        Problem(axes((4, 8), padding="valid"), 3, 4),
        Problem((Axis(9, 5, 1, 1, "same"), Axis(8, 3, 2, 1, "same")), 3, 4),
        Problem(axes((9, 8, 7), (3, 3, 3)), 3, 4),
    ],
    ids=["many channels", "groups", "unknown size", "no outputs", "strides", "volume"],
)
def test_where_it_is_not_offered(problem: Problem) -> None:
    ties = [Ties.mirrored(axis.kernel) for axis in problem.axes]
    assert not has_flat_product(problem, ties, range(len(ties)))


def test_it_folds_all_ties() -> None:
    problem = Problem(axes(), 3, 4)
    both, rows = [Ties.mirrored(5), Ties.mirrored(3)], [Ties.mirrored(5), Ties.none(3)]
    assert has_flat_product(problem, both, [0, 1]) and has_flat_product(problem, rows, [0])
    assert not has_flat_product(problem, both, [0])


@pytest.mark.parametrize(("library", "batch", "size", "others"), [("eigen", 16, 56, NAME), ("onednn", 1, 32, "dense")])
def test_what_the_libraries_take_it_for(library: str, batch: int, size: int, others: str) -> None:
    """Eigen takes it for all; oneDNN for the gradient of a single example with respect to the inputs."""
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "device": "CPU"}
    with libraries.planned_for(library):
        plan = ops.plan_convolution((batch, size, size, 3), kernels.Mirror("hv"), (5, 5, 3, 64), **options)
    assert (plan.forward, plan.inputs_gradient, plan.kernel_gradient) == (others, NAME, others)


def test_multiplications() -> None:
    flat, dense = flat_and_dense(Problem(axes((56, 56), (5, 5)), 3, 64))
    # Nine sums of three channels for each place and filter.
    assert (dense.multiplications, flat.multiplications) == (56 * 56 * 75 * 64, 56 * 56 * 27 * 64)


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_batches_of_unknown_size(batch: int) -> None:
    problem = Problem(axes(), 3, 4)
    flat, dense = flat_and_dense(problem)
    inputs, latent = arrays(kernels.Mirror("hv"), (5, 3, 3, 4), problem, batch=batch)
    free = [tf.TensorSpec((None, 9, 8, 3)), tf.TensorSpec(latent.shape)]
    function = tf.function(lambda x, z: values_and_gradients(flat.run, x, z), input_signature=free)
    found = function(inputs, latent)
    if batch:
        assert_close(found, values_and_gradients(dense.run, inputs, latent), str(batch))
    else:
        assert [one.shape for one in found] == [(0, 9, 8, 4), inputs.shape, latent.shape]
        assert not found[-1].numpy().any()


def test_gradients_of_inputs_come_in_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(axes(), 3, 4)
    flat, dense = flat_and_dense(problem)
    inputs, latent = arrays(kernels.Mirror("hv"), (5, 3, 3, 4), problem, batch=5)

    def traced() -> Any:
        return tf.function(lambda x, z: values_and_gradients(flat.run, x, z)).get_concrete_function(inputs, latent)

    def products(function: Any) -> int:
        return sum(op.type == "MatMul" for op in function.graph.get_operations())

    whole = products(traced())
    monkeypatch.setattr(_flat, "_LOT", 2 * 9 * 8 * 18)  # folded numbers of two examples
    lots = traced()
    assert products(lots) > whole
    assert_close(lots(inputs, latent), values_and_gradients(dense.run, inputs, latent), "lots")


def test_second_derivatives_in_a_graph() -> None:
    problem = Problem(axes(), 3, 4)
    inputs, latent = arrays(kernels.Mirror("hv"), (5, 3, 3, 4), problem)

    @tf.function
    def twice(scheme: Scheme) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch([inputs, latent])
            first = values_and_gradients(scheme.run, inputs, latent)
            norm = tf.add_n([tf.reduce_sum(tf.square(one)) for one in first])
        return [norm, *tape.gradient(norm, [inputs, latent])]

    flat, dense = flat_and_dense(problem)
    assert_close(twice(flat), twice(dense), "twice")


def test_it_converts_to_litert() -> None:
    problem = Problem(axes(), 3, 4)
    flat, dense = flat_and_dense(problem)
    inputs, latent = arrays(kernels.Mirror("hv"), (5, 3, 3, 4), problem)
    found = by_litert(lambda x: flat.run(x, latent), inputs)
    np.testing.assert_allclose(found, dense.run(inputs, latent), atol=1e-5)
