"""The rule of every layer: what lint passes, report confirms, and what lint names, report measures."""

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.equivariant_models import agree, on_images, on_maps, regular
from tf_symconv import groups, layers
from tf_symconv.layers import (
    GroupBatchNormalization,
    GroupConv2D,
    GroupConv2DTranspose,
    GroupLayerNormalization,
    GroupPooling,
    SymmetricConv2D,
)
from tf_symconv.models import equivariance
from tf_symconv.models._equivariance_walk import RULES

K = keras.layers


# What is put on maps on the group c4 or d4: the layer, the size of the maps, and what lint finds.
ON_MAPS = {
    "relu": (lambda g: K.ReLU(), 8, None),
    "activation": (lambda g: K.Activation("gelu"), 8, None),
    "softmax over channels": (lambda g: K.Activation("softmax"), 8, None),
    "softmax over a row": (lambda g: K.Softmax(2), 8, "works along one spatial axis"),
    "leaky relu": (lambda g: K.LeakyReLU(), 8, None),
    "prelu shared": (lambda g: K.PReLU(shared_axes=[1, 2, 3]), 8, None),
    "prelu by channel": (lambda g: K.PReLU(shared_axes=[1, 2]), 8, "for every element"),
    "prelu by position": (lambda g: K.PReLU(shared_axes=[1, 3]), 8, r"every position: share axes \[2\]"),
    "dropout": (lambda g: K.Dropout(0.5), 8, None),
    "noise": (lambda g: K.GaussianNoise(0.5), 8, None),
    "rescaling": (lambda g: K.Rescaling(2.0, 1.0), 8, None),
    "batch norm": (lambda g: K.BatchNormalization(), 8, "for every element"),
    "group batch norm": (lambda g: GroupBatchNormalization(group=g), 8, None),
    "group batch norm of another group": (lambda g: GroupBatchNormalization(group="h"), 8, "for every el"),
    "group batch norm over rows": (lambda g: GroupBatchNormalization(axis=1, group="c2"), 8, "along axis 1"),
    "layer norm": (lambda g: K.LayerNormalization(), 8, "for every element"),
    "layer norm without weights": (lambda g: K.LayerNormalization(center=False, scale=False), 8, None),
    "layer norm over positions": (lambda g: K.LayerNormalization(axis=[1, 2, 3]), 8, "for every position"),
    "layer norm over rows": (lambda g: K.LayerNormalization(axis=2, center=False, scale=False), 8, "one spatial"),
    "group layer norm": (lambda g: GroupLayerNormalization(group=g), 8, None),
    "group norm": (lambda g: K.GroupNormalization(2), 8, "for every element"),
    "group norm without weights": (lambda g: K.GroupNormalization(2, center=False, scale=False), 8, None),
    "group norm of parts": (lambda g: K.GroupNormalization(groups.get(g).order, center=False, scale=False), 8, "cut"),
    "unit norm": (lambda g: K.UnitNormalization(axis=-1), 8, None),
    "max pool, even": (lambda g: K.MaxPooling2D(2), 8, None),
    "max pool, odd": (lambda g: K.MaxPooling2D(2), 9, "the height.*sizes that fit: 8 and 10"),
    "max pool, even, same": (lambda g: K.MaxPooling2D(2, padding="same"), 8, None),
    "max pool, odd, same": (lambda g: K.MaxPooling2D(2, padding="same"), 9, "gains 0 at its start and 1"),
    "max pool 3, odd, same": (lambda g: K.MaxPooling2D(3, 2, padding="same"), 9, None),
    "max pool 3, even, same": (lambda g: K.MaxPooling2D(3, 2, padding="same"), 8, "fit: 7 and 9"),
    "pool of even size that slides": (lambda g: K.AveragePooling2D(2, 1, padding="same"), 8, "no size fits"),
    "mean pool": (lambda g: K.AveragePooling2D(3, 2, padding="same"), 9, None),
    "pool of other steps": (lambda g: K.MaxPooling2D((2, 4)), 8, "exchanges the two"),
    "global mean": (lambda g: K.GlobalAveragePooling2D(), 8, None),
    "global max": (lambda g: K.GlobalMaxPooling2D(keepdims=True), 8, None),
    "group pool": (lambda g: GroupPooling(g), 8, None),
    "group pool of another group": (lambda g: GroupPooling("hv"), 8, None),
    "group pool over a spatial axis": (lambda g: GroupPooling(g, axis=1), 8, "it pools axis 1"),
    "padding": (lambda g: K.ZeroPadding2D(2), 8, None),
    "uneven padding": (lambda g: K.ZeroPadding2D(((0, 1), (0, 1))), 8, "gains 0 at its start and 1"),
    "padding of rows only": (lambda g: K.ZeroPadding2D(((1, 1), (0, 0))), 8, "sides of the height and"),
    "cropping": (lambda g: K.Cropping2D(2), 8, None),
    "uneven cropping": (lambda g: K.Cropping2D(((1, 0), (1, 0))), 8, "loses 1 at its start and 0"),
    "upsampling": (lambda g: K.UpSampling2D(2), 8, None),
    "upsampling, bilinear": (lambda g: K.UpSampling2D(3, interpolation="bilinear"), 8, None),
    "upsampling, bicubic": (lambda g: K.UpSampling2D(2, interpolation="bicubic"), 8, None),
    "upsampling of other factors": (lambda g: K.UpSampling2D((2, 1)), 8, "steps along height and width"),
    "resizing": (lambda g: K.Resizing(5, 5), 8, None),
    "resizing, nearest, odd step": (lambda g: K.Resizing(3, 3, interpolation="nearest"), 9, None),
    "resizing, nearest, even step": (lambda g: K.Resizing(4, 4, interpolation="nearest"), 8, "loses 1 at its start"),
    "resizing, other factors": (lambda g: K.Resizing(4, 8), 8, "steps along height and width differ"),
    "central crop": (lambda g: K.CenterCrop(4, 4), 8, None),
    "central crop off centre": (lambda g: K.CenterCrop(5, 5), 8, "loses 1 at its start and 2"),
    "adaptive pool": (lambda g: K.AdaptiveMaxPooling2D(3), 8, None),
    "adaptive pool of other sizes": (lambda g: K.AdaptiveAveragePooling2D((3, 4)), 8, "steps along height and width"),
    "spectral pool": (lambda g: layers.SpectralPooling2D(4), 8, "the height of 8 cells loses 0 at its start and 1"),
    "spectral pool of nothing": (lambda g: layers.SpectralPooling2D(8), 8, None),
    "flatten": (lambda g: K.Flatten(), 8, "every position features of its own"),
    "flatten one position": (lambda g: keras.Sequential([K.MaxPooling2D(8), K.Flatten()]), 8, None),
    "reshape": (lambda g: K.Reshape((-1,)), 8, "every position features of its own"),
    "permute axes": (lambda g: K.Permute((3, 1, 2)), 8, None),
    "transpose": (lambda g: K.Permute((2, 1, 3)), 8, "exchanges height and width"),
    "dense": (lambda g: K.Dense(3), 8, "weights differ between the channels"),
    "convolution": (lambda g: K.Conv2D(8, 3), 8, "weights differ between the channels"),
    "pointwise convolution": (lambda g: K.Conv2D(8, 1), 8, "weights differ between the channels"),
    "depthwise convolution": (lambda g: K.DepthwiseConv2D(3), 8, "weights differ between the channels"),
    "symmetric convolution": (lambda g: SymmetricConv2D(8, 3, symmetry="d4"), 8, "weights differ between"),
    "lifting again": (lambda g: GroupConv2D(**regular(2, g)), 8, "set input_group="),
    "group convolution of one cell": (
        lambda g: GroupConv2D(groups.get(g).order, 1, group=g, input_group=g),
        8,
        None,
    ),
    "group convolution": (lambda g: GroupConv2D(**regular(3, g), input_group=g), 8, None),
    "group convolution with an odd step": (
        lambda g: GroupConv2D(**regular(2, g), input_group=g, strides=2, equivariance="relaxed"),
        8,
        "windows of 3 cells and steps of 2.*sizes that fit: 7 and 9",
    ),
    "transposed group convolution": (
        lambda g: GroupConv2DTranspose(groups.get(g).order, 4, 2, "same", group=g, input_group=g),
        8,
        None,
    ),
    "transposed group convolution off centre": (
        lambda g: GroupConv2DTranspose(
            groups.get(g).order, 3, 2, "same", group=g, input_group=g, equivariance="relaxed"
        ),
        8,
        "steps of 2",
    ),
    "group convolution with softmax": (
        lambda g: GroupConv2D(**regular(2, g), input_group=g, activation="softmax"),
        8,
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("group", ["c4", "d4"])
@pytest.mark.parametrize("case", ON_MAPS)
def test_layers_on_maps(case, group):
    build, size, reason = ON_MAPS[case]
    layer = build(group)
    found = agree(on_maps(group, layer, size), group, size)
    if reason is None:
        assert found.ok
    else:
        assert found.first.name == layer.name
        with pytest.raises(ValueError, match=reason):
            raise ValueError(found.first.reason)


# What is put on images under some groups: the layer, the group, and what lint finds.
ON_IMAGES = {
    "batch norm": (lambda: K.BatchNormalization(), "d4", None),
    "dense along channels": (lambda: K.Dense(3), "d4", None),
    "pointwise convolution": (lambda: K.Conv2D(3, 1), "d4", None),
    "convolution": (lambda: K.Conv2D(3, 3), "h", "not symmetric under h"),
    "row convolution, other axis": (lambda: K.Conv2D(3, (1, 3)), "v", None),
    "row convolution": (lambda: K.Conv2D(3, (1, 3)), "h", "not symmetric under h"),
    "grouped convolution": (lambda: K.Conv2D(4, 1, groups=2), "c4", None),
    "transposed convolution": (lambda: K.Conv2DTranspose(4, 2, 2), "c4", "not symmetric under rot90"),
    "separable convolution": (lambda: K.SeparableConv2D(4, 3), "c4", "not symmetric"),
    "separable convolution of one cell": (lambda: K.SeparableConv2D(4, 1), "c4", None),
    "symmetric": (lambda: SymmetricConv2D(4, 3, symmetry="d4", padding="same"), "d4", None),
    "circular": (lambda: SymmetricConv2D(4, 5, symmetry="circular", padding="same"), "d4", None),
    "symmetric, odd step": (lambda: SymmetricConv2D(4, 3, 2, "same", symmetry="d4"), "d4", "steps of 2"),
    "symmetric under less": (lambda: SymmetricConv2D(4, 5, symmetry="c4"), "d4", "under v, transpose, h"),
    "antisymmetric": (lambda: SymmetricConv2D(4, 3, symmetry="h", parity="odd"), "h", "not symmetric"),
    "mix with free filters": (lambda: SymmetricConv2D(4, 3, symmetry={"d4": 3}), "d4", "not symmetric"),
    "symmetric depthwise": (lambda: layers.SymmetricDepthwiseConv2D(3, symmetry="d4"), "d4", None),
    "symmetric separable": (lambda: layers.SymmetricSeparableConv2D(3, 3, symmetry="c4"), "c4", None),
    "symmetric transposed": (
        lambda: layers.SymmetricConv2DTranspose(3, 4, 2, "same", symmetry="d4"),
        "d4",
        None,
    ),
    "pattern": (lambda: layers.PatternConv2D(3, "ABA/BCB/ABA"), "d4", None),
    "lopsided pattern": (lambda: layers.PatternConv2D(3, "ABC/BCB/ABA"), "d4", "not symmetric"),
    "tiled": (lambda: layers.TiledConv2D(3, 1, multiples=3), "d4", None),
    "tiled twice": (lambda: layers.TiledConv2D(3, 3, multiples=2), "d4", "not symmetric"),
    "spectral": (lambda: layers.SpectralConv2D(3, 3), "c2", "not symmetric"),
    "fourier": (lambda: layers.FourierConv2D(3, 3), "c2", "not symmetric"),
    "twin": (lambda: layers.TwinFlipConv2D(3, 3, axes="h"), "h", None),
    "twin, both axes": (lambda: layers.TwinFlipConv2D(3, 3, axes="hv", reduction="sum"), "c2", None),
    "twin, concatenated": (lambda: layers.TwinFlipConv2D(4, 3, axes="h", reduction="concat"), "h", None),
    "twin, other axis": (lambda: layers.TwinFlipConv2D(3, 3, axes="h"), "v", "not symmetric under v"),
    "flip bank": (lambda: layers.FlipBankConv2D(4, 3, symmetry={"hv": 4}), "hv", None),
    "flip bank with free filters": (lambda: layers.FlipBankConv2D(4, 3, symmetry={"h": 2}), "h", "not sym"),
    "flip bank with biases": (
        lambda: layers.FlipBankConv2D(4, 3, symmetry={"h": 4}, share_bias=False),
        "h",
        "a bias of its own",
    ),
    "flip bank transposed": (
        lambda: layers.FlipBankConv2DTranspose(4, 3, symmetry={"v": 4}),
        "v",
        None,
    ),
    "lifting by single cells": (lambda: GroupConv2D(8, 1, group="d4"), "d4", None),
    "flip bank of single cells": (lambda: layers.FlipBankConv2D(4, 1, symmetry={"hv": 4}), "hv", None),
    "smaller group": (lambda: GroupConv2D(8, 3, group="c4"), "d4", "under c4 only, not under v, trans"),
    "larger group": (lambda: GroupConv2D(8, 3, group="d4"), "c4", None),
    "even kernel under transposition": (lambda: GroupConv2D(4, 2, padding="same", group="diag"), "diag", None),
    "maps that are images": (
        lambda: GroupConv2D(4, 3, group="h", input_group="h"),
        "h",
        "reads maps on h, but",
    ),
    "transposition under turns by 180": (lambda: K.Permute((2, 1, 3)), "c2", None),
    "softmax over a row": (lambda: K.Softmax(2), "hv", None),
}  # fmt: skip


@pytest.mark.parametrize("case", ON_IMAGES)
def test_layers_on_images(case):
    build, group, reason = ON_IMAGES[case]
    layer = build()
    found = agree(on_images(layer), group, channels=2)
    if reason is None:
        assert found.ok
    else:
        assert found.first.name == layer.name
        with pytest.raises(ValueError, match=reason):
            raise ValueError(found.first.reason)


def random_layer(draw, group, order):
    relaxed = {"group": group, "input_group": group, "equivariance": "relaxed"}
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.sampled_from(["same", "valid"]))
    return draw(
        st.sampled_from(
            [
                lambda: GroupConv2D(order, kernel, stride, padding, **relaxed),
                lambda: GroupConv2D(order, kernel, 1, padding, dilation_rate=2, **relaxed),
                lambda: GroupConv2DTranspose(order, kernel, stride, padding, **relaxed),
                lambda: K.MaxPooling2D(kernel, stride, padding),
                lambda: K.AveragePooling2D(kernel, stride, padding),
                lambda: K.ZeroPadding2D(((kernel - 1, stride - 1), (kernel - 1, stride - 1))),
                lambda: K.Cropping2D(((0, stride - 1), (kernel % 2, stride - 1))),
                lambda: K.UpSampling2D(stride, interpolation="bilinear"),
                lambda: K.Activation("tanh"),
                lambda: GroupBatchNormalization(group=group),
            ]
        )
    )()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_lint_names_the_layer_that_report_measures_first(data):
    group = data.draw(st.sampled_from(["h", "v", "hv", "c2", "c4", "d4", "diag"]))
    size = data.draw(st.integers(7, 10))
    order = groups.get(group).order
    x = inputs = keras.Input((size, size, 1))
    x = GroupConv2D(order, 3, padding="same", group=group)(x)
    for _ in range(3):
        layer = random_layer(data.draw, group, order)
        smallest = min(x.shape[1:3])
        spans = getattr(layer, "kernel_size", getattr(layer, "pool_size", (1, 1)))
        reach = max(n * step for n, step in zip(spans, getattr(layer, "dilation_rate", (1, 1)), strict=True))
        if smallest > reach + 3 and smallest < 30:
            x = layer(x)
    agree(keras.Model(inputs, x), group, size)


def test_merging_keeps_maps_that_carry_the_same():
    inputs = keras.Input((8, 8, 1))
    a = GroupConv2D(**regular(2, "c4"))(inputs)
    b = GroupConv2D(**regular(2, "c4"))(inputs)
    joined = K.Concatenate()([a, b])
    gate = K.GlobalAveragePooling2D(keepdims=True)(a)
    attention = K.Conv2D(1, 1, activation="sigmoid")(GroupPooling("c4")(a))
    for tensor in (
        *(K.Add()([a, b]), K.Subtract()([a, b]), K.Multiply()([a, b]), K.Average()([a, b])),
        *(K.Maximum()([a, b]), K.Minimum()([a, b]), a + b, a - 2.0 * b, -a, keras.ops.maximum(a, b), a / 3.0),
        *(K.Multiply()([a, gate]), K.Multiply()([a, attention])),
        *(keras.ops.mean(a, axis=(1, 2)), keras.ops.max(a, axis=-1, keepdims=True), keras.ops.concatenate([a, b], -1)),
        GroupConv2D(**regular(3, "c4"), input_group="c4")(joined),
    ):
        assert agree(keras.Model(inputs, tensor), "c4").ok


def test_merging_what_carries_different_groups_is_named():
    inputs = keras.Input((8, 8, 1))
    maps = GroupConv2D(**regular(2, "c4"))(inputs)
    plain = K.Conv2D(8, 1)(inputs)
    assert agree(keras.Model(inputs, K.Add(name="sum")([maps, plain])), "c4").first.name == "sum"
    beside = K.Concatenate(axis=1, name="beside")([maps, maps])
    assert agree(keras.Model(inputs, beside), "c4").first.name == "beside"
    mixed = K.Concatenate()([plain, maps])
    found = agree(keras.Model(inputs, GroupConv2D(4, 1, group="c4", input_group="c4", name="conv")(mixed)), "c4")
    assert found.first.name == "conv"
    # Under h only the width moves, so maps may be laid one above the other.
    maps = GroupConv2D(**regular(2, "h"))(inputs)
    assert agree(keras.Model(inputs, K.Concatenate(axis=1)([maps, maps])), "h").ok
    assert equivariance.lint(keras.Model(inputs, keras.ops.mean(maps, axis=1))).unknown


def test_every_layer_for_images_has_a_rule():
    ours = {getattr(layers, name) for name in layers.__all__ if name.endswith("2D") or "2DT" in name or "Group" in name}
    assert len(ours) > 15
    assert ours - set(RULES) == set()
    assert {K.MaxPooling2D, K.Conv2D, K.Dense, K.Add, K.BatchNormalization, K.PReLU} <= set(RULES)
