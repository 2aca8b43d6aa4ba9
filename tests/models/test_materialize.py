"""Plain models compute what structured ones do, and load where the library is not installed."""

import inspect
import subprocess
import sys
import textwrap
from typing import Any

import keras
import numpy as np
import pytest

from tests.layers.cases import CASES
from tf_symconv import initializers, layers, models

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def randomise(model, seed=0):
    """Give every weight of a model random values, variances positive ones."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(size=weight.shape) / np.sqrt(max(np.prod(weight.shape[:-1]), 1.0))
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def agree(plain, model, x, atol=1e-5):
    np.testing.assert_allclose(np.asarray(plain(x)), np.asarray(model(x)), atol=atol, rtol=1e-5)


def flat(model):
    return [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]


def is_plain(model):
    return (
        all(type(layer).__module__.startswith("keras.") for layer in flat(model)) and "symconv" not in model.to_json()
    )


@rows
def test_every_layer_becomes_plain_and_computes_the_same(case):
    model = randomise(case.make_model())
    before = model.get_weights()
    plain = models.materialize(model)
    agree(plain, model, case.inputs())
    assert is_plain(plain)
    assert not {id(w) for w in plain.weights} & {id(w) for w in model.weights}
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_plain_models_load_and_agree_without_the_library(tmp_path):
    for index, case in enumerate(CASES):
        model = randomise(case.make_model())
        models.materialize(model).save(tmp_path / f"{index}.keras")
        np.savez(tmp_path / f"{index}.npz", x=case.inputs(), y=np.asarray(model(case.inputs())))
    script = """
        import sys
        sys.modules["tf_symconv"] = None
        import keras, numpy as np
        try:
            import tf_symconv
        except ImportError:
            print("blocked")
        for index in range(int(sys.argv[2])):
            model = keras.models.load_model(f"{sys.argv[1]}/{index}.keras")
            arrays = np.load(f"{sys.argv[1]}/{index}.npz")
            np.testing.assert_allclose(np.asarray(model(arrays["x"])), arrays["y"], atol=1e-5, rtol=1e-5)
        print("agree", index + 1)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(len(CASES))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:2] == ["blocked", f"agree {len(CASES)}"]


def graph() -> Any:
    """A functional model with a nested one that is called twice, shared layers, operations and a wrapper."""
    image = keras.Input((8, 8, 4), name="image")
    inner = keras.Sequential(
        [keras.Input((8, 8, 8)), layers.TwinFlipConv2D(8, 3, padding="same"), layers.GroupBatchNormalization()],
        name="inner",
    )
    shared = layers.FlipBankConv2D(8, 3, padding="same", name="shared")
    x = keras.layers.Conv2D(8, 1)(image)
    x = shared(x) + shared(inner(x))
    x = inner(keras.layers.BatchNormalization()(x))
    frames = keras.layers.Reshape((2, 4, 8, 8))(x)
    frames = keras.layers.TimeDistributed(layers.SymmetricConv2D(4, 3), name="frames")(frames)
    pooled = layers.GroupPooling("c4", name="pool")(x)
    return keras.Model(image, {"frames": frames, "pooled": keras.layers.Dense(3)(pooled)}, name="graph")


def test_nested_and_shared_layers_become_plain():
    model = randomise(graph())
    plain = models.materialize(model)
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 4)).astype("float32")
    assert set(plain(x)) == {"frames", "pooled"}
    for name, outputs in plain(x).items():
        np.testing.assert_allclose(outputs, model(x)[name], atol=1e-5, rtol=1e-5)
    assert is_plain(plain)
    # The shared convolution is one layer still: 8 x 8 channels of 3x3 and a bias, once.
    assert plain.get_layer("shared").count_params() == 9 * 64 + 8
    assert [w.shape for w in plain.get_layer("shared").weights] == [(3, 3, 8, 8), (8,)]
    assert len(plain.get_layer("shared")._inbound_nodes) == 2
    assert plain.name == "graph" and plain.get_layer("inner").name == "inner"


def test_open_sizes_stay_open():
    model = randomise(
        keras.Sequential(
            [
                keras.Input((None, None, 3)),
                layers.GroupConv2D(8, 3, group="c4"),
                layers.GroupPooling("c4", "mean"),
                layers.TwinFlipConv2D(4, 3, reduction="min"),
            ]
        )
    )
    plain = models.materialize(model)
    for size in (6, 9):
        agree(plain, model, np.random.default_rng(size).normal(size=(2, size, size + 1, 3)).astype("float32"))


