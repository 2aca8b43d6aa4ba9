"""The choice between dense and folded, and what a layer tells of it."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import kernels, layers, libraries, modules, ops
from tf_symconv.ops._setting import compiled_by_xla, in_training_step
from tf_symconv.ops._structured import _chosen


def plan(symmetry: str, size: int, channels: tuple[int, int], kernel: int = 5, **options: Any) -> ops.Plan:
    arguments = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "device": "CPU", **options}
    batch = arguments.pop("batch", 8)
    shape = (kernel, kernel, *channels)
    return ops.plan_convolution((batch, size, size, channels[0]), kernels.get(symmetry), shape, **arguments)


def test_large_mirrored_kernels_fold_and_small_work_stays_dense() -> None:
    large = plan("hv", 56, (128, 128), 7)
    assert large.implementation == "folded"
    assert large.forward_cost is not None
    assert large.forward_cost < 0.7
    small = plan("hv", 8, (4, 4), 3)
    assert (small.implementation, small.multiplications) == ("dense", small.dense_multiplications)


def test_multiplications_counted_by_hand() -> None:
    found = plan("v", 32, (64, 64), 5, implementation="folded", batch=1)
    assert found.dense_multiplications == 32 * 32 * 25 * 64 * 64
    # Three rows of five, and a folding matrix of 3 * 32 by 32 for each of the 32 * 64 columns.
    assert found.multiplications == 32 * 32 * 15 * 64 * 64 + 96 * 32 * 32 * 64


def test_gradients_are_chosen_apart() -> None:
    first_layer = plan("hv", 56, (3, 64), 7, batch=16)
    assert first_layer.inputs_gradient != "dense"
    assert first_layer.training_cost is not None
    assert first_layer.training_cost < 0.75


def test_a_training_step_has_a_forward_pass_of_its_own_where_that_saves_enough() -> None:
    """Its folded inputs serve the gradient of the kernel too; Eigen's rates are not sure enough of that."""
    found = plan("hv", 32, (3, 64), 5, batch=32)
    name = "folded axis 0, as channels"
    assert (found.forward, found.training_forward, found.kernel_gradient) == ("dense", name, name)
    assert (found.implementation, found.multiplications) == ("dense", found.dense_multiplications)
    large = plan("hv", 56, (128, 128), 7)
    assert large.forward == large.training_forward == large.kernel_gradient
    with libraries.planned_for("eigen"):
        found = plan("hv", 32, (3, 64), 5, batch=32)
    assert found.forward == found.training_forward


@pytest.mark.parametrize("library", [layers, modules])
def test_layers_that_are_called_in_training_take_it(library: Any) -> None:
    layer = library.SymmetricConv2D(64, 5, symmetry="hv", padding="same")
    images = tf.random.normal((32, 32, 32, 3))
    layer(images)

    def traced(**training: bool) -> tuple[int, tf.Tensor]:
        function = tf.function(lambda x: layer(x, **training)).get_concrete_function(images)
        return sum(op.type == "Conv2D" for op in function.graph.get_operations()), function(images)

    inference, training = traced(), traced(training=True)
    # One convolution folds, another takes what it made.
    assert (inference[0], traced(training=False)[0], training[0]) == (1, 1, 2)
    tf.debugging.assert_near(training[1], inference[1], atol=1e-5)


def test_xla_is_spared_the_gradients_of_strided_convolutions() -> None:
    """They take it three times as long; ``h`` strides over folded columns without it."""
    on_cpu, compiled = (plan("h", 32, (64, 64), 7, batch=16, device=device) for device in ("CPU", "XLA"))
    assert on_cpu.kernel_gradient == "folded axis 1"
    assert "folded axis 1" not in (compiled.inputs_gradient, compiled.kernel_gradient)
    assert plan("h", 32, (64, 64), 7, device="XLA", implementation="folded").forward == "summed axis 1"


def test_16_bit_multiplications_are_too_cheap_to_save_half_of_them() -> None:
    for dtype in ("bfloat16", "float16"):
        assert plan("v", 32, (64, 64), 7, batch=16, dtype=dtype).implementation == "dense"
        assert plan("hv", 32, (64, 64), 7, batch=16, dtype=dtype).implementation == "dense"
    for dtype in ("float32", "float64"):
        assert plan("hv", 56, (128, 128), 7, dtype=dtype).implementation == "folded"


