"""symconv bench: what lands on the screen and in the directory, and mistakes in one line."""

import json

import pytest

from tf_symconv.benchmarks import LAYERS
from tf_symconv.cli import bench, main

TINY = ["--profile=full", "--only=tile-rows", "--channels=4", "--sizes=8", "--batches=2", "--case_seconds=0"]


@pytest.fixture(autouse=True)
def _fresh_flags():
    yield
    for name in list(bench.FLAGS):
        bench.FLAGS[name].unparse()


@pytest.fixture
def run(tmp_path, capfd):
    """Run the command and return its status, output and errors."""

    def call(*flags):
        status = main(["symconv", "bench", f"--output_dir={tmp_path / 'out'}", *flags])
        return status, *capfd.readouterr()

    return call


def test_a_small_grid_becomes_a_table_json_and_pictures(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")
    status, out, err = run(*TINY, "--kernels=3,5,7", "--kinds=inference,training", "--seed=3")
    assert (status, err) == (0, "")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["settings"]["seed"] == 3 and results["settings"]["implementations"] == ["dense", "auto"]
    keys = [f"tile-rows/k{k}/4-4/s8/b2/{kind}" for k in (3, 5, 7) for kind in ("inference", "training")]
    assert sorted(results["cases"]) == sorted(keys)
    for entry in results["cases"].values():
        assert set(entry["ratios"]) == {"auto/dense", "auto/plain", "dense/plain"}
        assert len({len(times) for times in entry["seconds"].values()}) == 1
        assert entry["ratios"]["auto/dense"]["median"] > 0
    for name in ("ratios.png", "growth.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    words = [line.split() for line in out.splitlines()]
    assert sum(line[:3] == ["tile-rows", "4->4", "8x8"] for line in words) >= 6
    assert "Growth with the kernel" in out and "3/5/7" in out
    page = (tmp_path / "out" / "tables.md").read_text()
    assert page.count("| tile-rows | 4->4 8x8 b2 | 3 |") >= 2

    before = results["cases"]
    status, out, _ = run(*TINY, "--kernels=3,9", "--kinds=inference", "--seed=3")
    after = json.loads((tmp_path / "out" / "results.json").read_text())["cases"]
    assert status == 0 and set(after) - set(before) == {"tile-rows/k9/4-4/s8/b2/inference"}
    assert all(after[key] == before[key] for key in before)
    run(*TINY, "--kernels=3", "--kinds=inference", "--seed=3", "--overwrite")
    again = json.loads((tmp_path / "out" / "results.json").read_text())["cases"]
    assert {key for key in again if again[key] != after[key]} == {"tile-rows/k3/4-4/s8/b2/inference"}

    status, _, err = run(*TINY, "--kernels=3", "--seed=4")
    assert status == 1 and "other settings: seed" in err and err.count("\n") == 1


def test_a_budget_leaves_the_rest_to_the_next_call(run, tmp_path):
    status, out, err = run(*TINY, "--kernels=3", "--budget=0")
    assert (status, err) == (0, "") and "2 of 2 left; the same command goes on from here." in out
    assert not (tmp_path / "out" / "results.json").exists()


def test_xla_compiles_where_it_is_asked_to(run, tmp_path):
    status, _, _ = run(*TINY, "--kernels=3", "--jit_compile", "--bias", "--implementations=auto")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert status == 0 and results["settings"]["jit_compile"] and results["settings"]["bias"]
    assert set(results["cases"]["tile-rows/k3/4-4/s8/b2/training"]["ratios"]) == {"auto/plain"}


def test_layers_take_a_dtype_policy(run, tmp_path):
    status, _, _ = run(*TINY, "--kernels=3", "--dtype=mixed_bfloat16", "--memory")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert status == 0 and results["settings"]["dtype"] == "mixed_bfloat16"
    assert set(results["memory"]) == {"tile-rows/k3/4-4/s8/b2/training"}


def test_cases_that_stay_dense_are_left_out(run, tmp_path):
    layers = ("--profile=full", "--only=mirror-v,tile-rows", "--kernels=3", "--kinds=inference", "--case_seconds=0")
    status, _, _ = run(*layers, "--channels=4", "--sizes=8", "--batches=2", "--only_folded")
    assert status == 1 and not (tmp_path / "out").exists()
    status, _, _ = run(*layers, "--channels=64", "--sizes=16", "--batches=16", "--only_folded")
    cases = json.loads((tmp_path / "out" / "results.json").read_text())["cases"]
    assert status == 0 and list(cases) == ["tile-rows/k3/64-64/s16/b16/inference"]
    assert cases["tile-rows/k3/64-64/s16/b16/inference"]["plan"]["implementation"] == "folded"


def test_lowered_layers_land_in_their_directory(run, tmp_path):
    status, out, _ = run(*TINY, "--kernels=3", f"--lower={tmp_path / 'lowered'}")
    assert status == 0 and "2 cases in" in out
    assert len(list((tmp_path / "lowered").glob("*.mlir"))) == 6
    assert not (tmp_path / "out").exists()


def test_an_interrupt_is_told_and_what_is_measured_stays(run, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.benchmarks, "execute", stop)
    status, out, _ = run(*TINY, "--kernels=3")
    assert status == 130 and "the same command goes on from here" in out


def test_help_names_the_profiles_and_flags(run):
    status, out, _ = run("--help")
    assert status == 0
    for word in ("quick", "bars", "growth", "full", "--[no]jit_compile", "--only", "--peers", "--budget"):
        assert word in out


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["surplus"], 1, "symconv bench takes flags only. Received: 'surplus'"),
        (["--profile=slow"], 2, "--profile=slow"),
        (["--only=miror"], 2, f"no layer is named 'miror'; there are {', '.join(LAYERS)}"),
        (["--kernels=4"], 2, "must be odd numbers"),
        (["--kernels=x"], 2, "must be whole numbers from 1"),
        (["--channels=0-4"], 2, "must be numbers of channels"),
        (["--channels=a-4"], 2, "must be numbers of channels"),
        (["--batches=0"], 2, "must be whole numbers from 1"),
        (["--kinds=both"], 2, "must be out of inference, training"),
        (["--only=pattern", "--kernels=3"], 1, "--profile=quick has no such case; --profile=full has the whole grid"),
        (["--implementations=dense,fast"], 1, "--implementations: implementation must be one of"),
        (["--device=TPU:7"], 1, "--device must be one of CPU:0"),
        (["--dtype=int8"], 1, "--dtype must be a Keras dtype policy of floats. Received: 'int8'"),
        (["--dtype=half"], 1, "--dtype must be a Keras dtype policy of floats. Received: 'half'"),
        (["--dtype=float64", "--peers=x"], 1, "--peers works with float32 only. Received: --dtype=float64"),
        (["--dtype=float64", "--gpu=x"], 1, "--gpu works with float32 only. Received: --dtype=float64"),
        (["--dtype=float64", "--lower=x"], 1, "--lower works with float32 only. Received: --dtype=float64"),
        (
            ["--only=spectral", "--jit_compile", "--only_folded"],
            1,
            "--only_folded leaves no case: auto computes all of them densely",
        ),
        (["--peers=/nowhere/python"], 1, "--peers must be a Python interpreter"),
        (["--gpu=/nowhere/timed.json"], 1, "/nowhere/timed.json cannot be read"),
        (["--lower=/dev/null/x"], 1, "--lower cannot be written: /dev/null/x"),
        (["--output_dir=/dev/null/x"], 1, "--output_dir cannot be written: /dev/null/x"),
        (["--case_seconds=-1"], 2, "--case_seconds"),
        (["--threads=-1"], 2, "--threads"),
        (["--frobnicate"], 2, "frobnicate"),
    ],
)
def test_mistakes_get_one_line(run, flags, status, message):
    found, _, err = run(*flags)
    assert found == status
    assert err.startswith("symconv: ") and err.count("\n") == 1 and message in err and "Traceback" not in err
