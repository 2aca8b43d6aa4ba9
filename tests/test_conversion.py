"""The table of conversions in the documentation says what is so: every row is computed again."""

import contextlib
import io

import keras
import pytest
import tensorflow as tf

from docs import conversion_table as table
from tf_symconv import layers, models

PAGE = {row[0].strip("`"): row[1:] for row in table.rows_of(table.PAGE.read_text())}
rows = pytest.mark.parametrize("layer", table.layers(), ids=lambda layer: layer.__name__)


def test_every_public_layer_has_a_row():
    assert set(PAGE) == {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}


@rows
def test_litert(layer):
    assert table.cell(table.litert, layer) == PAGE[layer.__name__][0]


@rows
def test_onnx(layer):
    pytest.importorskip("tf2onnx", reason="the extra 'onnx' is not installed")
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    assert table.cell(table.onnx, layer) == PAGE[layer.__name__][1]


def test_writing_the_rows_that_a_page_has_leaves_it_as_it_is():
    page = table.PAGE.read_text()
    assert table.write(table.rows_of(page)) == page


def test_a_model_that_answers_otherwise_differs():
    case = next(case for case in table.CASES if case.layer is layers.SymmetricConv2D)
    assert table.outcome(lambda model: lambda x: model(x).numpy() + 1.0, case) == "differs"
    assert table.outcome(lambda model: lambda x: 1 / 0, case) == "does not run"
    assert table.outcome(lambda model: 1 / 0, case) == "does not convert"
    assert table.outcome(lambda model: lambda x: model(x).numpy(), case) == table.YES


def _litert_operations(model):
    with contextlib.redirect_stdout(io.StringIO()):
        flat = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = table._interpreter(flat)
    interpreter.allocate_tensors()
    return [operation["op_name"] for operation in interpreter._get_ops_details()]


@pytest.mark.parametrize(
    "layer",
    [
        layers.SymmetricConv2D(4, 5, symmetry={"d4": "50%"}, implementation="dense"),
        layers.GroupConv2D(8, 3, group="c4", implementation="dense"),
        layers.SpectralConv2D(4, 4),
    ],
)
def test_nothing_of_the_structure_is_left_to_compute(layer):
    structured, plain = (
        keras.Sequential([keras.Input((8, 8, 2)), each]) for each in (layer, keras.layers.Conv2D(4, 3))
    )
    assert _litert_operations(structured) == _litert_operations(plain)


def test_the_plain_form_of_a_folded_layer_is_one_convolution():
    layer = layers.SymmetricConv2D(4, 5, implementation="folded")
    model = keras.Sequential([keras.Input((8, 8, 8)), layer])
    operations = _litert_operations(models.materialize(model))
    assert operations.count("CONV_2D") == 1
    assert set(operations) <= {"CONV_2D", "DELEGATE"}
    assert "BATCH_MATMUL" in _litert_operations(model)