def test_a_kernel_larger_than_the_image_wraps_around():
    model = randomise(keras.Sequential([keras.Input((3, 4, 2)), layers.FourierConv2D(3, (8, 11))]))
    agree(models.materialize(model), model, np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype("float32"))


@pytest.mark.parametrize("layer", [layers.FourierConv2D(3, 3), layers.SpectralPooling2D(pool_size=2)])
def test_what_needs_fixed_sizes_says_so(layer):
    model = keras.Sequential([keras.Input((None, 8, 2)), layer])
    with pytest.raises(
        ValueError, match=rf"'{layer.name}'.*spatial sizes.*must be known.*Received: input shape \(None, N"
    ):
        models.materialize(model)


@rows
def test_precision_is_kept(case):
    for policy, tolerance in (("mixed_bfloat16", 0.1), ("float64", 1e-6)):
        model = randomise(case.make_model(dtype=policy))
        plain, ours = models.materialize(model)(case.inputs()), model(case.inputs())
        assert plain.dtype == ours.dtype == keras.dtype_policies.get(policy).compute_dtype
        np.testing.assert_allclose(*(np.asarray(y, "float64") for y in (plain, ours)), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.arguments.get("padding") != "causal"],
    ids=lambda case: case.id,
)
def test_channels_first_stay_first(case):
    parameters = inspect.signature(case.layer).parameters
    layer = case.make(**({"data_format": "channels_first"} if "data_format" in parameters else {"axis": 1}))
    x = np.moveaxis(case.inputs(), -1, 1)
    model = randomise(keras.Sequential([keras.Input(x.shape[1:]), layer]))
    plain = models.materialize(model)
    agree(plain, model, x)
    assert is_plain(plain)


def test_training_aids_of_the_library_are_dropped_from_stock_layers():
    conv = keras.layers.Conv2D(
        4,
        3,
        kernel_regularizer=models.SymmetryPenalty("hv"),
        bias_regularizer="l2",
        kernel_initializer=initializers.OrbitScaling("he_normal"),  # pyright: ignore
    )
    model = randomise(keras.Sequential([keras.Input((6, 6, 2)), conv]))
    plain = models.materialize(model)
    assert plain.layers[0].kernel_regularizer is None and plain.layers[0].bias_regularizer is not None
    assert is_plain(plain)
    agree(plain, model, np.ones((1, 6, 6, 2), "float32"))


def test_activations_that_keras_cannot_look_up_are_kept():
    def double(x):
        return 2.0 * x

    image = keras.Input((6, 6, 2))
    x = layers.SymmetricConv2D(4, 3, activation=double)(image)
    x = layers.TwinFlipConv2D(4, 3, activation=keras.layers.LeakyReLU())(x)
    x = keras.layers.Activation(double)(keras.layers.Dense(3, activation=lambda t: t - 1.0)(x))
    model = randomise(keras.Model(image, x))
    agree(models.materialize(model), model, np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype("float32"))


def test_a_frozen_layer_stays_frozen():
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.SymmetricConv2D(4, 3, trainable=False), layers.TwinFlipConv2D(4, 3)]
    )
    model.layers[1].trainable = False
    assert not models.materialize(model).trainable_weights


def normalised(conv, **arguments):
    shape = {1: (9, 4), 2: (7, 8, 4), 3: (5, 5, 5, 4)}[int(next(c for c in conv if c.isdigit()))]
    own = {} if "Depthwise" in conv else {"filters": 6}
    layer = getattr(layers, conv)(kernel_size=3, **own, **arguments)
    return shape, [layer, keras.layers.BatchNormalization()]


