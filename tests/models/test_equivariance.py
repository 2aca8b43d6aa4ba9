"""Lint and report on whole models: what they find, what they show, and what they refuse."""

import json

import keras
import numpy as np
import pytest

from tests.models.equivariant_models import agree, images, network, on_maps, randomize, regular
from tf_symconv import groups
from tf_symconv.layers import GroupBatchNormalization, GroupConv2D, GroupPooling
from tf_symconv.models import equivariance

K = keras.layers


@pytest.mark.parametrize("group", ["c4", "d4"])
@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("pooled", [True, False])
def test_even_kernels_with_padding_same_rotate_wrongly_and_are_named(group, size, pooled):
    model = network(group, 2, "SAME", pooled)
    randomize(model)
    found = equivariance.lint(model, (size, size, 1))
    assert not found.ok
    assert found.first.name == "conv1"
    assert "padding 'same', windows of 2 cells" in found.first.reason
    measured = equivariance.report(model, group, images(size))
    assert measured.first.name == "conv1"
    assert measured.layers[-1].worst > 1e-3
    for good in (network(group, 3, "same", pooled), network(group, 2, "valid", pooled)):
        randomize(good)
        assert equivariance.lint(good, (size, size, 1)).ok
        assert equivariance.report(good, group, images(size)).worst < 1e-5


def act(group, index, x, on_group):
    turned = np.asarray(group.elements[index](x, axes=(1, 2)))
    if not on_group:
        return turned
    planes = turned.reshape(*turned.shape[:-1], -1, group.order)
    return planes[..., group.multiplication_table[group.inverses[index]]].reshape(turned.shape)


@pytest.mark.parametrize("name", ["c4", "d4", "hv"])
def test_report_measures_what_its_words_say(name):
    group = groups.get(name)
    model = network(name, 2, "same")
    randomize(model)
    x = images(7)
    measured = equivariance.report(model, name, x)
    assert [layer.name for layer in measured.layers] == ["conv1", "norm", "relu", "conv2", "pool", "mean"]
    for layer, on_group in (("conv1", True), ("relu", True), ("conv2", True), ("pool", False), ("mean", None)):
        part = keras.Model(model.inputs[0], model.get_layer(layer).output)
        still = part(x).numpy()
        errors = []
        for index in range(group.order):
            wanted = still if on_group is None else act(group, index, still, on_group)
            ours = part(act(group, index, x, False)).numpy()
            errors.append(np.abs(ours - wanted).max() / np.abs(still).max())
        row = next(row for row in measured.layers if row.name == layer)
        np.testing.assert_allclose(row.errors, errors, rtol=1e-4, atol=1e-6)


def test_models_in_models_shared_layers_and_several_inputs():
    inner = keras.Sequential([K.ReLU(name="relu"), K.MaxPooling2D(2, name="pool")], name="inner")
    branch_inputs = keras.Input((8, 8, 4))
    branch = keras.Model(branch_inputs, inner(branch_inputs), name="branch")
    image, extra = keras.Input((8, 8, 1)), keras.Input((3,))
    lift = GroupConv2D(**regular(1, "c4"), name="lift")
    x = K.Add(name="sum")([branch(lift(image)), branch(lift(K.ReLU(name="first")(image)))])
    x = K.GlobalMaxPooling2D(name="max")(GroupPooling("c4", name="group")(x))
    model = keras.Model([image, extra], K.Dense(2, name="dense")(K.Concatenate(name="join")([x, extra])))
    found = equivariance.lint(model)
    assert found.ok
    names = [layer.name for layer in found.layers]
    assert set(names) == {
        *("first", "lift", "branch/inner/relu", "branch/inner/pool", "sum", "group", "max", "join", "dense")
    }
    assert names.count("lift") == names.count("branch/inner/pool") == 2
    x = [images(8), np.ones((2, 3), "float32")]
    assert equivariance.report(model, "c4", x).ok
    pool = keras.Sequential([K.ReLU(), K.MaxPooling2D(2, name="pool")], name="inner")
    bad = keras.Sequential([keras.Input((9, 9, 1)), GroupConv2D(**regular(1, "c4")), pool])
    assert equivariance.lint(bad).first.name == "inner/pool"


