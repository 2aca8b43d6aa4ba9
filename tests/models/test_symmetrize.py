"""Ordinary models become symmetric ones, with the nearest weights."""

import itertools
import json
from typing import Any

import keras
import numpy as np
import pytest

from tests import oracles
from tf_symconv import kernels, layers, models

KINDS = {
    "Conv1D": ((9, 4), {"filters": 6, "padding": "causal", "dilation_rate": 2}),
    "Conv2D": ((7, 8, 4), {"filters": 6, "groups": 2, "strides": 2, "activation": "relu"}),
    "Conv3D": ((5, 6, 5, 2), {"filters": 3, "padding": "same", "use_bias": False}),
    "Conv1DTranspose": ((9, 4), {"filters": 6, "strides": 2}),
    "Conv2DTranspose": ((5, 6, 4), {"filters": 6, "strides": (2, 1), "padding": "same"}),
    "Conv3DTranspose": ((3, 4, 3, 2), {"filters": 3}),
    "DepthwiseConv1D": ((9, 4), {"depth_multiplier": 2}),
    "DepthwiseConv2D": ((7, 8, 4), {"depth_multiplier": 2, "padding": "same"}),
    "SeparableConv1D": ((9, 4), {"filters": 6}),
    "SeparableConv2D": ((7, 8, 4), {"filters": 6, "activation": "tanh"}),
}


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(size=weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def mirrored(kernel, rank):
    """Return the mean of a kernel and of its reflections along all spatial axes."""
    flips = [axes for n in range(rank + 1) for axes in itertools.combinations(range(rank), n)]
    return np.mean([np.flip(kernel, axes) for axes in flips], axis=0)


def images(shape, seed=1):
    return np.random.default_rng(seed).normal(size=(2, *shape)).astype("float32")


def network() -> Any:
    """A functional model with a nested one that is called twice, operations and a wrapper."""
    image = keras.Input((12, 12, 3), name="image")
    block = keras.Sequential(
        [
            keras.Input((12, 12, 8)),
            keras.layers.Conv2D(8, 3, padding="same", name="conv"),
            keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
        ],
        name="block",
    )
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(image)
    x = block(keras.layers.BatchNormalization(name="norm")(x)) + x
    x = keras.layers.Conv2D(8, 1, name="pointwise")(block(x))
    frames = keras.layers.Reshape((3, 4, 12, 8))(x)
    frames = keras.layers.TimeDistributed(keras.layers.Conv2D(2, 3, name="inner"), name="frames")(frames)
    x = keras.layers.Conv2D(4, (3, 5), name="oblong")(x)
    x = keras.layers.Lambda(lambda t: 2 * t)(x)
    return randomise(keras.Model(image, [frames, x], name="network"))


def done(report):
    return {layer.name: layer.structure for layer in report.layers}


@pytest.mark.parametrize("kind", KINDS)
def test_every_convolution_gets_the_mean_of_its_mirror_images(kind):
    shape, arguments = KINDS[kind]
    rank = int(next(c for c in kind if c.isdigit()))
    stock = getattr(keras.layers, kind)(kernel_size=3, bias_initializer="ones", name="one", **arguments)
    model = randomise(keras.Sequential([keras.Input(shape), stock]))
    before = model.get_weights()
    symmetry = "hvz" if rank == 3 else "hv"[:rank]
    symmetric, report = models.symmetrize(model, symmetry)
    assert type(symmetric.layers[0]) is getattr(layers, f"Symmetric{kind}") and symmetric.layers[0].name == "one"
    after = [mirrored(before[0], rank), *before[1:]]
    np.testing.assert_allclose(symmetric.layers[0].kernel, after[0], atol=1e-6)
    lost = np.linalg.norm(before[0] - after[0]) / np.linalg.norm(before[0])
    (row,) = report.layers
    assert row.residual == pytest.approx(lost, rel=1e-5)
    assert (row.before, row.after) == (model.count_params(), symmetric.count_params()) == (report.before, report.after)
    # The original is as it was; with the mean of its kernels it computes what the new model does.
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    model.set_weights(after)
    np.testing.assert_allclose(symmetric(images(shape)), model(images(shape)), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("symmetry", ["c4", "d4", "diag", "h"])
def test_rotations(symmetry):
    model = randomise(keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(3, 3)]))
    transforms = [*oracles.TRANSFORMS[symmetry], lambda a: a]
    kernel = model.get_weights()[0]
    symmetric, _ = models.symmetrize(model, symmetry)
    np.testing.assert_allclose(
        symmetric.layers[0].kernel, np.mean([transform(kernel) for transform in transforms], axis=0), atol=1e-6
    )


