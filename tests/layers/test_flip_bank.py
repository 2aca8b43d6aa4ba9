"""Flip bank layers: equivariance, shared biases, and weights imported from CNN-Symmetry."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from tf_symconv import kernels, layers

CASES = [
    (layers.FlipBankConv1D, {"symmetry": {"h": 4}}, (7, 2)),
    (layers.FlipBankConv2D, {"symmetry": {"h": 2, "v": 4, "hv": 8}}, (6, 7, 2)),
    (layers.FlipBankConv3D, {"symmetry": {"hz": 4, "hvz": 8}}, (4, 5, 6, 2)),
    (
        layers.FlipBankConv2DTranspose,
        {"symmetry": {"h": 2, "v": 4, "hv": 8}, "strides": 3, "padding": "same"},
        (4, 5, 2),
    ),
    (layers.FlipBankConv3DTranspose, {"symmetry": {"vz": 4, "hvz": 8}}, (3, 3, 2, 2)),
]
rows = pytest.mark.parametrize(
    ("layer", "arguments", "shape"), CASES, ids=lambda value: getattr(value, "__name__", None)
)


def flip(array, letters):
    """Reverse the spatial axes of an array (batch, *spatial, channels) that the letters name."""
    return np.flip(array, tuple(-2 - "hvz".index(letter) for letter in letters))


def random_weights(layer, seed=0):
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])


@rows
def test_flipping_the_input_permutes_the_outputs_of_the_orbits(layer, arguments, shape):
    bank = layer(**{"filters": 15, "kernel_size": 3, "activation": "tanh", **arguments})
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    bank.build(x.shape)
    random_weights(bank)
    y = np.asarray(bank(x))
    rank, moved = len(shape) - 1, 0
    for letters in ("h", "v", "z", "hv", "hz", "vz", "hvz"):
        if set(letters) <= set("hvz"[:rank]):
            images = bank.bank.images(letters, 15, rank)
            kept = images >= 0
            flipped = np.asarray(bank(flip(x, letters)))
            np.testing.assert_allclose(flipped[..., images[kept]], flip(y, letters)[..., kept], atol=1e-5)
            moved += np.count_nonzero(images[kept] != np.flatnonzero(kept))
    assert moved > 0


@rows
def test_shared_biases_follow_their_filters(layer, arguments, shape):
    shared = layer(**{"filters": 15, "kernel_size": 3, "bias_initializer": "random_normal", **arguments})
    own = layer(**{"filters": 15, "kernel_size": 3, "share_bias": False, **arguments})
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    y = np.asarray(shared(x))
    own.build(x.shape)
    orbits = shared.bank.orbits(15)
    assert shared.bias.shape == (shared.latent.shape[-1],)
    assert own.bias.shape == (15,)
    own.set_weights([shared.latent.numpy(), shared.bias.numpy()[orbits]])
    np.testing.assert_array_equal(own(x), y)


def test_every_filter_has_a_partner_by_default():
    for layer, shape, order in (
        (layers.FlipBankConv1D, (9, 2), 2),
        (layers.FlipBankConv2D, (9, 9, 2), 4),
        (layers.FlipBankConv2DTranspose, (9, 9, 2), 4),
        (layers.FlipBankConv3D, (5, 5, 5, 2), 8),
    ):
        bank = layer(16, 3)
        bank.build((None, *shape))
        assert [w.shape[-1] for w in bank.get_weights()] == [16 // order] * 2


def test_a_bank_can_be_given_as_a_kernel_map():
    bank = layers.FlipBankConv2D(8, 3, symmetry=kernels.FlipBank({"vh": 4}))
    assert bank.symmetry == bank.get_config()["symmetry"] == {"hv": 4}


@pytest.mark.parametrize("layer", [layers.FlipBankConv2D, layers.FlipBankConv2DTranspose])
@pytest.mark.parametrize(
    ("symmetry", "message"),
    [
        ({"hv": 6}, "the nearest are 4 and 8. Received: 6"),
        ({"h": 7}, "the nearest are 6 and 8. Received: 7"),
        ({"h": 18}, "number of filters, 16.*18 filters"),
        ({"z": 2}, "In 2-D a group is one of.*Received: 'z'"),
        ({"d4": 8}, "blocks of a flip bank are.*Received: 'd4'"),
        ({"h": "1/2"}, "A count must be.*Received: '1/2'"),
        ({}, "at least one entry"),
        (None, "Received: symmetry=None"),
        ("hv", "Received: symmetry='hv'"),
    ],
)
def test_wrong_counts_get_one_clear_message(layer, symmetry, message):
    with pytest.raises(ValueError, match=message):
        layer(16, 3, symmetry=symmetry)


@pytest.mark.parametrize("share_bias", [None, 1, "yes", 0.5])
def test_share_bias_is_true_or_false(share_bias):
    with pytest.raises(ValueError, match=f"share_bias must be True or False. Received: share_bias={share_bias!r}"):
        layers.FlipBankConv2D(16, 3, share_bias=share_bias)


# --- weights of CNN-Symmetry, whose forward passes are written out here


def tensorflow_layer(arrays, x):
    """Return the outputs of the TensorFlow layer: kernels h, v, hv, free; shared biases v, h, hv, free."""
    h, v, hv = (arrays[f"kernel_sym_{name}"] for name in ("h", "v", "hv"))
    kernel = [h, h[:, ::-1], v, v[::-1], hv, hv[:, ::-1], hv[::-1], hv[::-1, ::-1], arrays["kernel_nonsym"]]
    y = oracles.convolve(x, np.concatenate(kernel, -1))
    if "bias" in arrays:
        return y + arrays["bias"]
    counts = [("bias_v", 2), ("bias_h", 2), ("bias_hv", 4), ("bias_nonsym", 1)]
    return y + np.concatenate([np.concatenate([arrays[name]] * count) for name, count in counts])


def pytorch_layer(weight, bias, counts, x):
    """Return the outputs of the PyTorch layer, channels last: unique filters first, then the flips of each block."""
    axes = {"h": -1, "v": -2, "z": -3}
    parts, start = [weight], 0
    for block in ("h", "v", "z", "hv", "hz", "vz", "hvz"):
        order = {1: 2, 2: 4, 3: 8}[len(block)]
        unique = weight[start : start + counts.get(block, 0) // order]
        start += len(unique)
        for letters in ("h", "v", "z", "vz", "hz", "hv", "hvz"):
            if set(letters) <= set(block):
                parts.append(np.flip(unique, tuple(axes[letter] for letter in letters)))
    kernel = np.concatenate(parts)
    kernel = np.transpose(kernel, (*range(2, kernel.ndim), 1, 0))
    return oracles.convolve(x, kernel) + (0 if bias is None else bias)


def imported_layer(imported, **arguments):
    layer = (layers.FlipBankConv2D if imported.latent.ndim == 4 else layers.FlipBankConv3D)(
        **imported.arguments, **arguments
    )
    layer.build((None, *(9,) * (imported.latent.ndim - 2), imported.latent.shape[-2]))
    layer.set_weights(imported.weights)
    return layer


def tensorflow_arrays(rng, bias):
    sizes = {"kernel_sym_h": 2, "kernel_sym_v": 1, "kernel_sym_hv": 1, "kernel_nonsym": 3}
    arrays = {f"conv/{name}:0": rng.normal(size=(3, 3, 2, n)) for name, n in sizes.items()}
    if bias == "shared":
        sizes = {"bias_v": 1, "bias_h": 2, "bias_hv": 1, "bias_nonsym": 3}
        arrays |= {f"conv/{name}:0": rng.normal(size=n) for name, n in sizes.items()}
    else:
        arrays["conv/bias:0"] = rng.normal(size=13)
    return arrays


@pytest.mark.parametrize("bias", ["shared", "own"])
def test_tensorflow_weights_keep_the_outputs(bias):
    rng = np.random.default_rng(0)
    arrays = tensorflow_arrays(rng, bias)
    imported = kernels.import_cnn_symmetry(arrays, "tensorflow")
    assert imported.symmetry == {"h": 4, "v": 2, "hv": 4}
    # Their shared biases belong to other filters than those of their orbit.
    assert not imported.share_bias
    x = rng.normal(size=(2, 7, 8, 2)).astype("float32")
    theirs = tensorflow_layer({name[5:-2]: array for name, array in arrays.items()}, x)
    ours = imported_layer(imported)(x)
    np.testing.assert_allclose(ours, theirs[..., imported.permutation], atol=1e-5)
    np.testing.assert_allclose(tf.gather(ours, np.argsort(imported.permutation), axis=-1), theirs, atol=1e-5)


def test_tensorflow_biases_are_shared_where_they_agree():
    rng = np.random.default_rng(0)
    arrays = tensorflow_arrays(rng, "shared")
    arrays |= {"conv/bias_v:0": np.full(1, 0.5), "conv/bias_h:0": np.full(2, 0.5)}
    imported = kernels.import_cnn_symmetry(arrays, "tensorflow")
    assert imported.share_bias
    assert imported.bias is not None
    assert imported.bias.shape == (7,)
    x = rng.normal(size=(2, 7, 8, 2)).astype("float32")
    theirs = tensorflow_layer({name[5:-2]: array for name, array in arrays.items()}, x)
    np.testing.assert_allclose(imported_layer(imported)(x), theirs[..., imported.permutation], atol=1e-5)


@pytest.mark.parametrize(
    ("counts", "unique", "rank"),
    [
        ({"h": 4, "v": 2, "hv": 8}, 2 + 1 + 2 + 3, 2),
        ({"hv": 4}, 1, 2),
        ({"h": 2, "z": 2, "hz": 4, "vz": 4, "hvz": 16}, 1 + 1 + 1 + 1 + 2 + 1, 3),
    ],
)
@pytest.mark.parametrize("with_bias", [True, False])
def test_pytorch_weights_keep_the_outputs(counts, unique, rank, with_bias):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(unique, 2, *(3, 2, 3)[:rank]))
    filters = sum(counts.values()) + unique - sum(n // 2 ** len(name) for name, n in counts.items())
    bias = rng.normal(size=filters) if with_bias else None
    arrays = {"net.conv1.weight": weight} | ({} if bias is None else {"net.conv1.bias": bias})
    imported = kernels.import_cnn_symmetry(arrays, "pytorch", counts)
    assert imported.filters == filters
    assert sorted(imported.permutation) == list(range(filters))
    x = rng.normal(size=(2, *(6, 7, 5)[:rank], 2)).astype("float32")
    theirs = pytorch_layer(weight, bias, counts, x)
    ours = imported_layer(imported)(x)
    np.testing.assert_allclose(ours, theirs[..., imported.permutation], atol=1e-5)
    np.testing.assert_allclose(tf.gather(ours, np.argsort(imported.permutation), axis=-1), theirs, atol=1e-5)


def test_imported_layers_fit_into_a_model():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5, 2, 3, 3))
    imported = kernels.import_cnn_symmetry({"weight": weight}, "pytorch", {"hv": 8})
    layer = imported_layer(imported, activation="relu")
    back = np.argsort(imported.permutation)
    inputs = keras.Input((8, 8, 2))
    model = keras.Model(inputs, keras.ops.take(layer(inputs), back, axis=-1))
    x = rng.normal(size=(2, 8, 8, 2)).astype("float32")
    expected = np.maximum(pytorch_layer(weight, None, {"hv": 8}, x), 0)
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


W4, W5 = np.zeros((4, 2, 3, 3)), np.zeros((3, 3, 2, 4))


@pytest.mark.parametrize(
    ("arrays", "layout", "symmetry", "message"),
    [
        ({"weight": W4}, "torch", {"h": 2}, "layout must be one of tensorflow, pytorch. Received: layout='torch'"),
        ({"weight": W4}, "pytorch", None, "needs the counts of the layer. Received: symmetry=None"),
        ({"weight": W4}, "pytorch", {"h": 3}, "the nearest are 2 and 4"),
        ({"weight": W4}, "pytorch", {"h": "50%"}, "numbers of filters. Received: symmetry={'h': '50%'}"),
        (
            {"weight": W4},
            "pytorch",
            {"h": 10},
            r"at least the 5 unique filters.*Received: weight of shape \(4, 2, 3, 3\)",
        ),
        ({"weight": W4[0]}, "pytorch", {"h": 2}, r"2 or 3 spatial axes.*Received: {'weight': \(2, 3, 3\)}"),
        ({"kernel": W4}, "pytorch", {"h": 2}, r"Received: {'kernel': \(4, 2, 3, 3\)}"),
        ({"a.weight": W4, "b.weight": W4}, "pytorch", {}, "must be those of one layer. Received.*a.weight.*b.weight"),
        ({"weight": W4, "bias": np.zeros(4)}, "pytorch", {"h": 2}, "has 5 filters.*Received: 4 biases"),
        ({"weight": W4}, "tensorflow", None, "at least one kernel.*Received: {'weight'"),
        ({"bias_h": np.zeros(2)}, "tensorflow", None, "at least one kernel"),
        ({"kernel_sym_h": W5, "kernel_sym_v": W4}, "tensorflow", None, "differ in their last axis only"),
        ({"kernel_sym_h": W5, "bias_v": np.zeros(4)}, "tensorflow", None, "one entry for each unique filter"),
        ({"kernel_sym_h": W5, "bias_h": np.zeros(3)}, "tensorflow", None, "one entry for each unique filter"),
        ({"kernel_sym_h": W5, "bias": np.zeros(4)}, "tensorflow", None, "has 8 filters.*Received: 4 biases"),
    ],
)
def test_wrong_arrays_get_one_clear_message(arrays, layout, symmetry, message):
    with pytest.raises(ValueError, match=message):
        kernels.import_cnn_symmetry(arrays, layout, symmetry)
