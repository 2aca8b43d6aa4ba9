"""symconv compare: a tiny comparison, the same killed on its way, and one line for every mistake."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tf_symconv.cli import compare as command
from tf_symconv.cli import main

TINY = (
    *("--sizes=15,30", "--seeds=1", "--steps=4", "--width=4", "--batch_size=8"),
    *("--methods=plain,augmented,c4", "--noany_angle"),
)
TRIALS = 2 * 4


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from tf_symconv.cli import main; sys.exit(main())", "compare", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
    )  # fmt: skip


def compare(*arguments):
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert err == ""
    return out


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return f"--data_dir={tmp_path_factory.mktemp('data')}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    directory = tmp_path_factory.mktemp("comparison") / "run"
    return directory, compare(f"--output_dir={directory}", data_dir, *TINY)


def accuracies(directory):
    cells = json.loads((directory / "results.json").read_text())["cells"]
    return {(cell["method"], cell["budget"], cell["size"]): cell["values"] for cell in cells}


def test_a_comparison_leaves_a_picture_a_table_and_figures(finished):
    directory, out = finished
    assert sorted(path.name for path in directory.iterdir()) == [
        *("comparison.png", "results.json", "run.json", "table.md", "trials"),
    ]
    assert (directory / "comparison.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert len(list((directory / "trials").iterdir())) == TRIALS
    results = json.loads((directory / "results.json").read_text())
    assert results["data"]["training_images"] == 1437 and results["settings"]["steps"] == 4
    assert len(results["cells"]) == TRIALS and all(0 <= cell["accuracy"] <= 1 for cell in results["cells"])
    plain, _, *matched = results["networks"]
    assert [network["budget"] for network in matched] == ["parameters", "compute"]
    table = (directory / "table.md").read_text()
    for cell in results["cells"]:
        assert f"{100 * cell['accuracy']:.1f}" in table and f"{100 * cell['accuracy']:.1f}" in out
    assert f" {plain['weights'] / 1e3:.3g}k " in out and "c4, equal parameters" in table
    assert f"{TRIALS}/{TRIALS} trials" in out and "comparison.png" in out
    assert not [path for path in directory.rglob("*") if path.name.startswith(".")]


def test_a_comparison_that_was_killed_goes_on_to_the_same_figures(finished, data_dir, tmp_path):
    directory = tmp_path / "run"
    process = start(f"--output_dir={directory}", data_dir, *TINY)
    deadline = time.monotonic() + 200
    while len(list(directory.glob("trials/group*.json"))) < 2:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = {path: path.read_bytes() for path in directory.glob("trials/group*.json")}
    assert 2 <= len(done) < TRIALS and not (directory / "results.json").exists()
    out = compare(f"--output_dir={directory}", data_dir, *TINY)
    assert f"resuming after {len(done)} of {TRIALS} trials" in out
    assert all(path.read_bytes() == content for path, content in done.items())
    assert accuracies(directory) == accuracies(finished[0])
    assert not [path for path in directory.rglob("*") if path.name.startswith(".")]


def test_a_finished_comparison_is_shown_again_and_takes_more_seeds(finished, data_dir, tmp_path):
    directory = shutil.copytree(finished[0], tmp_path / "run")
    records = {path.name: path.stat().st_mtime_ns for path in (directory / "trials").iterdir()}
    more = [flag for flag in TINY if not flag.startswith(("--seeds", "--methods"))]
    out = compare(f"--output_dir={directory}", data_dir, *more, "--seeds=2", "--methods=plain")
    after = {path.name: path.stat().st_mtime_ns for path in (directory / "trials").iterdir()}
    assert len(after) == TRIALS + 2 and after.items() >= records.items()
    before = accuracies(finished[0])
    assert all(values[0] == before[key][0] and len(values) == 2 for key, values in accuracies(directory).items())
    assert "±" in out


@pytest.fixture
def refused(tmp_path, data_dir, capfd):
    """Run the command, expect one line and return it."""

    def run(*flags, status):
        try:
            assert main(["symconv", "compare", f"--output_dir={tmp_path / 'run'}", data_dir, *flags]) == status
        finally:
            for name in list(command.FLAGS):
                command.FLAGS[name].unparse()
        err = capfd.readouterr().err
        assert err.startswith("symconv: ") and err.count("\n") == 1 and "Traceback" not in err
        return err

    return run


@pytest.mark.parametrize(
    ("flags", "message", "status"),
    [
        (["--sizes=0"], "--sizes=0: sizes are positive integers and 'all'", 2),
        (["--sizes=50,50"], "a size must be given once", 2),
        (["--methods=plain,e2"], "methods are different names of plain, augmented", 2),
        (["--group=q"], "In 2-D a group is one of", 2),
        (["--kernel_size=4"], "of an odd size", 2),
        (["--kernel_size=3x5"], "the kernels are square", 2),
        (["--seeds=0"], "--seeds=0", 2),
        (["--steps=-1"], "--steps=-1", 2),
        (["--learning_rate=inf"], "must be a finite number above 0", 2),
        (["--padding=-1"], "--padding=-1", 2),
        (["--no_such_flag"], "'no_such_flag'", 2),
        (["stray"], "takes flags only. Received: 'stray'", 1),
        (["--sizes=5000"], "--sizes: digits has 1437 training images. Received: --sizes=5000", 1),
        (["--dataset=mnits"], "Did you mean 'mnist'", 1),
    ],
)
def test_mistakes_get_one_line_and_change_nothing(flags, message, status, refused, tmp_path):
    assert message in refused(*flags, status=status)
    assert not (tmp_path / "run").exists()


def test_a_directory_of_another_comparison_or_of_something_else(finished, refused, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    line = refused(*TINY, "--steps=5", status=1)
    assert "other settings: --steps (4 there, 5 here); name another --output_dir, or add --overwrite" in line
    (tmp_path / "run" / "run.json").unlink()
    assert "must be a new or empty directory" in refused(*TINY, status=1)
    assert (tmp_path / "run" / "results.json").exists()


def test_a_missing_extra(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    assert "pip install 'tf_symconv[train]'" in refused(status=1)


def test_quick_gives_way_to_flags(monkeypatch):
    seen = []
    monkeypatch.setattr(command, "ComparisonSettings", lambda **values: seen.append(values))
    with contextlib.suppress(AttributeError):
        main(["symconv", "compare", "--quick", "--steps=7"])
    for name in list(command.FLAGS):
        command.FLAGS[name].unparse()
    assert seen and seen[0]["steps"] == 7 and seen[0]["seeds"] == 1 and seen[0]["learning_rate"] == 0.005


def test_help_names_every_flag_without_tensorflow():
    code = (
        "import sys; from tf_symconv.cli import main; main(['symconv', 'compare', '--help']);"
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, "help imports TensorFlow"
    for name in command.ComparisonSettings().to_dict():
        assert f"--{name}=" in done.stdout or f"--[no]{name}" in done.stdout
    for name in ("--[no]quick", "--output_dir=symconv-compare", "--[no]overwrite"):
        assert name in done.stdout
