"""symconv promote: what it prints, what it changes, and its mistakes. tests/serving/test_labels.py has the rest."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import served_models
from tests.serving.stand_in import StandIn
from tf_symconv import serving
from tf_symconv.cli import main, promote


@pytest.fixture(autouse=True)
def fresh_flags() -> Iterator[None]:
    yield
    for name in list(promote.FLAGS):
        promote.FLAGS[name].unparse()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    model = serving.ServedModel(tmp_path / "models", "digits", {"stable": 1, "canary": 2})
    return serving.write_config(tmp_path / "models.config", serving.model_config(model))


def test_the_file_alone(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symconv", "promote", str(config)]) == 0
    assert capsys.readouterr() == (
        "digits: stable is version 2 (was 1); the file has changed; no server was told\n"
        "labels: canary=2, previous-stable=1, stable=2\n",
        "",
    )
    assert main(["symconv", "promote", str(config), "--label=old", "--from=previous-stable"]) == 0
    assert capsys.readouterr().out.startswith("digits: old is version 1; ")


def test_nothing_else_is_said(config: Path) -> None:
    """Where TensorFlow is imported for the first time, it logs."""
    script = "import sys; from tf_symconv.cli import main; sys.exit(main(['symconv', 'promote', sys.argv[1]]))"
    done = subprocess.run([sys.executable, "-c", script, str(config)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


def test_a_server_reloads(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for version in (1, 2, 3):
        served_models.save(served_models.make_model(), tmp_path / "models" / str(version))
    parsed = text_format.Parse(config.read_text(), model_server_config_pb2.ModelServerConfig())
    with StandIn(parsed) as server:
        target = server.targets["grpc"]
        assert main(["symconv", "promote", str(config), f"--target={target}", "--version=3", "--name=digits"]) == 0
        assert capsys.readouterr().out.startswith("digits: stable is version 3 (was 1); the server has reloaded\n")
        with serving.Client(target, model="digits", label="stable") as client:
            assert client.metadata().version == 3
        assert main(["symconv", "promote", str(config), f"--target={target}", "--version=9", "--timeout=0.2"]) == 1
        assert "version 9 is unknown to the server after 0.2 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "takes one MODEL_CONFIG. Received: 0 arguments"),
        (["{config}", "another"], 1, "Received: 2 arguments"),
        (["{config}/none/models.config"], 1, "no directory"),
        (["{config}.none"], 1, "no model config in"),
        (["{config}", "--version=1"], 1, "has the label 'stable' already"),
        (["{config}", "--version=3"], 1, "does not load version 3; give the server's target"),
        (["{config}", "--from=beta"], 1, "no version with the label 'beta'"),
        (["{config}", "--name=other"], 1, "Received: model='other'"),
        (["{config}", "--target=http://localhost:8501"], 1, "by gRPC only"),
        (["{config}", "--version=0"], 2, "version"),
        (["{config}", "--target=127.0.0.1:1"], 1, "UNAVAILABLE"),
    ],
)
def test_mistakes_get_one_line(config: Path, capsys, arguments: list[str], status: int, message: str) -> None:
    before = config.read_bytes()
    assert main(["symconv", "promote", *(argument.format(config=config) for argument in arguments)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
    assert config.read_bytes() == before
