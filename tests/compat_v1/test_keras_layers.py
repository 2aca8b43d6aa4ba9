"""Keras layers of the TF1 era: what they compute, their arguments, their variables and their quirks."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.compat_v1.test_golden import GOLDEN, GROUP_CASES, arrays
from tests.oracles import convolve, convolve_transposed
from tf_symconv import compat_v1, layers

HERE = Path(__file__).parent
NEEDS_KERAS_2 = pytest.mark.skipif(
    importlib.util.find_spec("tf_keras") is None, reason="tf-keras, the extra tf1, is not installed"
)
rng = np.random.default_rng(3)
IMAGES = rng.normal(size=(2, 9, 8, 4)).astype("float32")
CONV = "strides=(1, 1), padding='valid', data_format=None, dilation_rate=(1, 1), activation=None, use_bias=False"
RULES = ", ".join(
    f"{name}=None"
    for name in (
        *("kernel_regularizer", "bias_regularizer", "activity_regularizer"),
        *("kernel_constraint", "bias_constraint"),
    )
)
NORM = (
    "h, axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer='zeros', "
    "gamma_initializer='ones', moving_mean_initializer='zeros', moving_variance_initializer='ones', "
    "beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None"
)


def randomized(layer, inputs=IMAGES):
    """Build a layer, give it random weights, and return it."""
    layer(inputs)
    layer.set_weights([rng.uniform(0.5, 1.5, w.shape) * rng.choice([-1, 1], w.shape) for w in layer.weights])
    return layer


def weights(layer):
    return {weight.name: weight.numpy().astype("float64") for weight in layer.weights}


def close(value, expected, atol=1e-4):
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Conv2DTiledKernel", "filters, kernel_size, multiplies"),
        ("CustomConv2D", "filters"),
        (
            "GConv2D",
            f"filters, kernel_size, h_input, h_output, {CONV}, kernel_initializer='glorot_uniform', "
            f"bias_initializer='zeros', {RULES}",
        ),
        ("GBatchNorm", NORM),
        ("GroupPool", "h_input"),
        ("SymmetricConv2D", "filters, kernel_size, symmetry=None, share_bias=True"),
        ("CustomSymmetricConv2D", "filters, kernel_size, symmetry=None, share_bias=True"),
        (
            "SymmetricConv2DTranspose",
            "filters, kernel_size, strides=(1, 1), output_padding=None, dilation_rate=(1, 1)",
        ),
        (
            "GlobalConv1D",
            "filters, activation='linear', kernel_initializer='glorot_uniform', bias_initializer='zeros', "
            "use_bias=True",
        ),
        ("TopKPool", "k"),
    ],
)
def test_positional_arguments_are_those_of_the_original(name, arguments):
    parameters = inspect.signature(getattr(compat_v1, name)).parameters.values()
    positional = [p.replace(annotation=p.empty) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert ", ".join(map(str, positional)) == arguments


@pytest.mark.parametrize("case", GROUP_CASES)
def test_group_convolutions_are_the_golden_ones(case):
    golden = {key.rsplit("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"groupy/{case}/")}
    h_input, h_output, *sizes = case.split("_")
    ksize, channels, filters = map(int, sizes)
    indices, info, shape = compat_v1.gconv2d_util(h_input, h_output, channels, filters, ksize)
    for padding, stride in (("SAME", 1), ("VALID", 1), ("VALID", 2)):
        layer = compat_v1.GConv2D(filters, ksize, h_input, h_output, stride, padding.lower())
        outputs = layer(golden["x"])
        assert [tuple(weight.shape) for weight in layer.weights] == [shape]
        assert outputs.shape == layer.compute_output_shape(golden["x"].shape)
        layer.set_weights([golden["w"]])
        close(layer(golden["x"]), golden[f"y_{padding}{stride}"], 1e-5)
        strides = [1, stride, stride, 1]
        close(layer(golden["x"]), compat_v1.gconv2d(golden["x"], golden["w"], strides, padding, indices, info), 1e-5)


def test_group_biases_and_stacks_are_equivariant():
    stack = keras.Sequential(
        [
            compat_v1.GConv2D(3, 4, "Z2", "D4", use_bias=True, activation="relu"),
            compat_v1.GBatchNorm("D4"),
            compat_v1.GConv2D(2, 3, "D4", "D4", padding="same", use_bias=True, bias_initializer="normal"),
            compat_v1.GroupPool("D4"),
        ]
    )
    x = IMAGES[:, :8]
    y = stack(x).numpy()
    assert y.shape == (2, 5, 5, 2)
    assert [tuple(weight.shape) for weight in stack.layers[2].weights] == [(3, 3, 24, 2), (2,)]
    for turned in (lambda a: np.rot90(a, axes=(1, 2)), lambda a: a[:, ::-1]):
        close(stack(turned(x).copy()), turned(y), 1e-5)
    layer = randomized(stack.layers[0], x)
    kernel, bias = layer.kernel.numpy(), layer.get_weights()[1]
    expected = compat_v1.gconv2d_addbias(tf.constant(convolve(x, kernel), tf.float32), tf.constant(bias), 8)
    close(layer(x), np.maximum(expected, 0))


def test_tiled_kernels():
    layer = randomized(compat_v1.Conv2DTiledKernel(3, (1, 2), (3, 2)))
    assert [tuple(weight.shape) for weight in layer.weights] == [(1, 2, 4, 3)]
    kernel = np.tile(weights(layer)["kernel"], (3, 2, 1, 1))
    close(layer(IMAGES), convolve(IMAGES, kernel))
    assert layer.compute_output_shape(IMAGES.shape) == (2, 7, 5, 3)
    layer = randomized(compat_v1.Conv2DTiledKernel(3, 2, 2, strides=2, padding="same", use_bias=True, name="t"))
    kernel = np.tile(weights(layer)["kernel"], (2, 2, 1, 1))
    close(layer(IMAGES), convolve(IMAGES, kernel, 2, "same") + weights(layer)["bias"])


def test_spread_kernels():
    layer = randomized(compat_v1.CustomConv2D(3))
    assert [tuple(weight.shape) for weight in layer.weights] == [(3, 3, 4, 3)]
    kernel = weights(layer)["kernel"][[0, 0, 1, 2, 2]][:, [0, 0, 1, 2, 2]]
    close(layer.kernel, kernel)
    close(layer(IMAGES), convolve(IMAGES, kernel))
    plain = layers.PatternConv2D(3, "AABCC/AABCC/DDEFF/GGHII/GGHII", use_bias=False)
    plain.build(IMAGES.shape)
    plain.set_weights([layer.get_weights()[0].reshape(9, 4, 3)])
    close(layer(IMAGES), plain(IMAGES))


def flipped(found):
    """Return the kernel of a symmetric convolution from its variables."""
    parts = []
    if "kernel_sym_h" in found:
        h = found["kernel_sym_h"]
        parts += [h, h[:, ::-1]]
    if "kernel_sym_v" in found:
        v = found["kernel_sym_v"]
        parts += [v, v[::-1]]
    if "kernel_sym_hv" in found:
        hv = found["kernel_sym_hv"]
        parts += [hv, hv[:, ::-1], hv[::-1], hv[::-1, ::-1]]
    if "kernel_nonsym" in found:
        parts.append(found["kernel_nonsym"])
    return np.concatenate(parts, -1)


@pytest.mark.parametrize(
    ("filters", "symmetry", "counts"),
    [
        (13, {"h": 4, "v": 2, "hv": 4}, (4, 2, 4)),
        # 2.008 and 5.6 filters, rounded, cut to pairs and quadruples.
        (8, {"v": "25.1%", "hv": "70%"}, (0, 2, 4)),
        (13, {"h": 2}, (2, 0, 0)),
        (8, {"hv": "100%"}, (0, 0, 8)),
        (8, {}, (0, 0, 0)),
        (8, None, (0, 0, 0)),
    ],
)
@pytest.mark.parametrize("share_bias", [True, False])
def test_flipped_filters(filters, symmetry, counts, share_bias):
    layer = randomized(compat_v1.SymmetricConv2D(filters, (3, 4), symmetry, share_bias, padding="same"))
    found = weights(layer)
    if share_bias:
        copies = {"bias_v": 2, "bias_h": 2, "bias_hv": 4, "bias_nonsym": 1}
        bias = np.concatenate([np.tile(found[name], n) for name, n in copies.items() if name in found])
        assert len(bias) == filters
    else:
        bias = found["bias"]
    close(layer(IMAGES), convolve(IMAGES, flipped(found), padding="same") + bias)
    assert (layer.h, layer.v, layer.hv) == counts
    assert layer.filters_nonsym == filters - sum(counts)


def test_shared_biases_have_the_order_of_the_original_unless_told_otherwise():
    old = randomized(compat_v1.SymmetricConv2D(8, 3, {"h": 4, "v": 2}))
    assert [w.name for w in old.weights] == [
        *("kernel_sym_h", "kernel_sym_v", "kernel_nonsym", "bias_v", "bias_h", "bias_nonsym")
    ]
    (v,), (h0, h1), (n0, n1) = old.get_weights()[3:]
    close(old.bias, [v, v, h0, h1, h0, h1, n0, n1])
    new = compat_v1.SymmetricConv2D(8, 3, {"h": 4, "v": 2}, bias_order="filters")
    new(IMAGES)
    new.set_weights([*old.get_weights()[:3], *[old.get_weights()[place] for place in (4, 3, 5)]])
    close(new.bias, [h0, h1, h0, h1, v, v, n0, n1])
    bank = layers.FlipBankConv2D(8, 3, symmetry={"h": 4, "v": 2})
    bank.build(IMAGES.shape)
    bank.set_weights([np.concatenate(new.get_weights()[:3], -1), np.concatenate(new.get_weights()[3:])])
    close(new(IMAGES), bank(IMAGES))


def test_the_layer_of_custom_layers_fills_in_the_dict(monkeypatch):
    from tf_symconv.compat_v1._old_symmetric import CustomSymmetricConv

    monkeypatch.setattr(CustomSymmetricConv, "_shared", {})
    first, second = compat_v1.CustomSymmetricConv2D(32, 3), compat_v1.CustomSymmetricConv2D(64, 3)
    # 9.6, 6.4 and 6.4 filters, rounded, cut to pairs and quadruples.
    for layer in (first, second):
        assert (layer.h, layer.v, layer.hv) == (10, 6, 4)
    assert (first.filters_nonsym, second.filters_nonsym) == (12, 44)
    mine = {"h": "50%", "v": 0, "hv": 0}
    assert compat_v1.CustomSymmetricConv2D(8, 3, mine).h == 4
    assert mine == {"h": 4, "v": 0, "hv": 0}
    assert compat_v1.CustomSymmetricConv2D(16, 3, mine).h == 4
    with pytest.raises(ValueError, match="must not claim more filters than there are, 8"):
        compat_v1.CustomSymmetricConv2D(8, 3, {"h": "100%"})


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_convolutions_flip_along_the_channels(padding):
    symmetry = {"h": 2, "hv": 4}
    layer = randomized(
        compat_v1.SymmetricConv2DTranspose(8, (3, 2), (2, 2), symmetry=symmetry, padding=padding),
        x := rng.normal(size=(2, 4, 5, 8)).astype("float32"),
    )
    found = weights(layer)
    bias = np.concatenate([np.tile(found[n], k) for n, k in {"bias_h": 2, "bias_hv": 4, "bias_nonsym": 1}.items()])
    expected = convolve_transposed(x, flipped(found), 2, padding) + bias
    close(layer(x), expected)
    assert tuple(layer.compute_output_shape(x.shape)) == expected.shape


def test_transposed_convolutions_may_flip_along_the_filters():
    layer = compat_v1.SymmetricConv2DTranspose(6, 3, 2, symmetry={"v": 4}, orbits="filters", output_padding=1)
    randomized(layer)
    found = weights(layer)
    bias = np.concatenate([np.tile(found["bias_v"], 2), found["bias_nonsym"]])
    kernel = np.swapaxes(flipped(found), 2, 3)
    close(layer(IMAGES), convolve_transposed(IMAGES, kernel, 2, "valid", (1, 1)) + bias)


@pytest.mark.parametrize("dims", [2, 3])
def test_global_convolution(dims):
    x = rng.normal(size=(2, 5, 3)[:dims]).astype("float32")
    layer = randomized(compat_v1.GlobalConv1D(4, "relu"), x)
    channels = 1 if dims == 2 else 3
    assert [tuple(w.shape) for w in layer.weights] == [(1, channels, 4), (1, channels, 4), (1, 1, 4)]
    found = weights(layer)
    wide = x.reshape(2, 5, channels)
    kernel = np.concatenate([found["surround"]] * 5 + [found["kernel"]] + [found["surround"]] * 5)
    expected = np.maximum(convolve(wide, kernel, padding="same") + found["bias"], 0)
    close(layer(x), expected)
    assert layer.compute_output_shape(x.shape) == (2, 5, 4)


def test_top_k():
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    layer = compat_v1.TopKPool(2)
    np.testing.assert_array_equal(layer(x), -np.sort(-x, 1)[:, :2])
    assert (layer.name, compat_v1.TopKPool(2, name="other").name) == ("top_2_pool", "other")


@pytest.mark.parametrize(("h", "order"), [("Z2", 1), ("C4", 4), ("D4", 8)])
@pytest.mark.parametrize("statistics", ["element", "group"])
def test_batch_normalisation(h, order, statistics):
    x = rng.normal(2, 3, size=(3, 5, 4, 16)).astype("float32")
    layer = compat_v1.GBatchNorm(h, momentum=0.9, statistics=statistics)
    layer(x)
    gamma, beta, mean, variance = (rng.uniform(1, 2, 16 // order) for _ in range(4))
    layer.set_weights([gamma, beta, mean, variance])

    def normalised(mean, variance):
        return (x - mean) / np.sqrt(variance + 1e-3) * np.repeat(gamma, order) + np.repeat(beta, order)

    close(layer(x), normalised(np.repeat(mean, order), np.repeat(variance, order)), 1e-5)
    split = x.reshape(60, -1, order).astype("float64")
    if statistics == "group":
        seen_mean, seen_variance = split.mean((0, 2)), split.var((0, 2))
        batch = np.repeat(seen_mean, order), np.repeat(seen_variance, order)
    else:
        batch = x.mean((0, 1, 2)), x.var((0, 1, 2))
        seen_mean, seen_variance = split.mean((0, 2)), split.var(0).mean(1) * 60 / (60 - 1.001)
    close(layer(x, training=True), normalised(*batch), 1e-4)
    close(layer.moving_mean, 0.9 * mean + 0.1 * seen_mean, 1e-5)
    close(layer.moving_variance, 0.9 * variance + 0.1 * seen_variance, 1e-4)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), layer(x))


def test_group_statistics_are_those_of_the_tf2_layer():
    x = rng.normal(2, 3, size=(3, 5, 4, 16)).astype("float32")
    old, new = compat_v1.GBatchNorm("C4", statistics="group"), layers.GroupBatchNormalization(group="c4")
    close(old(x, training=True), new(x, training=True), 1e-5)
    for ours, theirs in zip(old.weights, new.weights, strict=True):
        close(ours, theirs, 1e-5)


def test_pooling_over_the_group():
    split = IMAGES.reshape(2, 9, 8, 1, 4)
    close(compat_v1.GroupPool("C4")(IMAGES), split.mean(-1), 1e-6)
    close(compat_v1.GroupPool("C4", reduction="max")(IMAGES), split.max(-1))
    np.testing.assert_array_equal(compat_v1.GroupPool("Z2")(IMAGES), IMAGES)


def test_initialisers_see_the_variables_unless_told_otherwise():
    def shapes(make, **arguments):
        seen = []

        def initialize(shape, dtype=None):
            seen.append(tuple(shape))
            return keras.ops.zeros(shape, dtype)

        make(kernel_initializer=initialize, **arguments).build((None, 8, 8, 8))
        return seen

    makers = [
        (lambda **a: compat_v1.GConv2D(2, 3, "C4", "C4", **a), [(3, 3, 8, 2)], [(3, 3, 8, 8)]),
        (lambda **a: compat_v1.CustomConv2D(2, **a), [(3, 3, 8, 2)], [(5, 5, 8, 2)]),
        (lambda **a: compat_v1.Conv2DTiledKernel(2, 2, 2, **a), [(2, 2, 8, 2)], [(4, 4, 8, 2)]),
        (
            lambda **a: compat_v1.SymmetricConv2D(8, 3, {"h": 4}, **a),
            [(3, 3, 8, 2), (3, 3, 8, 4)],
            [(3, 3, 8, 8), (3, 3, 8, 8)],
        ),
    ]
    for make, old, new in makers:
        assert shapes(make) == old
        assert shapes(make, fans="kernel") == new


def test_variables_of_one_layer_start_apart():
    old = compat_v1.SymmetricConv2D(8, 3, {"h": 4, "v": 4}, bias_initializer="normal")
    old(IMAGES)
    (h, v), (bias_v, bias_h) = old.get_weights()[:2], old.get_weights()[2:]
    assert np.abs(h - v).max() > 0.01
    assert np.abs(bias_h - bias_v).max() > 0.001
    old = compat_v1.GlobalConv1D(8)
    old(IMAGES[0])
    assert np.abs(old.get_weights()[0] - old.get_weights()[1]).max() > 0.01


def test_with_the_fans_of_the_kernel_they_start_as_the_tf2_layer():
    arguments = {"symmetry": {"h": 4, "v": 2}, "kernel_initializer": keras.initializers.HeNormal(5)}
    old, new = compat_v1.SymmetricConv2D(8, 3, fans="kernel", **arguments), layers.FlipBankConv2D(8, 3, **arguments)
    close(old(IMAGES), new(IMAGES))
    arguments["symmetry"] = {"v": 4}
    old = compat_v1.SymmetricConv2DTranspose(6, 3, orbits="filters", fans="kernel", **arguments)
    close(old(IMAGES), layers.FlipBankConv2DTranspose(6, 3, **arguments)(IMAGES))
    arguments = {"kernel_initializer": keras.initializers.HeNormal(5), "use_bias": False}
    old = compat_v1.GConv2D(2, 3, "C4", "C4", fans="kernel", **arguments)
    close(old(IMAGES), layers.GroupConv2D(8, 3, group="c4", input_group="c4", **arguments)(IMAGES))


ALL = {
    "tiled": lambda: compat_v1.Conv2DTiledKernel(4, (1, 2), (3, 1), padding="same", kernel_regularizer="l2"),
    "spread": lambda: compat_v1.CustomConv2D(8, fans="kernel", padding="same"),
    "lift": lambda: compat_v1.GConv2D(2, 3, "Z2", "C4", use_bias=True, kernel_initializer="he_normal"),
    "group": lambda: compat_v1.GConv2D(2, 3, "C4", "C4", padding="same", equivariance="exact", activation="relu"),
    "norm": lambda: compat_v1.GBatchNorm("C4", momentum=0.5, statistics="group", scale=False),
    "pool": lambda: compat_v1.GroupPool("C4", reduction="max"),
    "flips": lambda: compat_v1.SymmetricConv2D(8, 3, {"h": "50%", "hv": 4}, bias_order="filters"),
    "custom": lambda: compat_v1.CustomSymmetricConv2D(16, 3, {"h": "50%"}, share_bias=False),
    "transposed": lambda: compat_v1.SymmetricConv2DTranspose(16, 3, 2, dilation_rate=1, symmetry={"h": 8}),
    "filters": lambda: compat_v1.SymmetricConv2DTranspose(6, 3, 2, symmetry={"h": 4}, orbits="filters"),
    "reshape": lambda: keras.layers.Reshape((-1, 6)),
    "global": lambda: compat_v1.GlobalConv1D(3, "relu", use_bias=False),
    "top": lambda: compat_v1.TopKPool(3),
}


def test_models_are_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), *(make() for make in ALL.values())])
    model.compile(keras.optimizers.SGD(1e-5), "mse")
    x = rng.normal(size=(4, 8, 8, 3)).astype("float32")
    losses = model.fit(x, np.zeros((4, 3, 3)), epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    for old, new in zip(model.layers, again.layers, strict=True):
        assert type(old) is type(new)
        assert old.get_config() == new.get_config()
        assert [(w.name, w.shape, w.trainable) for w in old.weights] == [
            (w.name, w.shape, w.trainable) for w in new.weights
        ]
    assert again.layers[6].fans == "variable"
    assert again.layers[1].fans == "kernel"


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((8, 8, 3)), *(make() for make in ALL.values())])
    assert model(np.ones((1, 8, 8, 3)), training=True).dtype == tf.bfloat16
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_a_checkpoint_of_tf1_fits(tmp_path):
    golden = {key.rsplit("/", 1)[1]: value for key, value in arrays.items() if key.startswith("groupy/C4_C4_3_2_3/")}
    h = rng.normal(size=(3, 3, 2, 1)).astype("float32")
    with tf.Graph().as_default():
        tf.compat.v1.get_variable("g_conv2d/kernel", initializer=golden["w"])
        tf.compat.v1.get_variable("flips/kernel_sym_h", initializer=h)
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            prefix = tf.compat.v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    model = keras.Sequential([compat_v1.GConv2D(3, 3, "C4", "C4", name="g_conv2d")])
    model.build(golden["x"].shape)
    report = compat_v1.load_checkpoint(prefix, model)
    assert [(match.source, match.action) for match in report.matched] == [("g_conv2d/kernel", "copied")]
    close(model(golden["x"]), golden["y_VALID1"], 1e-5)
    model = keras.Sequential([compat_v1.SymmetricConv2D(2, 3, {"h": 2}, use_bias=False, name="flips")])
    model.build((None, 9, 9, 2))
    assert len(compat_v1.load_checkpoint(prefix, model).matched) == 1
    close(model.layers[0].kernel, np.concatenate([h, h[:, ::-1]], -1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: compat_v1.GConv2D(2, 3, "P4", "C4"),
            "h_input must be one of 'Z2', 'C4', 'D4'. Received: h_input='P4'",
        ),
        (lambda: compat_v1.GConv2D(2, 3, "Z2", "Z2"), "h_output must be one of 'C4', 'D4'. Received: h_output='Z2'"),
        (lambda: compat_v1.GConv2D(2, 3, "C4", "D4"), "h_input must be 'Z2'.*Received: h_input='C4', h_output='D4'"),
        (lambda: compat_v1.GConv2D(2, (3, 5), "Z2", "C4"), r"square kernel. Received: kernel_size=\(3, 5\)"),
        (lambda: compat_v1.GConv2D(0, 3, "Z2", "C4"), "positive number of group channels. Received: filters=0"),
        (lambda: compat_v1.GConv2D(2, 3, "Z2", "C4", fans="both"), "fans must be one of.*Received: fans='both'"),
        (lambda: compat_v1.GConv2D(2, 3, "D4", "D4")(IMAGES), "multiple of 8 input channels.*Received: 4"),
        (
            lambda: compat_v1.GConv2D(2, 2, "Z2", "C4", padding="same", equivariance="exact")(IMAGES),
            "equivariance='relaxed' accepts the loss",
        ),
        (lambda: compat_v1.GBatchNorm("P4"), "h must be one of 'Z2', 'C4', 'D4'. Received: h='P4'"),
        (lambda: compat_v1.GBatchNorm("C4", 1), "axis must be -1, the last one. Received: axis=1"),
        (lambda: compat_v1.GBatchNorm("C4", statistics="all"), "statistics must be one of 'element', 'group'"),
        (lambda: compat_v1.GBatchNorm("D4")(IMAGES), "h='D4' needs a known number.*of 8. Received: 4 channels"),
        (lambda: compat_v1.GroupPool("c4"), "h_input must be one of 'Z2', 'C4', 'D4'. Received: h_input='c4'"),
        (lambda: compat_v1.GroupPool("D4")(IMAGES), "h_input='D4' needs a known number.*Received: 4 channels"),
        (lambda: compat_v1.Conv2DTiledKernel(2, 3, 0), "multiplies.*0"),
        (lambda: compat_v1.SymmetricConv2D(8, 3, {"x": 2}), "keys out of 'h', 'v', 'hv'.*Received: symmetry={'x': 2}"),
        (lambda: compat_v1.SymmetricConv2D(8, 3, {"h": 3}), "multiples of 2 for 'h'.*Received: .*'h': 3"),
        (lambda: compat_v1.SymmetricConv2D(8, 3, {"hv": 2}), "multiples of 4 for 'hv'.*Received: .*'hv': 2"),
        (lambda: compat_v1.SymmetricConv2D(8, 3, {"v": "half"}), "percentages such as '50%'. Received: .*'half'"),
        (lambda: compat_v1.SymmetricConv2D(8, 3, {"h": "-50%"}), "percentages such as '50%'. Received: .*'-50%'"),
        (lambda: compat_v1.SymmetricConv2D(4, 3, {"h": 6}), "than there are, 4. Received: .*which is 6 filters"),
        (lambda: compat_v1.SymmetricConv2D(4, 3, share_bias=1), "share_bias must be True or False. Received: .*=1"),
        (lambda: compat_v1.SymmetricConv2D(4, 3, bias_order="v"), "bias_order must be one of 'original', 'filters'"),
        (
            lambda: compat_v1.SymmetricConv2DTranspose(6, 3)(IMAGES),
            "orbits='filters' flips along the filters.*Received: filters=6, 4 input channels",
        ),
        (lambda: compat_v1.SymmetricConv2DTranspose(6, 3, orbits="x"), "orbits must be one of 'channels', 'filters'"),
        (lambda: compat_v1.GlobalConv1D(0), "filters must be a positive integer. Received: filters=0"),
        (lambda: compat_v1.GlobalConv1D(2)(IMAGES), r"input must have shape \(batch, positions\).*\(2, 9, 8, 4\)"),
        (lambda: compat_v1.TopKPool(0), "k must be a positive integer. Received: k=0"),
        (lambda: compat_v1.TopKPool(9)(IMAGES[0]), "k must not exceed the length.*Received: k=9"),
    ],
)
def test_wrong_arguments_get_one_clear_message(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("layer", [compat_v1.SymmetricConv2D(4, 3, {"h": 4}), compat_v1.GConv2D(2, 3, "Z2", "C4")])
def test_an_unbuilt_layer_says_so(layer):
    for name in ("kernel", "latent"):
        with pytest.raises(AttributeError, match=f"once it is built. Received: unbuilt layer {layer.name!r}"):
            getattr(layer, name)


def test_keras_is_imported_when_a_layer_is_used():
    code = (
        "import sys; from tf_symconv import compat_v1; found = 'GConv2D' in dir(compat_v1); "
        "sys.exit(not found or 'keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@NEEDS_KERAS_2
def test_a_script_finds_the_layers_under_their_old_paths(tmp_path, capfd):
    script = HERE / "scripts/old_layers_tf1.py"
    status = compat_v1.run(script, [str(GOLDEN / "tf1_15_golden.npz"), f"{tmp_path}/model.h5", f"{tmp_path}/weights"])
    out, err = capfd.readouterr()
    assert status == 0, err
    assert out.splitlines() == [
        "Z2_C4_3_2_3 [3, 3, 2, 12] gZ2_C4_3_2_3/kernel:0 True",
        "C4_C4_3_2_3 [3, 3, 8, 12] gC4_C4_3_2_3/kernel:0 True",
        "Z2_D4_3_2_3 [3, 3, 2, 24] gZ2_D4_3_2_3/kernel:0 True",
        "D4_D4_3_2_3 [3, 3, 16, 24] gD4_D4_3_2_3/kernel:0 True",
        "fit True",
        "moving True",
        "again True",
        "symmetric_conv2d/kernel_sym_h symmetric_conv2d/kernel_nonsym symmetric_conv2d/bias_h "
        "symmetric_conv2d/bias_nonsym symmetric_conv2d_transpose/kernel_sym_hv symmetric_conv2d_transpose/bias_hv "
        "symmetric_conv2d_1/kernel_sym_h symmetric_conv2d_1/kernel_sym_v symmetric_conv2d_1/bias_v "
        "symmetric_conv2d_1/bias_h",
        "sequence (5, 2, 3) [(1, 1, 3), (1, 1, 3), (1, 1, 3)]",
    ]

    # What it trained with Keras 2 goes into the same layers for Keras 3.
    model = keras.Sequential(
        [
            keras.Input((9, 9, 1)),
            compat_v1.Conv2DTiledKernel(4, (1, 3), (3, 1)),
            compat_v1.GConv2D(4, 3, "Z2", "D4", padding="same"),
            compat_v1.GBatchNorm("D4"),
            keras.layers.Activation("relu"),
            compat_v1.GConv2D(4, 3, "D4", "D4", padding="same"),
            compat_v1.GroupPool("D4"),
            compat_v1.SymmetricConv2D(4, 3, {"h": 2}, padding="same"),
            compat_v1.SymmetricConv2DTranspose(4, 3, symmetry={"hv": 4}, padding="same"),
            compat_v1.SymmetricConv2D(8, 3, {"h": 4, "v": 4}, padding="same"),
            compat_v1.CustomConv2D(3),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.load_weights(tmp_path / "weights.h5")
    with np.load(tmp_path / "weights.npz") as found:
        close(model.predict(found["x"], verbose=0), found["y"], 1e-5)


def test_without_keras_2_the_paths_say_what_is_missing(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    for name in ("custom_layers", "symmetric_layers_tf1"):
        (tmp_path / f"{name}.py").write_text("print('the one beside the script')\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import keras_gcnn.transform_filter\n"
        "for name in ('keras_gcnn.layers', 'symmetric_layers_tf1', 'custom_layers'):\n"
        "    try:\n"
        "        __import__(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(error)\n"
    )
    assert compat_v1.run(script, keep=["custom_layers"]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        *(
            f"import {name} needs Keras 2, the package tf-keras: pip install 'tf_symconv[tf1]' brings it."
            for name in ("keras_gcnn.layers", "symmetric_layers_tf1")
        ),
        "the one beside the script",
    ]
    assert "--keep=symmetric_layers_tf1 imports the latter" in err
    assert "--keep=custom_layers" not in err
