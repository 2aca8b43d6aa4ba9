"""What an export computes at once: kernels, batch normalisation; and that the answers stay those of the model."""

from collections import Counter
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.cases import CASES
from tf_symconv import layers, modules
from tf_symconv.serving import _core
from tf_symconv.serving._model import named_model

# What is no arithmetic: inputs, outputs and what holds numbers.
STILL = {"Const", "EnsureShape", "Identity", "NoOp", "Placeholder", "ReadVariableOp"}
CONVOLUTIONS = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2"}


def exported(model: Any, x: np.ndarray, **arguments: Any) -> tuple[Any, list[Any]]:
    """Return a function that answers as an export does, and its operations."""
    core = _core.make_core(named_model(model, x), **arguments)
    operations = core.function.graph.get_operations()
    return lambda value: next(iter(core.function(tf.constant(value)).values())).numpy(), operations


def arithmetic(operations: list[Any]) -> Counter:
    return Counter(op.type for op in operations if op.type not in STILL)


def independent_of_inputs(operations: list[Any]) -> list[str]:
    """Name what is computed again for each request though it is always the same."""
    graph = operations[0].graph
    captured = {inner.op.name for _, inner in graph.captures}
    varying = {tensor.op.name for tensor in graph.inputs} - captured
    found = []
    for op in operations:  # in the order of their making: sources come first
        sources = {tensor.op.name for tensor in op.inputs}
        if sources & varying:
            varying.add(op.name)
        elif op.type not in STILL:
            found.append(f"{op.type} {op.name}")
    return found


def assert_close(got: np.ndarray, want: Any, tolerance: float = 1e-5) -> None:
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * max(np.abs(want).max(), 1e-6))


@pytest.mark.parametrize("kernels", ["auto", "dense"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_layer_answers_as_in_keras_and_expands_no_kernel(case, kernels):
    model = case.make_model()
    x = case.inputs(batch=3)
    answer, operations = exported(model, x, kernels=kernels)
    assert_close(answer(x), model(x))
    assert independent_of_inputs(operations) == []
    other = case.inputs(batch=5)
    assert_close(answer(other), model(other))


def test_kernels_are_constants_unless_they_shall_be_trainable():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.SymmetricConv2D(4, 3, bias_initializer="ones")])
    named = named_model(model, np.ones((1, 8, 8, 3), "float32"))
    core = _core.make_core(named, "dense")
    assert arithmetic(core.function.graph.get_operations()) == {"Conv2D": 1, "BiasAdd": 1}
    assert not core.variables
    core = _core.make_core(named, "trainable")
    left = arithmetic(core.function.graph.get_operations())
    assert left["GatherV2"] == 1
    assert sorted(tuple(variable.shape) for variable in core.variables) == [(2, 2, 3, 4), (4,)]