@pytest.mark.parametrize("kind", ["Conv2D", "Conv2DTranspose"])
def test_a_mix_is_shared_out_over_the_output_channels(kind):
    model = randomise(keras.Sequential([keras.Input((8, 8, 5)), getattr(keras.layers, kind)(6, 3)]))
    symmetric, report = models.symmetrize(model, {"h": "50%", "v": 2})
    swap = (lambda a: np.swapaxes(a, -1, -2)) if kind == "Conv2DTranspose" else (lambda a: a)
    old, new = swap(model.get_weights()[0]), swap(np.asarray(symmetric.layers[0].kernel))
    np.testing.assert_allclose(new[..., :3], (old + old[:, ::-1])[..., :3] / 2, atol=1e-6)
    np.testing.assert_allclose(new[..., 3:5], (old + old[::-1])[..., 3:5] / 2, atol=1e-6)
    np.testing.assert_allclose(new[..., 5:], old[..., 5:], atol=1e-6)
    assert report.layers[0].structure == "h: 50%, v: 2"


def test_a_symmetric_model_computes_what_it_did_and_the_parity_is_obeyed():
    model = randomise(keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(3, 3)]))
    kernel, bias = model.get_weights()
    model.set_weights([(kernel - kernel[:, ::-1]) / 2, bias])
    symmetric, report = models.symmetrize(model, "h", parity="odd")
    assert report.layers[0].residual == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(symmetric(images((8, 8, 2))), model(images((8, 8, 2))), atol=1e-5)
    assert models.symmetrize(model, "h")[1].layers[0].residual == pytest.approx(1.0)


def test_a_whole_network():
    model = network()
    symmetric, report = models.symmetrize(model, "c4")
    assert done(report) == {
        "conv": "c4",
        "block/conv": "c4",
        "block/depthwise": "c4",
        "pointwise": "",
        "frames/inner": "c4",
        "oblong": "",
    }
    notes = {layer.name: layer.note for layer in report.layers if layer.note}
    assert set(notes) == {"pointwise", "oblong"}
    assert "ties no weights of a 1x1 kernel" in notes["pointwise"] and "equal height and width" in notes["oblong"]
    assert report.before == model.count_params() and report.after == symmetric.count_params() < report.before
    assert isinstance(symmetric.get_layer("frames").layer, layers.SymmetricConv2D)
    # Called twice, it is one layer still, and the rest was copied with its weights.
    assert len(symmetric.get_layer("block")._inbound_nodes) == 2
    for name in ("norm", "pointwise", "oblong"):
        for ours, theirs in zip(symmetric.get_layer(name).weights, model.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
            assert ours is not theirs
    # The plain model with the same kernels computes the same.
    plain = models.materialize(symmetric)
    for weight, value in zip(model.weights, plain.weights, strict=True):
        weight.assign(value)
    for ours, theirs in zip(symmetric(images((12, 12, 3))), model(images((12, 12, 3))), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=1e-4)


def test_the_report_is_a_table_and_json():
    _, report = models.symmetrize(network(), "c4")
    text = str(report).split("\n")
    assert text[0].split() == ["layer", "symmetry", "before", "after", "residual"]
    assert text[1].split()[:4] == ["conv", "c4", str(9 * 24 + 8), str(3 * 24 + 8)]
    assert text[-1].split()[-2:] == [str(report.before), str(report.after)]
    again = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert again["layers"][3]["residual"] is None and again["layers"][0]["after"] == 3 * 24 + 8


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("block/conv", {"block/conv"}),
        ("conv", {"conv", "block/conv"}),
        ("block", {"block/conv", "block/depthwise"}),
        ("frames", {"frames/inner"}),
        (keras.layers.DepthwiseConv2D, {"block/depthwise"}),
        (lambda layer: layer.filters == 8 if hasattr(layer, "filters") else False, {"conv", "block/conv", "pointwise"}),
        (["oblong", keras.layers.DepthwiseConv2D], {"oblong", "block/depthwise"}),
    ],
    ids=["path", "name", "model", "wrapper", "class", "predicate", "several"],
)
def test_selection(selector, expected):
    symmetric, report = models.symmetrize(network(), "hv", selector)
    assert done(report) == dict.fromkeys(expected, "hv")
    ours = [layer for layer in symmetric._flatten_layers() if type(layer).__module__.startswith("tf_symconv")]
    assert len(ours) == len(expected)


def test_a_symmetry_for_each_layer():
    _, report = models.symmetrize(
        network(), {"block/conv": "circular", "oblong": {"h": "50%"}, "frames": kernels.Rotational(2)}
    )
    assert done(report) == {"block/conv": "circular", "oblong": "h: 50%", "frames/inner": "c2"}