def test_the_plan_of_a_layer_is_that_of_its_compute_type() -> None:
    def forward(**options: Any) -> tuple[str, ...]:
        mirrored = layers.SymmetricConv2D(64, 7, symmetry="v", padding="same", **options)
        tiled = layers.TiledConv2D(64, (1, 7), multiples=(7, 1), padding="same", **options)
        for layer in (mirrored, tiled):
            layer.build((16, 32, 32, 64))
        return tuple(layer.plan((16, 32, 32, 64), "CPU").forward for layer in (mirrored, tiled))

    assert forward() == ("winograd F(4, 7)", "summed axis 0")
    assert forward(dtype="mixed_bfloat16") == ("dense", "summed axis 0")


def test_convolutions_follow_the_type_of_their_inputs() -> None:
    layer = modules.SymmetricConv2D(64, 7, symmetry="v", padding="same")

    def types(dtype: tf.DType) -> set[str]:
        spec = tf.TensorSpec((16, 32, 32, 64), dtype)
        traced = tf.function(lambda x: layer(x)).get_concrete_function(spec)
        return {op.type for op in traced.graph.get_operations()}

    assert {"BatchMatMulV2", "Conv2D"} <= types(tf.float32)
    assert "BatchMatMulV2" not in types(tf.bfloat16)


def test_layers_know_when_xla_compiles_them() -> None:
    layer = layers.TiledConv2D(16, (1, 5), multiples=(5, 1), padding="same")
    layer.build((8, 32, 32, 16))
    images = tf.random.normal((8, 32, 32, 16))
    plain, compiled = (tf.function(lambda x: layer(x), jit_compile=jit) for jit in (False, True))
    within = tf.function(lambda x: tf.function(lambda x: layer(x))(x), jit_compile=True)
    assert layer.plan((8, 32, 32, 16), "CPU").forward == "summed axis 0"
    types = {op.type for op in plain.get_concrete_function(images).graph.get_operations()}
    assert "DepthwiseConv2dNative" in types
    for function in (compiled, within):
        text = function.experimental_get_compiler_ir(images)(stage="hlo")
        assert "convolution" in text
        assert "feature_group_count" not in text  # a depthwise convolution, which XLA is slow at on a CPU
        np.testing.assert_allclose(function(images), plain(images), atol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_keras_tells_layers_when_xla_compiles_them(jit_compile: bool) -> None:
    told = []

    class Listener(keras.layers.Layer):
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            told.append(compiled_by_xla())
            return inputs

    model = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(2, 3), Listener(), keras.layers.Flatten()])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    told.clear()
    images = np.zeros((2, 8, 8, 2), np.float32)
    model.fit(images, np.zeros((2, 72)), verbose=0)
    model.predict(images, verbose=0)
    assert len(told) >= 2
    assert set(told) == {jit_compile}


@pytest.mark.parametrize("reduction", ops.REDUCTIONS)
def test_gradients_of_a_maximum_take_what_the_forward_pass_computed(reduction: str) -> None:
    options = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "device": "CPU"}
    shape = (16, 32, 32, 128), kernels.Free(), (5, 5, 128, 128)
    found = ops.plan_convolution(*shape, **options, flipped_axes=(1,), reduction=reduction)
    assert found.implementation == "folded"
    if reduction in ("max", "min"):
        assert found.forward == found.inputs_gradient == found.kernel_gradient


def test_fit_trains_and_predict_does_not() -> None:
    told = []

    class Listener(layers.SymmetricConv2D):
        def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
            told.append(in_training_step())
            return super().convolve(inputs)

    model = keras.Sequential([keras.Input((8, 8, 2)), Listener(2, 3, symmetry="v"), keras.layers.Flatten()])
    model.compile("sgd", "mse", jit_compile=False)
    images, wanted = np.zeros((2, 8, 8, 2), np.float32), np.zeros((2, 72))
    for run, training in ((model.fit, True), (model.evaluate, False)):
        told.clear()
        run(images, wanted, verbose=0)
        assert told and set(told) == {training}


def test_calls_alike_are_planned_once() -> None:
    """Eager calls would choose again at every step."""
    layer = layers.SymmetricConv2D(8, 5, symmetry="hv", padding="same")
    images = tf.random.normal((2, 12, 12, 8))
    layer(images)
    before = _chosen.cache_info()
    for training in (False, False, True, True):
        layer(images, training=training)
    after = _chosen.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (3, 1)


