"""symconv rollback: what it prints and its mistakes. tests/serving/test_labels.py has the rest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tf_symconv import serving
from tf_symconv.cli import main, rollback


@pytest.fixture(autouse=True)
def fresh_flags() -> Iterator[None]:
    yield
    for name in list(rollback.FLAGS):
        rollback.FLAGS[name].unparse()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    model = serving.ServedModel(tmp_path / "models", "digits", {"stable": 1, "canary": 2})
    return serving.write_config(tmp_path / "models.config", serving.model_config(model))


def test_back_to_the_version_before(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = config.read_text()
    assert main(["symconv", "promote", str(config)]) == 0
    capsys.readouterr()
    assert main(["symconv", "rollback", str(config)]) == 0
    assert capsys.readouterr() == (
        "digits: stable is version 1 (was 2); the file has changed; no server was told\nlabels: canary=2, stable=1\n",
        "",
    )
    assert sorted(config.read_text().split()) == sorted(before.split())
    assert main(["symconv", "rollback", str(config), "--version=2"]) == 0
    assert "stable is version 2 (was 1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "symconv rollback takes one MODEL_CONFIG. Received: 0 arguments"),
        (["{config}"], 1, "no earlier version to go back to"),
        (["{config}", "--label=canary"], 1, "no earlier version to go back to"),
        (["{config}", "--version=3"], 1, "does not load version 3"),
        (["{config}", "--from=canary"], 2, "from"),
    ],
)
def test_mistakes_get_one_line(config: Path, capsys, arguments: list[str], status: int, message: str) -> None:
    assert main(["symconv", "rollback", *(argument.format(config=config) for argument in arguments)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
