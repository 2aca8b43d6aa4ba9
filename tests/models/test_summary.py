"""The table of a model's layers: what they weigh, and what they take."""

import json
from typing import Any

import keras
import pytest

from tests.layers.cases import CASES
from tf_symconv import kernels, layers, models

#: Layers whose plain form has other weights, or fewer products, than the structure: twins that are added up become one
#: kernel, those of a maximum have two biases; cropping a spectrum becomes a matrix; depthwise kernels are filled up.
OTHERWISE = (
    *("TwinFlipConv1D-min", "TwinFlipConv2D-max", "TwinFlipConv3D-mean", "SpectralPooling1D", "SpectralPooling2D"),
    *("SymmetricConv2DTranspose-mix", "SymmetricDepthwiseConv2D-mix"),
)
rows = pytest.mark.parametrize("case", [c for c in CASES if c.id not in OTHERWISE], ids=lambda case: case.id)


@rows
def test_effective_weights_and_products_are_those_of_the_plain_model(case):
    model = case.make_model()
    ours, plain = models.summary(model), models.summary(models.materialize(model))
    assert ours.free == model.count_params()
    assert ours.effective == plain.effective == plain.free
    assert ours.multiplications == plain.multiplications
    (row,) = ours.rows
    assert (row.name, row.type, row.output_shape) == ("layer", case.layer.__name__, model.output_shape)


def network() -> Any:
    image = keras.Input((8, 8, 2))
    block = keras.Sequential(
        [keras.Input((8, 8, 8)), layers.GroupConv2D(8, 3, padding="same", group="c4", input_group="c4", name="conv")],
        name="block",
    )
    x = layers.GroupConv2D(8, 3, padding="same", group="c4", name="lift")(image)
    x = layers.GroupBatchNormalization(group="c4", name="norm")(x)
    x = block(block(x)) + x
    x = layers.GroupPooling("c4", name="pool")(x)
    x = layers.TwinFlipConv2D(4, 3, name="twins")(x)
    x = keras.layers.Dense(3, name="dense")(x)
    return keras.Model(image, x, name="network")


def test_a_whole_network():
    table = models.summary(network())
    found = {r.name: (r.free, r.effective, r.multiplications, r.calls) for r in table.rows}
    assert found == {
        "lift": (9 * 2 * 2 + 2, 9 * 2 * 8 + 8, 64 * 9 * 2 * 8, 1),
        "norm": (4 * 2, 4 * 8, 0, 1),
        "block/conv": (9 * 8 * 2 + 2, 9 * 8 * 8 + 8, 2 * 64 * 9 * 8 * 8, 2),
        "pool": (0, 0, 0, 1),
        "twins": (9 * 2 * 4 + 4, 2 * 9 * 2 * 4 + 4, 36 * 2 * 9 * 2 * 4, 1),
        "dense": (15, 15, 36 * 12, 1),
    }
    structures = {row.name: row.structure for row in table.rows}
    assert structures["block/conv"] == "group=c4, input_group=c4" and structures["twins"] == "axes=h, reduction=max"
    assert structures["dense"] == ""
    assert table.free == network().count_params()
    assert table.effective == sum(row[1] for row in found.values())
    assert table.multiplications == sum(row[2] or 0 for row in found.values())


@pytest.mark.parametrize(
    ("layer", "structure"),
    [
        (layers.SymmetricConv2D(4, 3, symmetry=kernels.Rotational(4, reflect=True)), "symmetry=d4"),
        (layers.SymmetricConv2D(4, 3, symmetry={"hv": "50%", "circular": 1}), "symmetry=hv: 50%, circular: 1"),
        (layers.SymmetricConv2D(4, 3, symmetry="h", parity="odd"), "symmetry=h, parity=odd"),
        (layers.SymmetricConv2DTranspose(4, 3, symmetry={"h": 2}), "symmetry=h: 2"),
        (layers.TiledConv2D(4, (1, 3), multiples=(3, 1)), "multiples=(3, 1)"),
        (layers.PatternConv2D(4, "AB/BA"), "pattern=AB/BA"),
        (layers.FlipBankConv2D(4, 3, symmetry={"h": 2}), "symmetry={'h': 2}"),
        (keras.layers.Conv2D(4, 3), ""),
    ],
)
def test_structures_are_named_as_users_name_them(layer, structure):
    assert models.summary(keras.Sequential([keras.Input((8, 8, 2)), layer])).rows[0].structure == structure


