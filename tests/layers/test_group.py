"""Group layers: equivariance under every element, exactness, and messages for wrong arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import groups
from tf_symconv.layers import (
    GroupBatchNormalization,
    GroupConv2D,
    GroupConv2DTranspose,
    GroupLayerNormalization,
    GroupPooling,
)

GROUPS = ["h", "v", "hv", "c2", "c4", "d4", "diag"]


def act(name, index, x, on_group):
    """Transform images or maps on a group (batch, height, width, channels) by one element."""
    group = groups.get(name)
    turned = np.asarray(group.elements[index](x, axes=(1, 2)))
    if not on_group:
        return turned
    planes = turned.reshape(*turned.shape[:-1], -1, group.order)
    return planes[..., group.multiplication_table[group.inverses[index]]].reshape(turned.shape)


def check_equivariance(function, group, x, from_group, to_group, atol=1e-5):
    y = np.asarray(function(x))
    for index in range(groups.get(group).order):
        ours = np.asarray(function(act(group, index, x, from_group).astype("float32")))
        np.testing.assert_allclose(ours, act(group, index, y, to_group), atol=atol)


def images(group, channels, size=8):
    return np.random.default_rng(0).normal(size=(2, size, size, channels)).astype("float32")


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        (8, {"kernel_size": 3, "padding": "same"}),
        (7, {"kernel_size": 3, "padding": "same", "strides": 2}),
        (8, {"kernel_size": 2, "padding": "valid"}),
        (8, {"kernel_size": 2, "padding": "valid", "strides": 2}),
        (9, {"kernel_size": 4, "padding": "valid", "dilation_rate": 2}),
        (8, {"kernel_size": 5, "padding": "same", "activation": "relu"}),
    ],
)
def test_convolutions_are_equivariant(group, size, arguments):
    order = groups.get(group).order
    lift = GroupConv2D(2 * order, group=group, bias_initializer="normal", **arguments)
    check_equivariance(lift, group, images(group, 3, size), False, True)
    layer = GroupConv2D(2 * order, group=group, input_group=group, bias_initializer="normal", **arguments)
    check_equivariance(layer, group, images(group, 2 * order, size), True, True, atol=2e-5)


@pytest.mark.parametrize("group", ["h", "hv", "c4", "d4"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 4, "padding": "same", "strides": 2},
        {"kernel_size": 2, "padding": "valid", "strides": 2},
        {"kernel_size": 3, "padding": "valid", "strides": 2},
    ],
)
def test_transposed_convolutions_are_equivariant(group, arguments):
    order = groups.get(group).order
    lift = GroupConv2DTranspose(2 * order, group=group, bias_initializer="normal", **arguments)
    check_equivariance(lift, group, images(group, 3, 5), False, True)
    layer = GroupConv2DTranspose(2 * order, group=group, input_group=group, **arguments)
    check_equivariance(layer, group, images(group, order, 5), True, True, atol=2e-5)


@pytest.mark.parametrize("group", GROUPS)
def test_what_stands_between_convolutions_is_equivariant(group):
    order = groups.get(group).order
    x = images(group, 2 * order, 6)
    normalization = GroupBatchNormalization(group=group)
    normalization.build(x.shape)
    normalization.set_weights([np.random.default_rng(i).uniform(0.5, 2, 2) for i in range(4)])
    check_equivariance(normalization, group, x, True, True)
    check_equivariance(lambda z: normalization(z, training=True), group, x, True, True)
    layer_normalization = GroupLayerNormalization(group=group, gamma_initializer="normal", beta_initializer="normal")
    check_equivariance(layer_normalization, group, x, True, True)
    for reduction in ("max", "mean"):
        check_equivariance(GroupPooling(group, reduction), group, x, True, False)


@pytest.mark.parametrize("group", ["c4", "d4"])
@pytest.mark.parametrize(
    ("size", "kernel", "padding"), [(9, 3, "same"), (8, 3, "same"), (8, 2, "valid"), (9, 2, "valid")]
)
def test_a_whole_residual_network_is_equivariant_and_then_invariant(group, size, kernel, padding):
    order = groups.get(group).order
    inputs = keras.Input((size, size, 1))
    x = GroupConv2D(2 * order, kernel, padding=padding, group=group)(inputs)
    x = keras.layers.ReLU()(GroupBatchNormalization(group=group)(x))
    y = GroupConv2D(2 * order, 3, padding="same", group=group, input_group=group)(x)
    y = keras.layers.ReLU()(GroupLayerNormalization(group=group)(y))
    x = keras.layers.Add()([x, y])
    maps = keras.Model(inputs, x)
    classes = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(GroupPooling(group)(x)))
    sample = images(group, 1, size)
    check_equivariance(maps, group, sample, False, True)
    for index in range(order):
        np.testing.assert_allclose(classes(act(group, index, sample, False)), classes(sample), atol=1e-5)


def test_training_keeps_equivariance():
    model = keras.Sequential(
        [
            keras.Input((7, 7, 1)),
            GroupConv2D(8, 3, group="d4"),
            GroupBatchNormalization(group="d4"),
            GroupConv2D(8, 3, group="d4", input_group="d4", activation="relu"),
        ]
    )
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(16, 7, 7, 1)), rng.normal(size=(16, 3, 3, 8)), epochs=3, verbose=0)
    check_equivariance(model, "d4", images("d4", 1, 7), False, True)


def test_weights_are_counted_per_group_channel():
    layer = GroupConv2D(32, 3, group="d4", input_group="d4")
    layer.build((None, 8, 8, 16))
    assert layer.latent.shape == (3, 3, 16, 4)
    assert layer.bias.shape == (4,)
    assert layer.count_params() == 3 * 3 * 16 * 4 + 4


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        (
            {"kernel_size": 2, "padding": "same"},
            (None, 8, 8, 3),
            "spans 2 cells does not meet both ends.*No size keeps",
        ),
        ({"kernel_size": 3, "padding": "same", "strides": 2}, (None, 8, 8, 3), "keep it: 7 and 9.*relaxed"),
        ({"kernel_size": 3, "padding": "valid", "strides": 2}, (None, 8, 9, 3), "the height alike.*keep it: 7 and 9"),
        ({"kernel_size": 2, "padding": "valid", "strides": 3}, (None, 8, 9, 3), "the width alike.*keep it: 8 and 11"),
        ({"kernel_size": 1, "padding": "same", "strides": 2}, (None, 8, 8, 3), "keep it: 7 and 9"),
        ({"kernel_size": 2, "padding": "same"}, (None, None, None, 3), "No size keeps it"),
    ],
)
def test_sizes_that_break_exactness_are_refused_by_name(arguments, shape, message):
    layer = GroupConv2D(8, group="c4", **arguments)
    with pytest.raises(ValueError, match=rf"GroupConv2D .*{message}.*Received: input shape"):
        layer.build(shape)
    relaxed = GroupConv2D(8, group="c4", equivariance="relaxed", **arguments)
    relaxed.build(shape)


@pytest.mark.parametrize(
    "arguments", [{"kernel_size": 3, "strides": 2, "padding": "same"}, {"kernel_size": 1, "strides": 2}]
)
def test_transposed_convolutions_that_are_off_centre_are_refused(arguments):
    with pytest.raises(ValueError, match=r"GroupConv2DTranspose .*No size keeps it"):
        GroupConv2DTranspose(8, group="c4", **arguments).build((None, 5, 5, 3))


def test_the_refused_sizes_do_break_equivariance():
    for arguments in ({"kernel_size": 2, "padding": "same"}, {"kernel_size": 3, "padding": "same", "strides": 2}):
        layer = GroupConv2D(8, group="c4", equivariance="relaxed", **arguments)
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            check_equivariance(layer, "c4", images("c4", 1, 8), False, True)


def test_a_size_that_only_matters_along_another_axis_is_accepted():
    layer = GroupConv2D(4, 3, strides=2, padding="same", group="h")
    layer.build((None, 8, 7, 1))
    with pytest.raises(ValueError, match="the width alike"):
        GroupConv2D(4, 3, strides=2, padding="same", group="h").build((None, 7, 8, 1))


def test_unknown_sizes_are_checked_in_the_graph():
    layer = GroupConv2D(4, 3, strides=2, padding="same", group="c4")
    function = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 1))])
    assert function(tf.zeros((1, 7, 9, 1))).shape == (1, 4, 5, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="does not meet both ends of the width"):
        function(tf.zeros((1, 7, 8, 1)))


def test_an_input_of_another_size_is_checked_again():
    layer = GroupConv2D(4, 3, strides=2, padding="same", group="c4")
    layer(np.zeros((1, 7, 7, 1), "float32"))
    with pytest.raises(ValueError, match="keep it: 7 and 9"):
        layer(np.zeros((1, 8, 8, 1), "float32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": "q"}, "In 2-D a group is one of"),
        ({"group": "z"}, "In 2-D a group is one of"),
        ({"group": ""}, "In 2-D a group is one of"),
        ({"group": None}, "In 2-D a group is one of"),
        ({"input_group": "d4"}, "or the group of the layer, 'c4'. Received: input_group='d4'"),
        ({"input_group": "q"}, "In 2-D a group is one of"),
        ({"input_group": 4}, "Received: input_group=4"),
        ({"input_group": "c2"}, "Received: input_group='c2'"),
        ({"equivariance": "approximate"}, "one of exact, relaxed. Received: equivariance='approximate'"),
        ({"equivariance": None}, "Received: equivariance=None"),
        ({"equivariance": 1}, "Received: equivariance=1"),
        ({"equivariance": ""}, "Received: equivariance=''"),
        ({"filters": 6}, "multiple of 4 output channels; the nearest is 4 or 8. Received: 6"),
        ({"filters": 12, "groups": 2}, "order of the group 'c4'. Received: filters=12, groups=2"),
        ({"kernel_size": (3, 5)}, "equal height and width"),
        ({"strides": (1, 2)}, r"equal strides along both.*Received: strides=\(1, 2\)"),
    ],
    ids=str,
)
def test_wrong_arguments_get_one_clear_message(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupConv2D(**{"filters": 8, "kernel_size": 3, **arguments})


def test_channels_that_carry_no_group_are_named():
    with pytest.raises(ValueError, match=r"multiple of 4 input channels; the nearest is 4 or 8. Received: 6"):
        GroupConv2D(8, 3, group="c4", input_group="c4").build((None, 8, 8, 6))
    for layer in (GroupBatchNormalization(group="c4"), GroupLayerNormalization(group="c4"), GroupPooling("c4")):
        with pytest.raises(ValueError, match=r"multiple of 4. Received: 6 channels"):
            layer.build((None, 8, 8, 6))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reduction": "sum"}, "one of max, mean. Received: reduction='sum'"),
        ({"reduction": None}, "Received: reduction=None"),
        ({"axis": 0}, "Received: axis=0"),
        ({"axis": "last"}, "Received: axis='last'"),
        ({"group": "x"}, "In 2-D a group is one of"),
    ],
)
def test_wrong_pooling_arguments_get_one_clear_message(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupPooling(**arguments)


def test_pooling_and_normalisation_take_channels_first():
    x = images("c4", 8, 5)
    first = np.moveaxis(x, -1, 1)
    np.testing.assert_allclose(GroupPooling("c4", axis=1)(first), np.moveaxis(GroupPooling("c4")(x), -1, 1))
    for layer_class in (GroupBatchNormalization, GroupLayerNormalization):
        training = {"training": True} if layer_class is GroupBatchNormalization else {}
        y = layer_class(axis=1, group="c4")(first, **training)
        np.testing.assert_allclose(y, np.moveaxis(layer_class(group="c4")(x, **training), -1, 1), atol=1e-5)


def test_masked_steps_do_not_count():
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], bool)
    layer = GroupBatchNormalization(group="h", momentum=0.0)
    layer(x, training=True, mask=mask)
    split = x[:, :3].reshape(-1, 4, 2)
    np.testing.assert_allclose(layer.moving_mean, split.mean((0, 2)), atol=1e-5)