def test_a_size_that_the_model_leaves_open_decides():
    model = keras.Sequential([keras.Input((None, None, 1)), GroupConv2D(**regular(1, "d4")), K.MaxPooling2D(2)])
    assert equivariance.lint(model, (8, 8, 1)).ok
    assert not equivariance.lint(model, (9, 9, 1)).ok
    with pytest.raises(ValueError, match=r"with known sizes. Received: input shape \(None, None, 1\)"):
        equivariance.lint(model)


def test_a_model_that_is_not_built_is_linted_as_it_is():
    model = keras.Sequential(
        [GroupConv2D(8, 3, 2, "same", group="c4", name="conv"), GroupBatchNormalization(group="c4"), K.Flatten()]
    )
    found = equivariance.lint(model, (8, 8, 1))
    assert [layer.verdict for layer in found.layers] == ["breaks", "exact", "breaks"]
    assert not model.built
    assert not model.weights
    with pytest.raises(ValueError, match="input_shape must be given for a model that is not built"):
        equivariance.lint(model, group="c4")


def test_channels_first():
    inputs = keras.Input((1, 8, 8))
    first = {"data_format": "channels_first"}
    x = GroupConv2D(**regular(2, "c4"), **first)(inputs)
    x = GroupBatchNormalization(axis=1, group="c4")(x)
    x = K.AveragePooling2D(4, 2, padding="same", **first)(x)
    model = keras.Model(inputs, GroupPooling("c4", axis=1)(x))
    randomize(model)
    assert equivariance.lint(model).ok
    assert equivariance.report(model, "c4", np.moveaxis(images(8), 3, 1)).ok
    wrong = keras.Model(inputs, K.MaxPooling2D(2, data_format="channels_last", name="pool")(x))
    assert equivariance.lint(wrong).first.name == "pool"
    assert "it reads channels_last" in equivariance.lint(wrong).first.reason
    rows = keras.Model(inputs, K.Dense(4, name="dense")(x))
    assert equivariance.lint(rows).first.name == "dense"
    assert equivariance.report(rows, "c4", np.moveaxis(images(8), 3, 1)).first.name == "dense"