@pytest.mark.parametrize(("kernels", "filters_of_five_by_five"), [("auto", 0), ("dense", 2), ("trainable", 2)])
def test_exports_fold_where_constant_kernels_make_it_pay(kernels, filters_of_five_by_five):
    """Taking a kernel apart for every request costs a batch of one example what folding gains."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((32, 32, 64)), layers.TwinFlipConv2D(64, 5, padding="same")])
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 64)).astype("float32")
    answer, operations = exported(model, x, kernels=kernels)
    assert_close(answer(x), model(x))
    full = [op for op in operations if op.type == "Conv2D" and op.inputs[1].shape[:2] == (5, 5)]
    assert len(full) == filters_of_five_by_five


def test_the_layers_are_left_as_they_were():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.SymmetricConv2D(4, 3)])
    exported(model, np.ones((1, 8, 8, 3), "float32"), kernels="dense")
    assert model.layers[0].implementation == "auto"
    with pytest.raises(ValueError, match="kernels must be one of 'auto', 'dense', 'trainable'"):
        exported(model, np.ones((1, 8, 8, 3), "float32"), kernels="fast")


def normalization(**arguments: Any) -> Any:
    """A batch normalisation that has learnt something."""
    make: Any = keras.layers.BatchNormalization
    return make(
        beta_initializer="random_normal",
        gamma_initializer=keras.initializers.RandomUniform(-2, 2),
        moving_mean_initializer="random_normal",
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2),
        **arguments,
    )


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((8, 8, 3), keras.layers.Conv2D(4, 3, use_bias=False)),
        ((8, 8, 3), keras.layers.Conv2D(4, 3, strides=2, padding="same", bias_initializer="ones")),
        ((8, 8, 3), keras.layers.Conv2D(4, 3, dilation_rate=2)),
        ((8, 8, 3), layers.SymmetricConv2D(4, 3, symmetry="v", parity="odd")),
        ((8, 8, 3), keras.layers.Conv2DTranspose(4, 3, strides=2)),
        ((8, 8, 3), keras.layers.DepthwiseConv2D(3, depth_multiplier=2, bias_initializer="ones")),
        ((8, 8, 3), keras.layers.SeparableConv2D(4, 3)),
        ((9, 3), keras.layers.Conv1D(4, 3, bias_initializer="ones")),
        ((9, 3), keras.layers.Conv1D(4, 3, dilation_rate=2, padding="causal")),
        ((9, 3), layers.SymmetricDepthwiseConv1D(3, depth_multiplier=2)),
        ((5, 5, 5, 2), layers.SymmetricConv3D(4, 3)),
        ((5, 5, 5, 2), keras.layers.Conv3DTranspose(4, 2)),
        ((7,), keras.layers.Dense(4, bias_initializer="ones")),
    ],
    ids=lambda value: value.name if isinstance(value, keras.Layer) else "",
)
def test_batch_normalization_goes_into_the_layer_before_it(shape, layer):
    model = keras.Sequential([keras.Input(shape), layer, normalization()])
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    answer, operations = exported(model, x, kernels="dense")
    assert_close(answer(x), model(x))
    left = arithmetic(operations)
    assert left["BiasAdd"] == 1
    assert not {"Mul", "AddV2", "Sub", "Rsqrt", "RealDiv"} & set(left)


@pytest.mark.parametrize(
    "layer",
    [
        layers.SymmetricConv2D(8, 7, symmetry="v", padding="same", bias_initializer="ones", implementation="folded"),
        layers.SymmetricConv2D(8, 5, symmetry="hv", padding="same", use_bias=False, implementation="folded"),
        layers.TiledConv2D(8, (1, 5), multiples=(5, 1), padding="same", implementation="folded"),
        layers.SymmetricConv1D(8, 7, padding="same", implementation="folded"),
    ],
    ids=["rows", "both", "tiled", "1d"],
)
def test_batch_normalization_goes_into_folded_convolutions(layer):
    shape = (*[12] * layer.rank, 8)
    model = keras.Sequential([keras.Input(shape), layer, normalization()])
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    answer, operations = exported(model, x)
    assert_close(answer(x), model(x))
    left = arithmetic(operations)
    assert left["BiasAdd"] + left["AddV2"] == 1 and not left["Mul"]
    assert not {"Shape", "IdentityN"} & set(left)  # what gradients and open batch sizes need is gone
    assert independent_of_inputs(operations) == []
    other = x[:1] + 1
    assert_close(answer(other), model(other))


def test_normalization_after_something_else_stays():
    image = keras.Input((8, 8, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, name="conv")(image)
    both = keras.layers.Add()([normalization()(hidden), hidden])  # also used as it is
    last = normalization()(keras.layers.ReLU()(keras.layers.Conv2D(4, 3)(both)))
    model = keras.Model(image, {"hidden": hidden, "last": last})
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")
    core = _core.make_core(named_model(model, x))
    answer, want = core.function(tf.constant(x)), model(x)
    for name in ("hidden", "last"):
        assert_close(answer[name].numpy(), want[name])
    assert arithmetic(core.function.graph.get_operations())["Mul"] == 2


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((8, 8, 4), keras.layers.Conv2D(6, 3, groups=2, strides=2, padding="same")),
        ((8, 8, 4), keras.layers.Conv2D(4, 3, groups=4, dilation_rate=2)),
        ((9, 4), keras.layers.Conv1D(4, 3, groups=4, padding="causal")),
        ((5, 5, 5, 4), keras.layers.Conv3D(4, 2, groups=2)),
        ((2, 4, 4, 4), keras.layers.Conv3D(4, 3, padding="same", data_format="channels_first")),
    ],
    ids=["2d", "dilated", "1d", "3d", "3d-first"],
)
@pytest.mark.parametrize("kernels", ["auto", "trainable"])
def test_convolutions_that_keras_compiles_by_xla_do_without(shape, layer, kernels):
    model = keras.Sequential([keras.Input(shape), keras.layers.ReLU(), layer])
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    answer, _ = exported(model, x, kernels=kernels)  # which refuses graphs that demand XLA
    assert_close(answer(x), model(x))


def test_keras_has_its_own_convolution_back():
    from keras.src.backend.tensorflow import nn

    before = nn.conv
    with pytest.raises(RuntimeError), _core.stock_convolutions():
        assert nn.conv is not before
        raise RuntimeError
    assert nn.conv is before


def test_loops_and_embeddings_and_calls_are_exported():
    word = keras.Input((5,), dtype="int32", name="word")
    hidden = keras.layers.GRU(3, return_sequences=True)(keras.layers.Embedding(10, 4)(word))
    model = keras.Model(word, keras.layers.Conv1D(2, 3, name="last")(hidden))
    x = np.array([[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]], "int32")
    answer, operations = exported(model, x)
    assert_close(answer(x), model(x))
    kinds = {op.type for op in operations}
    assert "GatherV2" in kinds and "ResourceGather" not in kinds  # the embedding is a constant now

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.first = modules.SymmetricConv2D(4, 3, symmetry="d4")

        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])
        def __call__(self, image: Any) -> Any:
            if tf.reduce_sum(image) > 0.0:
                image *= 2.0
            return tf.nn.relu(self.first(image))

    net = Net()
    for sign in (1, -1):
        image = np.full((2, 8, 8, 3), sign, "float32")
        answer, operations = exported(net, image)
        assert_close(answer(image), net(image))
    assert not any("Call" in op.type for op in operations)
    assert independent_of_inputs(operations) == []


def test_what_a_model_writes_to_stays_a_variable():
    class Counting(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="counting")
            self.count = tf.Variable(tf.zeros(()))
            self.weight = tf.Variable(tf.fill((), 3.0))

        def __call__(self, x: Any) -> Any:
            return x * self.weight + self.count.assign_add(1.0)

    x = np.ones((1, 2), "float32")
    core = _core.make_core(named_model(Counting(), x))
    assert [float(variable) for variable in core.variables] == [0.0]
    first, second = (next(iter(core.function(tf.constant(x)).values())).numpy() for _ in range(2))
    np.testing.assert_allclose(second - first, 1.0)


def test_large_constants_from_nothing_are_not_stored():
    class Noise(tf.Module):
        def __call__(self, x: Any) -> Any:
            return x + tf.reduce_sum(tf.zeros((4096, 1024)) + 1.0)

    x = np.ones((1, 2), "float32")
    core = _core.make_core(named_model(Noise(), x))
    assert core.function.graph.as_graph_def().ByteSize() < 10_000
    np.testing.assert_allclose(next(iter(core.function(tf.constant(x)).values())), 4096 * 1024 + 1)


def test_constants_that_do_not_fit_into_a_graph_become_variables(monkeypatch):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.SymmetricConv2D(16, 3, bias_initializer="ones")])
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    named = named_model(model, x)
    monkeypatch.setattr(_core, "_GRAPH_LIMIT", 1000)
    core = _core.make_core(named, "dense")
    assert [tuple(variable.shape) for variable in core.variables] == [(3, 3, 3, 16)]  # the full kernel
    assert_close(next(iter(core.function(tf.constant(x)).values())).numpy(), model(x))
    with pytest.raises(ValueError, match=r"at most 2 GB.*Received: freeze=True with [\d,]+ bytes"):
        _core.make_core(named, "dense", freeze=True)
    with pytest.raises(ValueError, match="freeze must not be True where kernels='trainable'"):
        _core.make_core(named, "trainable", freeze=True)
    monkeypatch.undo()
    assert len(_core.make_core(named, "dense", freeze=False).variables) == 1
    assert len(_core.make_core(named, "dense").variables) == 0
