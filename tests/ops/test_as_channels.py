"""Folded values as channels: they equal SciPy and the dense form; where they are offered, and taken."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.ops.checks import arrays, assert_close, by_litert, correlated, values_and_gradients
from tf_symconv import kernels, libraries, ops
from tf_symconv.kernels import Ties
from tf_symconv.ops._as_channels import AsChannels, has_channels
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._forms import Problem
from tf_symconv.ops._schemes import Scheme, schemes_of

NAMES = ("folded axis 0, as channels", "folded axis 1, as channels")


def axes(size: Any = (9, 8), kernel: Any = (5, 3), padding: str = "same") -> tuple[Axis, ...]:
    return tuple(Axis(n, k, 1, 1, padding) for n, k in zip(size, kernel, strict=True))


def schemes(problem: Problem) -> dict[str, Scheme]:
    shape = (*(axis.kernel for axis in problem.axes), problem.channels, problem.filters)
    return {one.name: one for one in schemes_of(kernels.Mirror("hv"), shape, problem)}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("sign", [1, -1])
def test_against_scipy(axis: int, padding: str, sign: int) -> None:
    """Odd kernels, and even ones, whose padding is uneven, in float64."""
    problem = Problem(axes((13, 11), (5, 4), padding), 3, 2)
    ties = [Ties.mirrored(of.kernel, sign) for of in problem.axes]
    form = AsChannels(problem, ties, axis)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2, 13, 11, 3))
    small = rng.normal(size=(*(one.reduced for one in form.ties), 3, 2))
    kernel = np.einsum("ia,jb,abcf->ijcf", *(one.matrix for one in form.ties), small)
    assert kernel.shape == (5, 4, 3, 2)
    outputs = form(tf.constant(inputs), tf.constant(small)).numpy()
    np.testing.assert_allclose(outputs, correlated(inputs, kernel, problem.axes), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_their_gradients_equal_the_dense_ones(name: str) -> None:
    problem = Problem(axes(), 3, 4)
    inputs, latent = arrays(kernels.Mirror("hv"), (5, 3, 3, 4), problem)

    @tf.function
    def twice(scheme: Scheme) -> tuple[list[Any], list[Any]]:
        with tf.GradientTape() as tape:
            tape.watch([inputs, latent])
            first = values_and_gradients(scheme.run, inputs, latent)
            norm = tf.add_n([tf.reduce_sum(tf.square(one)) for one in first])
        return first, [norm, *tape.gradient(norm, [inputs, latent])]

    for found, wanted in zip(twice(schemes(problem)[name]), twice(schemes(problem)["dense"]), strict=True):
        assert_close(found, wanted, name, 5e-5)
    assert_close(
        values_and_gradients(schemes(problem)[name].run, inputs, latent),
        values_and_gradients(schemes(problem)["dense"].run, inputs, latent),
        "eager",
    )


def test_the_gradient_with_respect_to_the_inputs_is_made_by_convolutions() -> None:
    """The stock one leaves most lanes of a processor empty where channels are few."""
    problem = Problem(axes(), 3, 4)
    inputs, latent = arrays(kernels.Mirror("hv"), (5, 3, 3, 4), problem)
    step = tf.function(lambda x, z: values_and_gradients(schemes(problem)[NAMES[0]].run, x, z))
    types = [op.type for op in step.get_concrete_function(inputs, latent).graph.get_operations()]
    # Two convolutions forward, two back, and one that autodiff of the kernel's gradient adds, which is pruned.
    assert (types.count("Conv2D"), types.count("Conv2DBackpropFilter")) == (5, 1)


@pytest.mark.parametrize(
    "problem",
    [
        Problem(axes(), 8, 4),
        Problem(axes(), 4, 4, groups=2),
        Problem(axes(), 1, 4, depthwise=True),
        Problem(axes((None, 8)), 3, 4),
        Problem(axes((4, 8), padding="valid"), 3, 4),
        Problem((Axis(9, 5, 1, 1, "same"), Axis(8, 3, 2, 1, "same")), 3, 4),
        Problem((Axis(9, 5, 1, 2, "same"), Axis(8, 3, 1, 2, "same")), 3, 4),
        Problem(tuple(Axis(n, 3, 1, 1, "same") for n in (9, 8, 7)), 3, 4),
    ],
    ids=["many channels", "groups", "depthwise", "unknown size", "no outputs", "strides", "dilation", "volume"],
)
def test_where_it_is_not_offered(problem: Problem) -> None:
    ties = [Ties.mirrored(axis.kernel) for axis in problem.axes]
    assert not has_channels(problem, ties, [0])


def test_it_folds_one_axis() -> None:
    problem, ties = Problem(axes(), 3, 4), [Ties.mirrored(5), Ties.mirrored(3)]
    assert has_channels(problem, ties, [0]) and has_channels(problem, ties, [1])
    assert not has_channels(problem, ties, [0, 1])
    assert set(NAMES) <= schemes(problem).keys()


def test_it_is_taken_for_steps_of_pictures() -> None:
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "padding": "same"}
    with libraries.planned_for("onednn"):
        plan = ops.plan_convolution((16, 56, 56, 3), kernels.Mirror("v"), (5, 5, 3, 64), **options, device="CPU")
        compiled = ops.plan_convolution((16, 56, 56, 3), kernels.Mirror("v"), (5, 5, 3, 64), **options, device="XLA")
    assert plan.training_forward == plan.inputs_gradient == plan.kernel_gradient == NAMES[0]
    assert NAMES[0] not in (compiled.training_forward, compiled.inputs_gradient, compiled.kernel_gradient)


def test_multiplications() -> None:
    found = schemes(Problem(axes((56, 56), (5, 5)), 3, 64))
    # Nine channels for each of five columns, and five cells for each folded value and channel.
    assert found[NAMES[0]].multiplications == 56 * 56 * (5 * 9 * 64 + 9 * 5 * 3)
    assert found["dense"].multiplications == 56 * 56 * 75 * 64


@pytest.mark.parametrize("batch", [1, 5])
def test_batches_of_unknown_size(batch: int) -> None:
    problem = Problem(axes(), 3, 4)
    found = schemes(problem)
    inputs, latent = arrays(kernels.Mirror("hv"), (5, 3, 3, 4), problem, batch=batch)
    free = [tf.TensorSpec((None, 9, 8, 3)), tf.TensorSpec(latent.shape)]
    function = tf.function(lambda x, z: values_and_gradients(found[NAMES[1]].run, x, z), input_signature=free)
    assert_close(function(inputs, latent), values_and_gradients(found["dense"].run, inputs, latent), str(batch))


@pytest.mark.parametrize("batch", [None, 0])
def test_batches_that_may_have_no_examples_do_without(batch: int | None) -> None:
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "device": "CPU"}
    for implementation in ("auto", "folded"):
        options["implementation"] = implementation
        plan = ops.plan_convolution((batch, 56, 56, 3), kernels.Mirror("v"), (7, 7, 3, 64), **options)
        assert not {plan.forward, plan.training_forward, plan.inputs_gradient, plan.kernel_gradient} & set(NAMES)


def test_litert_runs_it() -> None:
    problem = Problem(axes(), 3, 4)
    inputs, latent = arrays(kernels.Mirror("hv"), (5, 3, 3, 4), problem)
    found = by_litert(lambda x: schemes(problem)[NAMES[0]].run(x, latent), inputs)
    np.testing.assert_allclose(found, schemes(problem)["dense"].run(inputs, latent), atol=1e-5)