@keras.saving.register_keras_serializable(package="test_equivariance")
class Twice(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def test_layers_without_a_rule_are_reported_and_still_measured():
    model = on_maps("c4", lambda x: K.GlobalMaxPooling2D()(Twice(name="twice")(x)))
    found = equivariance.lint(model)
    assert (found.ok, found.first, [layer.name for layer in found.unknown]) == (False, None, ["twice"])
    assert "no rule for Twice; what follows assumes" in found.unknown[0].reason
    assert "no rule for 'twice'" in str(found)
    assert equivariance.report(model, "c4", images(8)).ok
    lost = on_maps("c4", lambda x: K.TimeDistributed(K.Flatten(), name="rows")(x))
    assert [layer.name for layer in equivariance.lint(lost).unknown] == ["rows"]
    measured = equivariance.report(lost, "c4", images(8))
    assert np.isnan(measured.layers[-1].worst)
    assert not measured.ok
    assert "not every layer could be measured" in str(measured)
    own = on_maps("c4", K.Activation(lambda x: x[..., ::-1], name="own"))
    assert equivariance.lint(own).unknown[0].name == "own"


def test_a_smaller_group_than_that_of_the_layers():
    model = network("d4", 3, "same")
    for group in ("c4", "hv", "diag", "h"):
        assert equivariance.report(model, group, images(8)).ok
        assert equivariance.lint(model, (8, 8, 1), group).ok
    # Pooled over the reflections, maps on d4 carry the rotations that are left.
    model = on_maps("d4", GroupPooling("c2"))
    assert agree(model, "h").ok


def test_results_are_plain_values_and_readable():
    model = network("c4", 2, "same")
    found = json.loads(json.dumps(equivariance.lint(model, (8, 8, 1)).to_dict(), allow_nan=False))
    assert (found["group"], found["ok"], found["first"], len(found["layers"])) == ("c4", False, "conv1", 6)
    measured = equivariance.report(model, "c4", images(8), tolerance=10)
    assert measured.ok
    values = json.loads(json.dumps(measured.to_dict(), allow_nan=False))
    assert values["elements"] == ["identity", "rot90", "rot180", "rot270"]
    assert values["layers"][0]["errors"] == list(measured.layers[0].errors)
    lines = str(measured).splitlines()
    assert lines[0].split() == ["layer", "class", "output", "rot90", "rot180", "rot270"]
    assert lines[1].startswith("conv1  GroupConv2D")
    assert lines[-1] == "Equivariant under c4: no error above 10."
    assert str(equivariance.lint(model, (8, 8, 1))).endswith("the first layer that breaks it is 'conv1'.")


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


MODEL = keras.Sequential([keras.Input((8, 8, 1)), GroupConv2D(4, 3, group="c4")])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": 1}, TypeError, "functional or Sequential Keras model. Received: int"),
        ({"model": K.Dense(1)}, TypeError, "Received: Dense"),
        ({"model": Subclassed(name="own")}, ValueError, "cannot be read from it. Received: Subclassed 'own'"),
        ({"model": keras.Sequential(name="bare")}, ValueError, "Received: the empty model 'bare'"),
        ({"group": "q"}, ValueError, "In 2-D a group is one of"),
        ({"group": 4}, ValueError, "In 2-D a group is one of"),
    ],
)
@pytest.mark.parametrize("tool", ["lint", "report"])
def test_wrong_models_and_groups_get_one_clear_message(tool, arguments, error, message):
    arguments = {"model": MODEL, "group": "c4", **arguments}
    call = {"lint": {"input_shape": (8, 8, 1)}, "report": {"samples": images(8)}}[tool]
    with pytest.raises(error, match=message):
        getattr(equivariance, tool)(**arguments, **call)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 8), r"input_shape must fit the inputs of the model, of shape \(8, 8, 1\) without the batch"),
        ((None, 8, 8, 1), "input_shape must fit"),
        ((8, 9, 1), "input_shape must fit"),
        ([(8, 8, 1), (3,)], r"Received: \(8, 8, 1\), \(3,\)"),
        ("888", "input_shape must be a shape"),
        (8, "input_shape must be a shape"),
        ((8.0, 8, 1), "input_shape must be a shape"),
        ([], "input_shape must fit"),
    ],
)
def test_wrong_shapes_get_one_clear_message(shape, message):
    with pytest.raises(ValueError, match=message):
        equivariance.lint(MODEL, shape)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 8, 8, 1)), "must change under the group 'c4'"),
        (np.ones((0, 8, 8, 1)), "at least one image"),
        (np.full((2, 8, 8, 1), np.nan), "must hold finite numbers"),
        (np.full((2, 8, 8, 1), "a"), "must hold finite numbers"),
        (images(7), r"must fit the inputs of the model, of shape \(8, 8, 1\) without the batch. Received: \(7, 7, 1\)"),
        (images(8)[0], r"samples must fit"),
        (np.float32(3), r"must be batches of images"),
        ([images(8), images(8)], r"samples must fit"),
    ],
)
def test_wrong_samples_get_one_clear_message(samples, message):
    with pytest.raises(ValueError, match=message):
        equivariance.report(MODEL, "c4", samples)


def test_what_does_not_fit_the_group_is_refused():
    wide = keras.Sequential([keras.Input((8, 6, 1)), GroupConv2D(4, 3, group="h"), K.ReLU()])
    assert equivariance.lint(wide).ok
    with pytest.raises(ValueError, match=r"exchanges height and width, so images must be square.*\(8, 6, 1\)"):
        equivariance.lint(wide, group="c4")
    with pytest.raises(ValueError, match="must be square"):
        equivariance.report(wide, "d4", images((8, 6)))
    plain = keras.Sequential([keras.Input((8, 8, 1)), K.Conv2D(4, 3)], name="plain")
    with pytest.raises(ValueError, match="'plain' with group layers of no group"):
        equivariance.lint(plain)
    assert not equivariance.lint(plain, group="c4").ok
    two = keras.Sequential([keras.Input((8, 8, 1)), GroupConv2D(4, 3, group="c4"), GroupPooling("c2")])
    with pytest.raises(ValueError, match="with group layers of c2, c4"):
        equivariance.lint(two)
    vector = keras.Sequential([keras.Input((8,)), K.Dense(4)])
    with pytest.raises(ValueError, match="must have an image among its inputs"):
        equivariance.lint(vector, group="c4")
    series = keras.Sequential([keras.Input((8, 2)), K.Dense(4)])
    with pytest.raises(ValueError, match=r"must be images .* or vectors.*\(8, 2\)"):
        equivariance.lint(series, group="c4")
    for tolerance in (0, -1.0, float("nan"), "small"):
        with pytest.raises(ValueError, match=r"tolerance must be a positive number. Received: tolerance="):
            equivariance.report(MODEL, "c4", images(8), tolerance=tolerance)