def test_open_sizes_are_not_known():
    model = keras.Sequential([keras.Input((None, 8, 2)), layers.SymmetricConv2D(4, 3), keras.layers.ReLU()])
    table = models.summary(model)
    assert [row.multiplications for row in table.rows] == [None, 0] and table.multiplications is None
    assert "(?, 6, 4)" in str(table) and str(table).split("\n")[-2].split()[-1] == "?"


def test_the_text_is_a_table_and_the_dict_is_json():
    table = models.summary(network())
    lines = str(table).split("\n")
    assert lines[0] == "Model 'network'" and lines[1].split()[0] == "layer"
    assert lines[1].endswith("multiplications  as planned")
    assert lines[3].split() == [*("lift", "GroupConv2D", "group=c4", "(8,", "8,", "8)"), "38", "152", "9,216", "9,216"]
    totals = (table.free, table.effective, table.multiplications, table.planned)
    assert lines[-2].split() == ["total", *(f"{n:,}" for n in totals)]
    assert lines[-1].startswith(f"{table.free / table.effective:.1%}")
    again = json.loads(json.dumps(table.to_dict()))
    assert again["free"] == table.free and again["rows"][0]["output_shape"] == [None, 8, 8, 8]


def test_folded_layers_take_fewer_products_than_dense_ones():
    conv = layers.SymmetricConv2D(4, 5, symmetry="v", padding="same", implementation="folded", name="conv")
    row = models.summary(keras.Sequential([keras.Input((8, 8, 2)), conv])).rows[0]
    assert row.multiplications == 64 * 25 * 2 * 4
    assert row.planned == 64 * 15 * 2 * 4  # three rows of five


def test_rich_shows_the_same():
    console = pytest.importorskip("rich.console", reason="rich is in the extra 'train'").Console(width=160)
    with console.capture() as capture:
        console.print(models.summary(network()))
    text = capture.get()
    assert all(word in text for word in ("block/conv", "group=c4", "9,216", "total"))


def test_models_with_several_inputs_and_outputs():
    first, second = keras.Input((8, 8, 2), name="a"), keras.Input((8, 8, 2), name="b")
    conv = layers.SymmetricConv2D(4, 3, name="conv")
    model = keras.Model(
        {"a": first, "b": second}, {"sum": conv(first) + conv(second), "pool": keras.layers.Flatten()(first)}
    )
    table = models.summary(model)
    assert {row.name: row.calls for row in table.rows if row.free} == {"conv": 2}
    assert table.multiplications == 2 * 36 * 9 * 2 * 4


@pytest.mark.parametrize("nested", [False, True])
def test_what_is_distributed_over_time_counts_for_each_step(nested):
    conv = layers.SymmetricConv2D(4, 3, name="conv")
    inner = keras.Sequential([keras.Input((8, 8, 2)), conv], name="inner") if nested else conv
    model = keras.Sequential([keras.Input((5, 8, 8, 2)), keras.layers.TimeDistributed(inner, name="frames")])
    (row,) = models.summary(model).rows
    assert row.name == ("frames/inner/conv" if nested else "frames/conv") and row.output_shape == (None, 6, 6, 4)
    assert (row.free, row.effective, row.multiplications) == (4 * 8 + 4, 9 * 8 + 4, 5 * 36 * 9 * 2 * 4)


def test_errors():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="subclassed"):
        models.summary(Subclassed())
    with pytest.raises(ValueError, match="must be built"):
        models.summary(keras.Sequential([layers.SymmetricConv2D(3, 3)]))
    with pytest.raises(TypeError, match="Received: Conv2D"):
        models.summary(keras.layers.Conv2D(3, 3))  # pyright: ignore
