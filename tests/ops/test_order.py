"""Forward passes and gradients come in lots, and one after the other, where that saves memory."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from tests.ops.checks import arrays, assert_close, values_and_gradients
from tf_symconv import kernels
from tf_symconv.kernels import KernelMap
from tf_symconv.ops import _scheme
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._forms import Problem, Room
from tf_symconv.ops._order import after
from tf_symconv.ops._plan import Choice
from tf_symconv.ops._run import run
from tf_symconv.ops._schemes import Scheme, schemes_of


def named(schemes: Iterable[Scheme]) -> dict[str, Scheme]:
    return {scheme.name: scheme for scheme in schemes}


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", ["winograd F(8, 3)", "folded axis 1", "summed axis 1"])
def test_large_steps_are_taken_in_lots(name: str, graph: bool) -> None:
    problem = Problem((Axis(7, 5, 1, 1, "same"), Axis(6, 3, 1, 1, "same")), 2, 3)
    kernel_map, shape = kernels.Mirror("hv"), (5, 3, 2, 3)
    schemes = schemes_of(kernel_map, shape, problem)
    inputs, latent = arrays(kernel_map, shape, problem, batch=11)
    tight = dataclasses.replace(named(schemes)[name], room=Room(1000, 2500))
    choice = Choice(schemes[0], tight, tight, tight, "", (11,))
    lots = tight.lots(11)
    assert 1 < lots <= 11

    def tested(x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        return run(choice, x, z)

    both = values_and_gradients(schemes[0].run, inputs, latent)
    if graph:
        assert_close(tf.function(lambda x, z: values_and_gradients(tested, x, z))(inputs, latent), both, "graph")
    else:
        assert_close(values_and_gradients(tested, inputs, latent), both, "eager")


@pytest.mark.parametrize(("batches", "xla"), [([1, 3, 8, 11], False), ([3, 11], True)])
@pytest.mark.parametrize("name", ["winograd F(8, 3)", "folded axis 1", "summed axis 1", "mixed"])
def test_large_steps_of_unknown_batches_are_taken_in_lots(
    name: str, batches: list[int], xla: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr(_scheme, "_FEW", 4)
    tight = Room(1000, 2500)
    problem = Problem((Axis(7, 5, 1, 1, "same"), Axis(6, 3, 1, 1, "same")), 2, 3)
    kernel_map, shape = kernels.Mirror("hv"), (5, 3, 2, 3)
    by_name = named(
        dataclasses.replace(scheme, room=tight, xla_room=tight) for scheme in schemes_of(kernel_map, shape, problem)
    )
    dense = by_name["dense"]
    mixed = ("folded axis 1", "winograd F(8, 3)", "summed axis 1")
    parts = [by_name[part] for part in (mixed if name == "mixed" else (name,) * 3)]
    choice = Choice(dense, *parts, "", (1, 32))
    assert [part.lots(None) for part in parts] == [4, 4, 4]
    given = [arrays(kernel_map, shape, problem, batch=batch) for batch in batches]

    def twice(scheme: Any) -> Any:
        def both(x: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch([x, z])
                first = values_and_gradients(scheme, x, z)
                norm = tf.add_n([tf.reduce_sum(tf.square(one)) for one in first])
            return [*first, *tape.gradient(norm, [x, z])]

        return both

    function = tf.function(
        twice(lambda x, z: run(choice, x, z)),
        input_signature=[tf.TensorSpec((None, 7, 6, 2)), tf.TensorSpec(given[0][1].shape)],
        jit_compile=xla,
    )
    branches = "StatelessIf" in {op.type for op in function.get_concrete_function().graph.get_operations()}
    assert branches is not xla
    for inputs, latent in given:
        for got, want in zip(function(inputs, latent), twice(dense.run)(inputs, latent), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-5 * float(tf.reduce_max(tf.abs(want))))


@pytest.mark.parametrize("xla", [False, True])
def test_waiting_changes_nothing(xla: bool) -> None:
    odd = [np.nan, np.inf, -np.inf, 1e38, -0.0]
    others = [tf.constant([value]) for value in odd] + [tf.zeros([0, 3]), tf.ones([2, 2], tf.bfloat16)]
    waiting = tf.function(lambda tensor, *others: after(tensor, *others), jit_compile=xla)
    for tensor in (tf.constant(odd), tf.constant([1.5], tf.float16), tf.constant(2.0, tf.float64)):
        got = waiting(tensor, *others)
        assert got.dtype == tensor.dtype
        np.testing.assert_array_equal(got, tensor)


@pytest.mark.parametrize("gradient", ["summed axis 1", "folded both, spread", "winograd F(6, 5)"])
def test_gradients_of_inputs_alone_compute_none_of_kernels(gradient: str) -> None:
    """They wait for those of kernels; TensorFlow leaves out what is waited for and not wanted."""
    problem, kernel_map, shape = Problem((Axis(7, 5, 1, 1, "same"),) * 2, 2, 3), kernels.Mirror("hv"), (5, 5, 2, 3)
    dense, *others = schemes_of(kernel_map, shape, problem)
    (scheme,) = (scheme for scheme in others if scheme.name == gradient)
    choice = Choice(dense, dense, scheme, dense, "", (4,))

    values = [tf.ones(shape) for shape in ((4, 7, 7, 2), (3, 3, 2, 3), (4, 7, 7, 3))]

    def kernel_gradients(count: int) -> int:
        @tf.function(autograph=False)
        def gradients(x: tf.Tensor, z: tf.Tensor, dy: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, z])
                y = run(choice, x, z)
            return tape.gradient(y, [x, z][:count], output_gradients=dy)

        recorder: Any = context.context()
        recorder.enable_run_metadata()
        gradients(*values)
        ran = recorder.export_run_metadata()
        recorder.disable_run_metadata()
        graphs = [graph for function in ran.function_graphs for graph in function.partition_graphs]
        return sum("BackpropFilter" in node.op for graph in graphs for node in graph.node)

    assert kernel_gradients(2) == 1
    assert kernel_gradients(1) == 0


@pytest.mark.parametrize("name", ["winograd F(6, 5)", "folded axis 0", "folded axis 1", "summed axis 1"])
def test_with_xla_gradients_of_inputs_alone_wait_for_none_of_kernels(name: str) -> None:
    """It computes what something waits for, wanted or not."""
    problem = Problem((Axis(7, 5, 1, 1, "same"), Axis(6, 5, 1, 1, "same")), 2, 3)
    kernel_map, shape = kernels.Mirror("hv"), (5, 5, 2, 3)
    by_name = named(schemes_of(kernel_map, shape, problem))
    dense = by_name["dense"]
    choice = Choice(dense, dense, by_name[name], dense, "", (4,))
    latent = tf.random.normal(kernel_map.latent_shape(shape))

    def gradient(x: tf.Tensor, dy: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = run(choice, x, latent)
        return tape.gradient(y, [x], output_gradients=[dy])[0]

    specs = [tf.TensorSpec((4, 7, 6, channels)) for channels in (2, 3)]
    graph = tf.function(gradient, jit_compile=True, autograph=False).get_concrete_function(*specs).graph
    assert graph.inputs[1].op in _needed(graph.outputs[0])
    assert graph.inputs[0].op not in _needed(graph.outputs[0])  # the gradient of the kernel would need them


@pytest.mark.parametrize(
    ("kernel_map", "filters"),
    [(kernels.Mirror("hv"), 4), (kernels.FlipBank({"hv": 4}), 4), (kernels.GroupRegular("hv"), 4)],
    ids=["mirror", "bank", "group"],
)
def test_gradients_of_unknown_batches_compute_no_more_than_those_of_known_ones(
    kernel_map: KernelMap, filters: int
) -> None:
    """TensorFlow's gradient of a reshape asks what shape came in, and so for all that made it."""
    problem = Problem((Axis(8, 5, 1, 1, "same"), Axis(9, 5, 1, 1, "same")), 4, filters)
    shape = (5, 5, 4, filters)
    latent = tf.random.normal(kernel_map.latent_shape(shape))

    def products(scheme: Scheme, batch: int | None) -> int:
        def gradient(x: tf.Tensor, dy: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = scheme.run(x, latent)
            return tape.gradient(y, [x], output_gradients=[dy])

        specs = [tf.TensorSpec((batch, 8, 9, channels)) for channels in (4, filters)]
        (made,) = tf.function(gradient, autograph=False).get_concrete_function(*specs).outputs
        found, waiting = set(), [made.op]
        while waiting:
            op = waiting.pop()
            if op not in found:
                found.add(op)
                waiting += [tensor.op for tensor in op.inputs]
        return sum("MatMul" in op.type or "Conv" in op.type for op in found)

    tested = [scheme for scheme in schemes_of(kernel_map, shape, problem) if "both" in scheme.name]
    assert tested
    for scheme in tested:
        assert products(scheme, None) == products(scheme, 6) > 0


def test_gradients_that_fold_anew_wait_for_theirs() -> None:
    """So the folded inputs of the forward pass are gone by then."""
    problem = Problem((Axis(7, 5, 1, 1, "same"), Axis(6, 3, 1, 1, "same")), 2, 3)
    kernel_map, shape = kernels.Mirror("hv"), (5, 3, 2, 3)
    dense, *folded = schemes_of(kernel_map, shape, problem)
    latent = tf.random.normal(kernel_map.latent_shape(shape))

    def waits(kernel_gradient: Scheme) -> bool:
        choice = Choice(dense, folded[3], folded[3], kernel_gradient, "", (4,))

        def gradients(x: tf.Tensor, dy: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, latent])
                y = run(choice, x, latent)
            return tape.gradient(y, [x, latent], output_gradients=[dy])

        specs = [tf.TensorSpec((4, 7, 6, channels)) for channels in (2, 3)]
        graph = tf.function(gradients, autograph=False).get_concrete_function(*specs).graph
        inputs, dy = graph.inputs[:2]
        return any(
            _origin(op.outputs[0]) is inputs and dy in [_origin(other.outputs[0]) for other in op.control_inputs]
            for op in graph.get_operations()
            if op.type == "Identity"
        )

    assert waits(folded[4])
    assert not waits(folded[3])