@pytest.mark.parametrize(
    "conv",
    [
        *("SymmetricConv1D", "SymmetricConv2D", "FlipBankConv3D", "SymmetricConv2DTranspose"),
        *("SymmetricConv3DTranspose", "SymmetricDepthwiseConv2D", "SymmetricSeparableConv1D"),
    ],
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_batch_normalisation_is_folded(conv, use_bias):
    extra = {"depth_multiplier": 2} if "Depthwise" in conv else {}
    shape, parts = normalised(conv, use_bias=use_bias, **extra)
    model = randomise(keras.Sequential([keras.Input(shape), *parts, keras.layers.ReLU()]))
    plain = models.materialize(model, fold_batch_norm=True)
    assert [type(layer).__name__ for layer in plain.layers][1:] == ["ReLU"] and plain.layers[0].use_bias
    agree(plain, model, np.random.default_rng(0).normal(size=(2, *shape)).astype("float32"))


def test_batch_normalisation_without_scale_or_offset_is_folded_after_dense_layers_and_group_convolutions():
    model = randomise(
        keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                layers.GroupConv2D(8, 3, group="c4", padding="same"),
                layers.GroupBatchNormalization(group="c4", scale=False),
                keras.layers.Dense(5),
                keras.layers.BatchNormalization(center=False),
            ]
        )
    )
    plain = models.materialize(model, fold_batch_norm=True)
    assert [type(layer).__name__ for layer in plain.layers] == ["Conv2D", "Dense"]
    agree(plain, model, np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype("float32"))


def test_batch_normalisation_stays_where_folding_would_change_the_outputs():
    image = keras.Input((8, 8, 2))
    conv = layers.SymmetricConv2D(4, 3, padding="same", name="conv")
    x = conv(image)
    used_twice = keras.layers.BatchNormalization(name="used_twice")(x) + x
    active = layers.SymmetricConv2D(4, 3, padding="same", activation="relu")(used_twice)
    after_activation = keras.layers.BatchNormalization(name="after_activation")(active)
    rows = layers.SymmetricConv2D(4, 3, padding="same")(after_activation)
    over_rows = keras.layers.BatchNormalization(axis=1, name="over_rows")(rows)
    again = layers.SymmetricConv2D(4, 3, padding="same", name="again")
    shared = keras.layers.BatchNormalization(name="shared")(again(over_rows)) + again(over_rows)
    folded = keras.layers.BatchNormalization(name="folded")(layers.SymmetricConv2D(4, 3)(shared))
    model = randomise(keras.Model(image, folded))
    plain = models.materialize(model, fold_batch_norm=True)
    left = [layer.name for layer in plain.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert sorted(left) == ["after_activation", "over_rows", "shared", "used_twice"]
    agree(plain, model, np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype("float32"))


def test_batch_normalisation_that_is_called_in_training_mode_stays():
    image = keras.Input((8, 8, 2))
    norm = keras.layers.BatchNormalization(name="norm")
    model = randomise(keras.Model(image, norm(layers.SymmetricConv2D(4, 3)(image), training=True)))
    plain = models.materialize(model, fold_batch_norm=True)
    assert plain.layers[-1].name == "norm"
    agree(plain, model, np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype("float32"))


def test_an_equivariant_network_of_the_zoo_is_folded_and_agrees():
    model = randomise(models.zoo.p4cnn((28, 28, 1), width=4, classifier_activation=None))
    plain = models.materialize(model, fold_batch_norm=True)
    assert is_plain(plain) and not any("BatchNormalization" in type(layer).__name__ for layer in plain.layers)
    agree(plain, model, np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype("float32"), atol=1e-4)


def test_folding_goes_into_nested_models():
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.SymmetricConv2D(4, 3, padding="same"), keras.layers.BatchNormalization()]
    )
    image = keras.Input((8, 8, 4))
    model = randomise(keras.Model(image, inner(inner(image))))
    plain = models.materialize(model, fold_batch_norm=True)
    assert [type(layer).__name__ for layer in flat(plain)].count("BatchNormalization") == 0
    agree(plain, model, np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32"))


class Holder(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside = layers.SymmetricConv2D(3, 3)

    def call(self, inputs):
        return self.inside(inputs)


@keras.saving.register_keras_serializable(package="tf_symconv_tests")
class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def test_errors():
    holder = keras.Sequential([keras.Input((6, 6, 2)), Holder(name="holder")])
    with pytest.raises(ValueError, match=r"'holder' \(Holder\) cannot.*Received: SymmetricConv2D"):
        models.materialize(holder)
    with pytest.raises(ValueError, match="subclassed"):
        models.materialize(Subclassed())
    with pytest.raises(ValueError, match="must be built"):
        models.materialize(keras.Sequential([layers.SymmetricConv2D(3, 3)]))
    with pytest.raises(TypeError, match="Received: Holder"):
        models.materialize(Holder())
    with pytest.raises(TypeError, match="fold_batch_norm"):
        models.materialize(holder, fold_batch_norm="yes")  # pyright: ignore
