"""Sums that slices of a kernel share: they equal SciPy and the dense form; where they are offered, and taken."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.ops.checks import PATTERN, arrays, assert_close, by_litert, correlated, values_and_gradients
from tf_symconv import kernels, libraries, ops
from tf_symconv.kernels import Ties
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._forms import Problem
from tf_symconv.ops._schemes import Scheme, schemes_of
from tf_symconv.ops._shared import SharedSums, alike, has_shared_sums

NAME = "summed, shared"
RUNS = kernels.Pattern(PATTERN)


def problem(size: Any = (9, 8), kernel: Any = (5, 5), padding: str = "same", channels: int = 4) -> Problem:
    return Problem(tuple(Axis(n, k, 1, 1, padding) for n, k in zip(size, kernel, strict=True)), channels, 6)


def shared_and_dense(of: Problem) -> tuple[Scheme, Scheme]:
    dense, *others = schemes_of(RUNS, (5, 5, of.channels, of.filters), of)
    return next(one for one in others if one.name == NAME), dense


def test_slices_are_alike_whose_windows_are() -> None:
    # AABCC: the inputs of A and C are pairs, three places apart.
    pairs, single = alike(Ties((0, 0, 1, 2, 2), (1, 1, 1, 1, 1)))
    assert (pairs.slices, pairs.window, pairs.first, pairs.apart, pairs.extent) == ((0, 2), (1, 1), 0, 3, 5)
    assert (single.slices, single.window, single.first) == ((1,), (1,), 2)
    # ABAB: each meets every second input. Free slices meet one each.
    assert [one.window for one in alike(Ties((0, 1, 0, 1), (1,) * 4))] == [(1, 0, 1)]
    assert [one.slices for one in alike(Ties.none(4))] == [(0, 1, 2, 3)]
    # Mirrored slices have windows of their own; pairs with signs are no pairs without.
    assert [len(one.slices) for one in alike(Ties.mirrored(6))] == [1, 1, 1]
    assert len(alike(Ties((0, 0, 1, 1), (1, 1, 1, -1)))) == 2
    # Unequal steps make no kernel: one, four and six.
    assert len(alike(Ties((0, 0, 1, 2, 2, 3, 3), (1,) * 7))) == 4


@pytest.mark.parametrize("columns", ["AABCC", "AABBCC", "ABAB", "A.A", "ABCD"])
@pytest.mark.parametrize("rows", ["AABB", "AABCC"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_against_scipy(rows: str, columns: str, padding: str) -> None:
    ties = [Ties.found_in(np.array([[ord(c) if c != "." else 0] for c in one])) for one in (rows, columns)]
    cells = len(rows), len(columns)
    of = Problem(tuple(Axis(n, k, 1, 1, padding) for n, k in zip((9, 8), cells, strict=True)), 3, 2)
    assert has_shared_sums(of, ties, [0, 1])
    rng = np.random.default_rng(0)
    inputs, small = rng.normal(size=(2, 9, 8, 3)), rng.normal(size=(*(one.reduced for one in ties), 3, 2))
    outputs = SharedSums(of, ties)(tf.constant(inputs), tf.constant(small)).numpy()
    kernel = np.einsum("ia,jb,abcf->ijcf", *(one.matrix for one in ties), small)
    np.testing.assert_allclose(outputs, correlated(inputs, kernel, of.axes), atol=1e-12)


@pytest.mark.parametrize(
    "of",
    [
        problem((None, 8)),
        problem((4, 8), padding="valid"),
        Problem((Axis(9, 5, 2, 1, "same"), Axis(8, 5, 2, 1, "same")), 4, 6),
        Problem((Axis(9, 5, 1, 2, "same"), Axis(8, 5, 1, 2, "same")), 4, 6),
        Problem((Axis(9, 5, 1, 1, "same"), Axis(8, 5, 1, 1, "same")), 4, 6, 2),
        Problem((Axis(9, 5, 1, 1, "same"), Axis(8, 5, 1, 1, "same")), 4, 4, 4, depthwise=True),
    ],
    ids=["unknown size", "no outputs", "strides", "dilation", "groups", "depthwise"],
)
def test_where_they_are_not_offered(of: Problem) -> None:
    assert not has_shared_sums(of, RUNS.ties((5, 5)), [0, 1])


def test_they_fold_all_ties_and_share_something() -> None:
    ties = RUNS.ties((5, 5))
    assert has_shared_sums(problem(), ties, [0, 1])
    assert not has_shared_sums(problem(), ties, [0])
    assert not has_shared_sums(problem(), [Ties.mirrored(5)] * 2, [0, 1])


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_gradients_and_theirs(padding: str, xla: bool) -> None:
    """Stock TensorFlow has no gradients of dilated convolutions on the CPU; these are convolutions themselves."""
    of = problem(padding=padding)
    inputs, latent = arrays(RUNS, (5, 5, 4, 6), of)

    @tf.function(jit_compile=xla)
    def twice(scheme: Scheme) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch([inputs, latent])
            first = values_and_gradients(scheme.run, inputs, latent)
            norm = tf.add_n([tf.reduce_sum(tf.square(one)) for one in first])
        return [*first, norm, *tape.gradient(norm, [inputs, latent])]

    shared, dense = (twice(scheme) for scheme in shared_and_dense(of))
    assert_close(shared[:3], dense[:3], "first")
    assert_close(shared[3:], dense[3:], "second", 2e-5)


@pytest.mark.parametrize("batch", [1, 5])
def test_batches_of_unknown_size(batch: int) -> None:
    of = problem()
    shared, dense = shared_and_dense(of)
    inputs, latent = arrays(RUNS, (5, 5, 4, 6), of, batch=batch)
    free = [tf.TensorSpec((None, 9, 8, 4)), tf.TensorSpec(latent.shape)]
    function = tf.function(lambda x, z: values_and_gradients(shared.run, x, z), input_signature=free)
    assert_close(function(inputs, latent), values_and_gradients(dense.run, inputs, latent), str(batch))


def test_what_the_libraries_take_them_for() -> None:
    """Eigen also for gradients; with oneDNN that of the kernel takes three times as long as the dense one."""
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "device": "CPU"}
    for library, of_kernel in (("eigen", True), ("onednn", False)):
        with libraries.planned_for(library):
            plan = ops.plan_convolution((8, 56, 56, 64), RUNS, (5, 5, 64, 64), **options)
        assert plan.forward == NAME
        assert (plan.kernel_gradient == NAME) is of_kernel
    # Nine cells, and three sums of four or two numbers of each channel, for some more places than there are outputs.
    shared, _ = shared_and_dense(Problem((Axis(32, 5, 1, 1, "same"),) * 2, 64, 64))
    sums = 35 * 35 * 4 + 35 * 32 * 2 + 32 * 35 * 2
    assert shared.multiplications == 32 * 32 * 9 * 64 * 64 + sums * 64


def test_it_converts_to_litert() -> None:
    of = problem()
    shared, dense = shared_and_dense(of)
    inputs, latent = arrays(RUNS, (5, 5, 4, 6), of)
    found = by_litert(lambda x: shared.run(x, latent), inputs)
    np.testing.assert_allclose(found, dense.run(inputs, latent), atol=1e-5)