def _needed(tensor: tf.Tensor) -> set[tf.Operation]:
    """Return the ops that run for a tensor once a graph is pruned."""
    found: set[tf.Operation] = set()
    waiting = [tensor]
    while waiting:
        tensor = waiting.pop()
        op = tensor.op
        if op.type == "IdentityN":  # what is not asked for is pruned
            waiting.append(op.inputs[tensor.value_index])
        elif op not in found and op.type not in ("Shape", "ShapeN"):  # sizes are known
            found.add(op)
            waiting += [*op.inputs, *(output for other in op.control_inputs for output in other.outputs)]
    return found


def _origin(tensor: tf.Tensor) -> tf.Tensor:
    """Return what a tensor is a copy of."""
    return _origin(tensor.op.inputs[0]) if tensor.op.type == "Identity" else tensor


def test_products_wait_for_the_one_before_the_last_and_for_no_sum() -> None:
    problem, kernel_map, shape = Problem((Axis(9, 7, 1, 1, "same"),) * 2, 2, 3), kernels.Mirror("v"), (7, 7, 2, 3)
    scheme = named(schemes_of(kernel_map, shape, problem))["summed axis 0"]
    specs = tf.TensorSpec((2, 9, 9, 2)), tf.TensorSpec(kernel_map.latent_shape(shape))
    graph = tf.function(scheme.run).get_concrete_function(*specs).graph
    products = [op for op in graph.get_operations() if op.type == "Conv2D"]

    def before(last: tf.Operation) -> set[tf.Operation]:
        found, waiting = set(), [last]
        while waiting:
            op = waiting.pop()
            for one in (*(tensor.op for tensor in op.inputs), *op.control_inputs):
                if one not in found:
                    found.add(one)
                    waiting.append(one)
        return found

    waited_for = [before(op) for op in products]
    assert [sum(one in some for one in products) for some in waited_for] == [0, 0, 1, 1]
    assert not any(op.type == "AddV2" for some in waited_for for op in some)
