"""The networks of the zoo: published sizes, equivariance, training, saving."""

import keras
import numpy as np
import pytest

from tests.models.equivariant_models import randomize
from tf_symconv import groups
from tf_symconv.models import equivariance, zoo


def weights(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def images(shape, count=2):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype("float32")


def test_digit_networks_have_the_published_sizes():
    assert weights(zoo.p4cnn()) == 9 * 10 + 5 * 9 * 40 * 10 + 16 * 40 * 10 + 60 + 10 + 2 * 60 == 24_680
    assert weights(zoo.z2cnn()) == 9 * 20 + 5 * 9 * 20 * 20 + 16 * 20 * 10 + 120 + 10 + 2 * 120 == 21_750
    assert weights(zoo.p4mcnn()) == 26_799
    assert round(weights(zoo.p4cnn()), -3) == 25_000
    assert round(weights(zoo.z2cnn()), -3) == 22_000


def test_twins_have_equal_sizes():
    assert weights(zoo.z2cnn(width=21)) == 23_782 == pytest.approx(weights(zoo.p4cnn()), rel=0.04)
    assert weights(zoo.z2cnn(width=22)) == 25_904 == pytest.approx(weights(zoo.p4mcnn()), rel=0.04)


@pytest.mark.parametrize("group", ["c4", "d4", "hv", "h"])
@pytest.mark.parametrize("build", [zoo.resnet, zoo.densenet])
def test_deep_twins_have_equal_sizes(build, group):
    depth = {zoo.resnet: 14, zoo.densenet: 22}[build]
    plain = weights(build((16, 16, 3), group=None, depth=depth))
    assert weights(build((16, 16, 3), group=group, depth=depth)) == pytest.approx(plain, rel=0.03)


def test_the_deep_networks_have_the_published_sizes():
    group, plain = zoo.resnet(), zoo.resnet(group=None)
    # 2.62 and 2.64 million.
    assert round(weights(group), -4) == 2_620_000
    assert round(weights(plain), -4) == 2_640_000
    widths = {layer.filters // 8 for layer in group.layers if hasattr(layer, "filters")}
    assert widths == {11, 23, 45}
    assert sum("conv" in layer.name and hasattr(layer, "filters") for layer in plain.layers) == 43
    found = equivariance.lint(group)
    assert found.ok, found.first
    # 1.0 million.
    plain = zoo.densenet(group=None)
    assert weights(plain) == 1_019_722
    group = zoo.densenet()
    assert weights(group) == pytest.approx(1_019_722, rel=0.03)
    found = equivariance.lint(group)
    assert found.ok, found.first


SMALL = {
    "p4cnn": lambda: zoo.p4cnn(width=4, dropout=0.1),
    "p4cnn, reflections": lambda: zoo.p4cnn((28, 28, 3), 4, group="hv", width=12),
    "p4cnn, wide image": lambda: zoo.p4cnn((28, 32, 1), 4, group="h", width=4),
    "p4mcnn": lambda: zoo.p4mcnn((30, 30, 1), width=6),
    "resnet": lambda: zoo.resnet((16, 16, 3), depth=14, width=6),
    "resnet of c4, odd size": lambda: zoo.resnet((17, 17, 1), 3, group="c4", depth=8, width=4),
    "resnet of c4, even, then odd": lambda: zoo.resnet((10, 10, 1), 3, group="c4", depth=8, width=4),
    "resnet of diag": lambda: zoo.resnet((9, 9, 1), 3, group="diag", depth=8, width=4),
    "densenet": lambda: zoo.densenet((16, 16, 3), depth=10, growth=6, width=8, dropout=0.2),
    "densenet of c4, odd size": lambda: zoo.densenet((15, 15, 3), group="c4", depth=10, growth=4, width=4),
    "densenet of v": lambda: zoo.densenet((9, 12, 3), group="v", depth=9, blocks=4, growth=1, width=1),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_network_is_equivariant_layer_by_layer_and_its_predictions_are_invariant(name):
    model = SMALL[name]()
    randomize(model)
    found = equivariance.lint(model)
    assert found.ok, found.first
    x = images(model.input_shape[1:])
    measured = equivariance.report(model, found.group, x)
    assert measured.ok, measured.first
    assert measured.layers[-1].output.startswith("invariant vector")
    classifier = keras.Model(model.input, model.get_layer("logits").output)
    logits = classifier(x).numpy()
    scale = np.abs(logits).max()
    assert np.ptp(logits, axis=0).max() > 1e-3 * scale
    for element in groups.get(found.group).elements:
        np.testing.assert_allclose(classifier(element(x, axes=(1, 2))), logits, atol=1e-5 * scale)


def test_plain_twins_are_not_equivariant():
    for model in (zoo.z2cnn(width=4), zoo.resnet((16, 16, 3), group=None, depth=8, width=4)):
        randomize(model)
        assert equivariance.lint(model, group="c4").first.name in ("conv1", "conv")
        assert equivariance.report(model, "c4", images(model.input_shape[1:])).first.name in ("conv1", "conv")


@pytest.mark.parametrize("name", ["resnet of c4, odd size", "densenet of c4, odd size"])
def test_networks_train_and_come_back_from_a_file(name, tmp_path):
    model = SMALL[name]()
    x, y = images(model.input_shape[1:], 4), np.arange(4) % model.output_shape[-1]
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    losses = model.fit(x, y, batch_size=4, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)
    assert equivariance.report(again, equivariance.lint(again).group, x).ok


def test_layers_have_names_and_predictions_are_probabilities():
    model = zoo.p4cnn(width=4)
    names = [layer.name for layer in model.layers]
    assert names[:5] == ["image", "conv1", "conv1_norm", "conv1_relu", "conv2"]
    assert names[-4:] == ["top", "group_pool", "logits", "predictions"]
    assert names.index("pool") == names.index("conv2_relu") + 1
    np.testing.assert_allclose(model(images((28, 28, 1))).numpy().sum(-1), 1, atol=1e-5)
    logits = zoo.p4cnn(width=4, classifier_activation=None)(images((28, 28, 1))).numpy()
    assert (logits.sum(-1) != 1).all()
    assert model.get_layer("conv6").output.shape == (None, 4, 4, 8)
    names = [layer.name for layer in zoo.resnet((8, 8, 1), depth=8, width=4).layers]
    assert {"stage1_block1_conv1", "stage2_block1_shortcut", "stage3_block1_add", "logits"} <= set(names)
    names = [layer.name for layer in zoo.densenet((8, 8, 1), depth=7, growth=4, blocks=2).layers]
    assert {"block1_layer1_conv", "transition1_conv", "block2_layer2_concat"} <= set(names)
    assert zoo.densenet((8, 8, 1), depth=7, growth=4, blocks=2, name="mine").name == "mine"


@pytest.mark.parametrize("policy", ["mixed_bfloat16"])
def test_predictions_are_float32_under_mixed_precision(policy):
    keras.mixed_precision.set_global_policy(policy)
    model = zoo.resnet((8, 8, 1), depth=8, width=4)
    assert model(images((8, 8, 1))).dtype == "float32"
    assert model.get_layer("conv").compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: zoo.p4cnn((26, 26, 1)), ValueError, r"even and at least 28.*Received: input_shape=\(26, 26, 1\)"),
        (lambda: zoo.p4cnn((29, 29, 1)), ValueError, "even and at least 28"),
        (lambda: zoo.p4cnn((28, 30, 1)), ValueError, "'c4' exchanges height and width, so images must be square"),
        (lambda: zoo.p4cnn((28, 28)), ValueError, "input_shape must be"),
        (lambda: zoo.p4cnn((None, None, 1)), ValueError, "input_shape must be"),
        (lambda: zoo.p4cnn(group="p4"), ValueError, "In 2-D a group is one of"),
        (lambda: zoo.p4cnn(group=4), ValueError, "In 2-D a group is one of"),
        (lambda: zoo.p4cnn(classes=0), ValueError, "classes must be positive. Received: classes=0"),
        (lambda: zoo.z2cnn(width=2.5), TypeError, "width must be an integer. Received: width=2.5"),
        (lambda: zoo.p4mcnn(dropout=2), ValueError, "dropout must be .* Received: dropout=2"),
        (lambda: zoo.densenet(dropout=-1), ValueError, "dropout must be .* Received: dropout=-1"),
        (lambda: zoo.resnet(depth=43), ValueError, r"depth must be 6 n \+ 2.*Received: depth=43"),
        (lambda: zoo.resnet(depth=2), ValueError, "Received: depth=2"),
        (lambda: zoo.resnet(depth="44"), TypeError, "depth must be an integer"),
        (lambda: zoo.resnet((32, 16, 3)), ValueError, "images must be square"),
        (lambda: zoo.densenet(depth=41), ValueError, r"depth must be blocks \* .*Received: depth=41, blocks=3"),
        (lambda: zoo.densenet(depth=4), ValueError, "Received: depth=4, blocks=3"),
        (lambda: zoo.densenet(growth=0), ValueError, "growth must be positive"),
        (lambda: zoo.densenet(blocks=True), TypeError, "blocks must be an integer. Received: blocks=True"),
    ],
)
def test_wrong_arguments_get_one_clear_message(call, error, message):
    with pytest.raises(error, match=message):
        call()
