"""benchmarks/serving.py: it exports, times and judges; how long things take is not tested."""

import json
from pathlib import Path

import pytest

from tf_symconv.benchmarks import serving


def test_a_tiny_network_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    arguments = [
        "--rows=depthwise hv 5x5",
        "--batches=2",
        "--size=8",
        "--channels=2",
        "--seconds=0.01",
        f"--json={file}",
    ]
    assert serving.main(arguments) in (0, 1)
    figures = json.loads(file.read_text())
    assert [figure["what"] for figure in figures] == ["latency, batch 2", "load time", "size"]
    assert all(figure["ours"] > 0 and figure["twin"] > 0 for figure in figures)
    assert figures[2]["ratio"] == pytest.approx(figures[2]["ours"] / figures[2]["twin"])
    table = capsys.readouterr().out
    assert table.splitlines()[0].split()[:4] == ["network", "figure", "ours", "twin"]
    assert len(table.splitlines()) == 4


def test_verdicts() -> None:
    def verdict(ratio: float, interval: tuple[float, float] | None) -> str:
        return serving.Figure("row", "latency", 1.0, 1.0, 1.0, ratio, interval).verdict

    assert verdict(0.99, (0.9, 1.1)) == "ok"
    assert verdict(1.01, (0.99, 1.1)) == "noise"
    assert verdict(1.05, (1.01, 1.1)) == "MISSED"
    assert verdict(1.05, None) == "MISSED"


@pytest.mark.parametrize("arguments", [["--rows=none"], ["--batches=x"], ["--batches=0"], ["--size=0"]])
def test_mistakes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        serving.main(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err