def test_the_new_model_trains_and_loads(tmp_path):
    model = randomise(
        keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                keras.layers.Conv2D(4, 3, kernel_regularizer=models.SymmetryPenalty("hv"), bias_regularizer="l2"),
                keras.layers.GlobalAveragePooling2D(),
            ]
        )
    )
    symmetric, _ = models.symmetrize(model, "hv")
    assert symmetric.layers[0].kernel_regularizer is None and symmetric.layers[0].bias_regularizer is not None
    symmetric.compile(optimizer="adam", loss="mse")
    symmetric.fit(images((8, 8, 2)), np.ones((2, 4)), verbose=0)  # pyright: ignore
    kernel = np.asarray(symmetric.layers[0].kernel)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    symmetric.save(tmp_path / "symmetric.keras")
    again: Any = keras.models.load_model(tmp_path / "symmetric.keras")
    np.testing.assert_allclose(again(images((8, 8, 2))), symmetric(images((8, 8, 2))), atol=1e-6)


def test_training_aids_are_kept_other_than_penalties():
    conv = keras.layers.DepthwiseConv2D(
        3,
        depthwise_regularizer=models.SymmetryPenalty("hv"),  # pyright: ignore
        depthwise_constraint="max_norm",
        bias_regularizer=lambda bias: 3.0,  # pyright: ignore
        activation=lambda x: x + 1.0,  # pyright: ignore
    )
    symmetric, _ = models.symmetrize(keras.Sequential([keras.Input((8, 8, 2)), conv]), "hv")
    new = symmetric.layers[0]
    assert new.depthwise_regularizer is None and isinstance(new.depthwise_constraint, keras.constraints.MaxNorm)
    assert [float(loss) for loss in symmetric.losses] == [3.0]
    assert new.activation is conv.activation


def test_layers_with_a_state_of_their_own_are_copied_with_it():
    rng = np.random.default_rng(0)
    norm: Any = keras.layers.Normalization()
    norm.adapt(rng.normal(3.0, 2.0, size=(50, 8, 8, 2)))
    lora: Any = keras.layers.Conv2D(4, 1)
    model = keras.Sequential([keras.Input((8, 8, 2)), norm, lora, keras.layers.Conv2D(4, 3)])
    lora.enable_lora(2)
    randomise(lora)
    symmetric, report = models.symmetrize(model, "hv")
    assert [(layer.structure, "LoRA" in layer.note) for layer in report.layers] == [("", True), ("hv", False)]
    x = images((8, 8, 2))
    np.testing.assert_allclose(symmetric.layers[1](symmetric.layers[0](x)), lora(norm(x)), atol=1e-5)


def test_mixed_precision_and_frozen_layers_are_kept():
    conv = keras.layers.Conv2D(4, 3, dtype="mixed_bfloat16", trainable=False)
    symmetric, _ = models.symmetrize(keras.Sequential([keras.Input((8, 8, 2)), conv]), "hv")
    assert symmetric.layers[0].dtype_policy.name == "mixed_bfloat16"
    assert not symmetric.trainable_weights


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (("c4", "oblong"), ValueError, "'oblong' cannot have the symmetry 'c4'.*equal height and width.*(3, 5)"),
        (({"oblong": "d4"},), ValueError, "'oblong' cannot have the symmetry 'd4'"),
        (("hv", "norm"), ValueError, "must be a convolution.*'norm', which is BatchNormalization"),
        (("hv", "nowhere"), ValueError, r"layers=\['nowhere'\].*'block/conv'"),
        (({"nowhere": "hv"},), ValueError, r"layers=\['nowhere'\]"),
        (("hv", keras.layers.Dense), ValueError, "Dense"),
        (("hv", lambda layer: False), ValueError, "for every selector"),
        (("hv", 3), TypeError, "layers=3"),
        (("hv", []), TypeError, r"layers=\[\]"),
        (("x",), ValueError, "symmetry='x'"),
        ((3,), TypeError, "Received: 3"),
        (({},), ValueError, "at least one layer"),
        (({"hv": 3, "conv": "hv"},), ValueError, "throughout"),
        (({"conv": "hv"}, "conv"), ValueError, "selects the layers"),
        (("z",), ValueError, "can have the symmetry"),
    ],
)
def test_errors(arguments, error, match):
    with pytest.raises(error, match=match):
        models.symmetrize(network(), *arguments)


def test_models_that_cannot_be_taken_apart_are_refused():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="subclassed"):
        models.symmetrize(Subclassed(), "hv")
    with pytest.raises(ValueError, match="must be built"):
        models.symmetrize(keras.Sequential([keras.layers.Conv2D(3, 3)]), "hv")
    lora = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(4, 3, name="lora")])
    lora.layers[0].enable_lora(2)
    with pytest.raises(ValueError, match=r"'lora' cannot have .*LoRA"):
        models.symmetrize(lora, "hv", "lora")
    with pytest.raises(ValueError, match=r"at least one that can have the symmetry.*LoRA"):
        models.symmetrize(lora, "hv")
