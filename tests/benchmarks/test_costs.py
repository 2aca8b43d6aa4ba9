"""The check of the cost model: that every scheme computes the same, and that a fit finds the rates behind ratios."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tf_symconv.benchmarks import costs
from tf_symconv.benchmarks._cases import Case
from tf_symconv.libraries import ONEDNN, Op

LINEAR = Case("mirror-hv", 3, 4, 4, 8, 2, "training")
TWINS = Case("twin-max", 3, 4, 4, 8, 2, "training")


@pytest.mark.parametrize("case", [LINEAR, TWINS], ids=lambda case: case.layer)
def test_the_parts_of_a_step_are_the_same_by_every_scheme(case: Case) -> None:
    layer, (dense, *others) = costs.schemes_of(case)
    assert dense.name == "dense"
    names = [one.name for one in others]
    assert "folded axis 1" in names and len(set(names)) == len(names)
    outputs = layer.compute_output_shape(case.input_shape)
    given = tf.random.normal(case.input_shape), tf.convert_to_tensor(layer.latent), tf.random.normal(outputs)
    for part in costs.PARTS[:3] if dense.linear else ("forward", "step"):
        wanted = tf.nest.flatten(costs.function_of(part, dense, dense, given)())
        assert len(wanted) == (3 if part == "step" else 1)
        for one in others:
            found = tf.nest.flatten(costs.function_of(part, one, dense, given)())
            for some, other in zip(found, wanted, strict=True):
                np.testing.assert_allclose(some, other, atol=2e-5 * float(tf.reduce_max(tf.abs(other))))


def rows_of(case: Case, on: Any) -> list[dict[str, Any]]:
    """Return what would be measured with a library of which the model is true."""
    _, schemes = costs.schemes_of(case)
    rows = []
    for part, scheme in itertools.product(costs.PARTS[:3], schemes[1:]):
        row = {"case": dataclasses.asdict(case), "part": part, "scheme": scheme.name, "dense_ms": 1.0}
        row["ratio"] = costs.Comparison(row, scheme.steps or (), schemes[0].steps or ()).predicted(on)
        rows.append(row)
    return rows


def test_a_fit_finds_the_rates_behind_the_ratios() -> None:
    other = {
        **ONEDNN.rates,
        Op.CONVOLUTION: dataclasses.replace(ONEDNN.rates[Op.CONVOLUTION], number=20.0, inputs_gradient=1.8),
        Op.SUM: dataclasses.replace(ONEDNN.rates[Op.SUM], number=10.0),
    }
    hidden = dataclasses.replace(ONEDNN, rates=other)
    cases = [Case("mirror-v", k, c, c, 32, 8, "training") for k, c in ((3, 64), (5, 32), (5, 64), (7, 64))]
    some = costs.comparisons([row for case in cases for row in rows_of(case, hidden)])
    before = costs.error(some, ONEDNN)
    found = costs.fitted(some, ONEDNN)
    assert before > 0.15
    assert costs.error(some, found) < before / 4
    assert found.rates[Op.CONVOLUTION].inputs_gradient == pytest.approx(1.8, rel=0.15)
    assert found.rates[Op.PRODUCT].weight == ONEDNN.rates[Op.PRODUCT].weight


def test_what_was_measured_is_kept_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.json"
    arguments = ["costs", "--rows", str(file), "--cases", "twin-max/k3/4-4/s8/b2", "--seconds", "0"]
    monkeypatch.setattr("sys.argv", arguments)
    assert costs.main() == 0
    kept = file.read_text()
    rows = json.loads(kept)["rows"]
    assert {row["part"] for row in rows} <= {"forward", "step"}
    assert all(row["ratio"] > 0 for row in rows)
    output = capsys.readouterr()
    assert "measured twin-max/k3/4-4/s8/b2" in output.err
    assert "predictions for oneDNN" in output.out
    assert costs.main() == 0
    assert file.read_text() == kept  # nothing is measured twice
    assert "measured" not in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", [*arguments, "--fit"])
    assert costs.main() == 0
    assert "Op.CONVOLUTION: Rates(number=" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cases", "mirror-v/5"], "a case is written like mirror-v/k5/64-64/s32/b16"),
        (["--fit"], "holds no measurements"),
    ],
)
def test_bad_input_is_told_in_a_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["costs", "--rows", str(tmp_path / "none.json"), *arguments])
    assert costs.main() == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
