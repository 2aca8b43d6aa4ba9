"""``symconv inspect-checkpoint``."""

import json
from pathlib import Path

import numpy as np
import pytest

from tf_symconv import cli

TESTS = Path(__file__).parents[1]
LEGACY = TESTS / "golden/checkpoint/model.ckpt"
CELLS = TESTS / "compat_v1/data/spectral_per_cell.ckpt"


def listing(capsys, *arguments):
    status = cli.main(["symconv", "inspect-checkpoint", *map(str, arguments)])
    return status, *capsys.readouterr()


@pytest.mark.parametrize("prefix", [LEGACY, LEGACY.parent, f"{LEGACY}.index"])
def test_it_lists_names_shapes_and_types(capsys, prefix):
    status, out, err = listing(capsys, prefix)
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == [str(LEGACY)]
    assert ["tower//conv_kernel_b", "3x5x3x5", "float32", "variable"] in rows
    assert "4 variables with 609 numbers; 4 entries with 2,436 bytes in all" in out


def test_unnamed_scalars_share_a_line_and_slots_name_their_owner(capsys):
    status, out, _ = listing(capsys, CELLS)
    assert status == 0
    lines = out.splitlines()
    assert any(line.startswith("conv1/Variable* (32 scalars)") and line.endswith("variable") for line in lines)
    assert any("(60 scalars)" in line and line.endswith("slots of conv2/Variable*") for line in lines)
    assert any(line.startswith("global_step") and line.endswith("counter") for line in lines)
    assert any(line.startswith("conv3/real/Momentum") and line.endswith("slot of conv3/real") for line in lines)
    assert len(lines) < 40
    _, out, _ = listing(capsys, CELLS, "--all")
    assert len(out.splitlines()) > 250


def test_values_patterns_and_json(capsys):
    _, out, _ = listing(capsys, "--values", "--json", "--pattern=^conv_kernel", LEGACY)
    (row,) = json.loads(out)["variables"]
    with np.load(TESTS / "golden/tf1_15_golden.npz") as file:
        kernel = file["legacy/var/conv_kernel_a:0"]
    assert (row["name"], row["shape"], row["bytes"]) == ("conv_kernel_a", [3, 3, 4, 6], 864)
    assert row["norm"] == pytest.approx(float(np.linalg.norm(kernel)))
    assert row["min"] == pytest.approx(float(kernel.min()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "takes one PREFIX"),
        (["/nowhere/model.ckpt"], "cannot be read"),
        ([str(TESTS)], "has no 'checkpoint' file"),
        ([str(LEGACY), "--pattern=("], "--pattern is a regular expression"),
    ],
)
def test_mistakes_get_one_line(capsys, arguments, message):
    status, out, err = listing(capsys, *arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert len(err.splitlines()) == 1