def test_what_keeps_a_layer_dense() -> None:
    assert plan("hv", 56, (128, 128), 7, implementation="dense").implementation == "dense"
    assert "GPU" in plan("hv", 56, (128, 128), 7, device="GPU").reason
    assert plan("c4", 16, (8, 8), 5, implementation="folded").implementation == "folded"
    free = ops.plan_convolution(
        (8, 16, 16, 8), kernels.Free(), (3, 3, 8, 8), strides=(1, 1), dilations=(1, 1), implementation="folded"
    )
    assert (free.implementation, free.reason) == ("dense", "the structure has no folded form")
    unknown = ops.plan_convolution(
        (None, None, None, 8), kernels.Mirror("v"), (3, 3, 8, 8), strides=(1, 1), dilations=(1, 1), device="CPU"
    )
    assert unknown.implementation == "dense"
    assert unknown.dense_multiplications is None


def test_an_unknown_batch_must_pay_at_one_and_at_many() -> None:
    unknown = plan("hv", 56, (128, 128), 7, batch=None)
    assert unknown.implementation == "folded"
    assert plan("hv", 8, (16, 16), 5, batch=None).implementation == "dense"


def test_constant_kernels_are_taken_apart_for_nothing() -> None:
    """A free batch of one example must pay as well; there the work on the kernel weighs most."""

    def twins() -> ops.Plan:
        return plan("v", 32, (64, 64), 5, batch=None, flipped_axes=(1,))

    assert twins().implementation == "dense"
    with ops.constant_kernels():
        assert twins().implementation == "folded"
    assert twins().implementation == "dense"


def test_only_those_who_may_take_gradients_cut_large_batches_up() -> None:
    layer = layers.SymmetricConv2D(128, 7, symmetry="hv", padding="same")
    layer.build((None, 56, 56, 128))

    def branches(**options: Any) -> bool:
        function = tf.function(lambda x: layer(x), **options)
        concrete = function.get_concrete_function(tf.TensorSpec((None, 56, 56, 128)))
        return "StatelessIf" in {op.type for op in concrete.graph.get_operations()}

    assert branches()
    assert not branches(jit_compile=True)
    with ops.constant_kernels():
        assert not branches()


@pytest.mark.parametrize(
    "layer",
    [
        layers.SymmetricConv2D(4, 5, symmetry="hv"),
        layers.SymmetricConv2DTranspose(4, 5, symmetry="hv"),
        layers.SymmetricDepthwiseConv2D(5, symmetry="hv"),
        layers.SymmetricSeparableConv2D(4, 5, symmetry="hv"),
        layers.TwinFlipConv2D(4, 5),
        layers.FlipBankConv2D(4, 5, symmetry={"hv": 4}),
        layers.TiledConv2D(4, (1, 5), multiples=(5, 1)),
        layers.GroupConv2D(8, 5, group="d4"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_every_layer_has_a_plan(layer: Any) -> None:
    with pytest.raises((AttributeError, ValueError), match="built"):
        layer.plan((1, 16, 16, 3))
    layer.build((None, 16, 16, 3))
    found = layer.plan((1, 16, 16, 3), device="CPU")
    assert found.dense_multiplications > 0
    assert found.implementation in ("dense", "folded")


def test_overriding_changes_no_weights_and_hardly_any_numbers() -> None:
    inputs = tf.random.stateless_normal((2, 16, 16, 8), (1, 2))
    made = {}
    for implementation in ops.IMPLEMENTATIONS:
        keras.utils.set_random_seed(3)
        layer = layers.SymmetricConv2D(8, 5, symmetry="hv", padding="same", implementation=implementation)
        made[implementation] = (layer(inputs), layer.get_weights())
    for implementation in ("auto", "folded"):
        outputs, weights = made[implementation]
        assert [w.shape for w in weights] == [w.shape for w in made["dense"][1]]
        tf.debugging.assert_near(outputs, made["dense"][0], atol=1e-5)


def test_unknown_implementations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"implementation must be one of auto, dense, folded\. Received: .*'fast'"):
        layers.SymmetricConv2D(4, 3, symmetry="v", implementation="fast")
    with pytest.raises(ValueError, match="implementation must be one of"):
        modules.SymmetricConv2D(4, 3, symmetry="v", implementation="fast")
