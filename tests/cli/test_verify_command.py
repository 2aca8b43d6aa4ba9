"""symconv verify: what it prints and the status it exits with."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.no_tensorflow import write_hook
from tf_symconv.cli import main, verify
from tf_symconv.serving import _examples


@pytest.fixture(autouse=True)
def fresh_flags() -> Iterator[None]:
    yield
    for name in list(verify.FLAGS):
        verify.FLAGS[name].unparse()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("good") / "1", check=True, answer=3.0)


def _save(path: Path, check: bool, answer: float) -> Path:
    """A signature that adds 1 to ``x``, and an example that says that 2 becomes ``answer``."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": (tf.ensure_shape(x, [None, 2]) if check else x) + 1}

    module.serve = serve
    tf.saved_model.save(module, str(path), signatures=serve)
    example = _examples.Examples({"x": np.full((1, 2), 2, "float32")}, {"y": np.full((1, 2), answer, "float32")})
    _examples.save(path, {"serving_default": example})
    return path


def test_a_good_version_is_told_in_tables(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symconv", "verify", str(good)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line.split() for line in out.splitlines()]
    assert ["serving_default", "y", "0", "3e-05", "ok"] in lines
    assert ["serving_default:", "wrong", "rank", "x", "float32", "(1)", "error", "INVALID_ARGUMENT", "ok"] in lines
    assert ["serving_default:", "empty", "batch", "x", "float32", "(0,", "2)", "answer", "ok"] in lines
    assert "ops that are not stock TensorFlow: none" in out
    assert "functions that demand XLA: none" in out
    assert out.endswith("All is well.\n")
    assert "FAIL" not in out


def test_problems_are_told_and_the_status_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _save(tmp_path / "1", check=False, answer=4.0)
    assert main(["symconv", "verify", str(path)]) == 1
    out, _ = capsys.readouterr()
    assert "output y: off by 1, allowed 4e-05" in out
    assert "input x: wrong shape, float32 (1, 3): answer instead of an error" in out
    assert "FAIL" in out
    assert "All is well" not in out


def test_json_is_the_whole_report(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symconv", "verify", "--json", str(good)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert report["max_abs_difference"] == 0
    assert {"wrong rank", "wrong shape", "wrong dtype", "empty batch"} == {row["kind"] for row in report["probes"]}
    assert main(["symconv", "verify", "--json", str(_save(tmp_path / "1", check=True, answer=4.0))]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == ["signature serving_default, output y: off by 1, allowed 4e-05"]


def test_the_tolerance_is_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _save(tmp_path / "1", check=True, answer=3.003)
    assert main(["symconv", "verify", str(path)]) == 1
    assert main(["symconv", "verify", "--tolerance=0.01", str(path)]) == 0
    assert capsys.readouterr().out.count("0.003") == 3  # Twice in a table, once as a problem.


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "takes one VERSION_DIR. Received: 0 arguments"),
        (["a", "b"], 1, "takes one VERSION_DIR. Received: 2 arguments"),
        (["{empty}/none"], 1, "no such directory"),
        (["{empty}"], 1, "no SavedModel in"),
        (["--tolerance=-1", "{good}"], 2, "tolerance"),
        (["--tolerance=much", "{good}"], 2, "tolerance"),
        (["--timeout=0", "{good}"], 2, "timeout"),
        (["--no_such_flag", "{good}"], 2, "no_such_flag"),
    ],
)
def test_mistakes_get_one_line(good: Path, tmp_path: Path, capsys, arguments, status: int, message: str) -> None:
    filled = [argument.format(good=good, empty=tmp_path) for argument in arguments]
    assert main(["symconv", "verify", *filled]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_a_damaged_version_gets_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _save(tmp_path / "1", check=True, answer=3.0)
    (path / "saved_model.pb").write_bytes(b"\xff" * 100)
    assert main(["symconv", "verify", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "is damaged" in err


def test_help_tells_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symconv", "verify", "--help"]) == 0
    out = capsys.readouterr().out
    assert "VERSION_DIR" in out
    for flag in ("--tolerance", "--timeout", "json"):
        assert flag in out


def test_the_command_never_imports_tensorflow(good: Path, tmp_path: Path) -> None:
    hook = write_hook(tmp_path / "hook")
    environment = {**os.environ, "PYTHONPATH": str(hook)}

    def python(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)

    assert "tensorflow is refused here" in python("import tensorflow").stderr
    script = f"""
import sys
from tf_symconv.cli import main
status = main(["symconv", "verify", {str(good)!r}])
print("status", status, "tensorflow" in sys.modules, "keras" in sys.modules)
"""
    done = python(script)
    assert done.stdout.splitlines()[-1] == "status 0 False False", done.stderr
    assert done.stderr == ""
