"""Layers with ``implementation="folded"`` keep every habit of the dense ones."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.cases import CASES, Case

FOLDED = [case for case in CASES if hasattr(case.layer, "plan") and "dilation_rate" not in case.arguments]
rows = pytest.mark.parametrize("case", FOLDED, ids=lambda case: case.id)


def pair(case: Case) -> tuple[keras.Model, keras.Model]:
    """Return the model of a row dense and folded, with equal weights."""
    dense, folded = (case.make_model(implementation=name) for name in ("dense", "folded"))
    folded.set_weights(dense.get_weights())
    return dense, folded


def close(got: Any, want: Any, tolerance: float = 1e-5) -> None:
    want = np.asarray(want, np.float64)
    np.testing.assert_allclose(np.asarray(got, np.float64), want, atol=tolerance * (np.abs(want).max() + 1))


@rows
def test_outputs_and_training_equal_the_dense_layer(case: Case) -> None:
    dense, folded = pair(case)
    x = case.inputs(3)
    close(folded(x), dense(x))
    for model in (dense, folded):
        model.compile(keras.optimizers.SGD(0.01), "mse")
        model.fit(x, np.zeros((3, *model.output_shape[1:]), np.float32), batch_size=3, verbose=0)
    for got, want in zip(folded.get_weights(), dense.get_weights(), strict=True):
        close(got, want, 1e-4)


FOLDING = [
    case
    for case in FOLDED
    if case.id.startswith(("SymmetricConv2D", "TiledConv2D", "PatternConv2D", "TwinFlipConv2D", "FlipBankConv2D"))
    and "Transpose" not in case.id
]
folding = pytest.mark.parametrize("case", FOLDING, ids=lambda case: case.id)


@folding
def test_served_compiled_and_saved(case: Case, tmp_path: Path) -> None:
    dense, folded = pair(case)
    x = case.inputs(2)
    want = dense(x)
    folded.save(tmp_path / "model.keras")
    close(keras.models.load_model(tmp_path / "model.keras")(x), want)
    folded.export(tmp_path / "export", verbose=False)
    loaded: Any = tf.saved_model.load(str(tmp_path / "export"))
    close(loaded.serve(x), want)
    close(tf.function(folded, jit_compile=True)(x), want)


@folding
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(case: Case, policy: str) -> None:
    dense, _ = pair(case)
    mixed = case.make_model(implementation="folded", dtype=policy)
    mixed.set_weights(dense.get_weights())
    x = case.inputs(2)
    outputs = mixed(x)
    assert outputs.dtype == policy.removeprefix("mixed_")
    assert all(variable.dtype == "float32" for variable in mixed.variables)
    close(tf.cast(outputs, "float32"), dense(x), 3e-2)
