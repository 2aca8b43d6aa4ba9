"""What every command refuses before it begins."""

import pytest

from tf_symconv.cli import main


def test_an_unknown_library_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYMCONV_LIBRARY", "mkl")
    assert main(["symconv", "export", "model.keras", "models"]) == 2
    error = capsys.readouterr().err
    assert error == "symconv: SYMCONV_LIBRARY must be one of onednn, eigen. Received: SYMCONV_LIBRARY='mkl'\n"


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symconv", "fold"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("symconv: no command 'fold'; choose one of bench, ") and error.count("\n") == 1
