"""The table of conversions in the documentation says what is so: every row is computed again."""

import pytest

from docs import conversion_table as table
from tf_symconv import layers

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
