"""The convergence study: what it reads off curves, pairs that start alike, and its files and mistakes."""

import json

import numpy as np
import pytest

from tf_symconv.benchmarks import convergence
from tf_symconv.layers import SpectralConv2D

TINY = (
    *("--images=64", "--epochs=2", "--seeds=2", "--kernel_sizes=3", "--learning_rates=0.003"),
    *("--width=2", "--batch_size=16"),
)


def test_epochs_are_read_on_a_line_between_epochs_in_the_logarithm():
    curve = [1.0, 0.1, 0.2, 0.001]
    assert convergence.epochs_to(curve, 0.1) == pytest.approx(1.0)
    assert convergence.epochs_to(curve, 10**-0.5) == pytest.approx(0.5)
    assert convergence.epochs_to(curve, 0.02) == pytest.approx(2 + np.log(10) / np.log(200))
    assert convergence.epochs_to(curve, 0.0001) is None
    runs = [{"spatial": curve, "spectral": [1.0, 0.01]}, {"spatial": [1.0, 0.01], "spectral": [1.0, 0.1]}]
    found = convergence.ratios(runs, 0.1)
    assert found["spatial"] == pytest.approx(0.75) and found["spectral"] == pytest.approx(0.75)
    assert found["ratios"] == pytest.approx([2.0, 0.5])
    assert convergence.ratios(runs, 0.05) is None  # not all come down to it


def test_both_networks_of_a_pair_are_the_same_function_at_the_start():
    spatial, spectral = (convergence.build(kind, (8, 8, 1), 10, 5, 4) for kind in ("spatial", "spectral"))
    convergence.make_equal(spectral, spatial)
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
    np.testing.assert_allclose(spectral(images), spatial(images), atol=1e-5)
    assert sum(isinstance(layer, SpectralConv2D) for layer in spectral.layers) == 2
    assert spectral.count_params() == spatial.count_params()


def test_a_study_leaves_figures_and_a_picture(tmp_path, capsys):
    assert not convergence.main([*TINY, f"--output={tmp_path}", f"--data_dir={tmp_path / 'data'}"])
    results = json.loads((tmp_path / "convergence.json").read_text())
    (study,) = results["studies"]
    assert len(study["runs"]) == 2 and results["settings"]["width"] == 2
    for curves in study["runs"]:
        assert {len(curve) for curve in curves.values()} == {3}
        assert curves["spatial"][0] == pytest.approx(curves["spectral"][0], rel=1e-4)
        assert curves["spatial"][1:] != pytest.approx(curves["spectral"][1:], rel=1e-5)  # Adam takes other steps
    assert study["runs"][0]["spatial"] != study["runs"][1]["spatial"]
    assert (tmp_path / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.startswith("| set | kernels |")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--datasets=mnits"], "Did you mean 'mnist'"),
        (["--datasets=mnist"], "is not prepared in .* and cannot be downloaded"),
        (["--batch_size=65", "--images=64"], "--batch_size=65 is more than the 64 images of digits"),
    ],
)
def test_mistakes_get_one_line(flags, message, tmp_path, monkeypatch):
    def refuse(*args, **_):
        raise OSError("the test allows no network")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(SystemExit, match=f"^convergence: .*{message}") as stop:
        convergence.main([*flags, f"--output={tmp_path}", f"--data_dir={tmp_path}"])
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("flag", ["--seeds=0", "--learning_rates=0", "--kernel_sizes=3,x", "--epochs=two"])
def test_numbers_out_of_range(flag, capsys):
    with pytest.raises(SystemExit) as stop:
        convergence.main([flag])
    assert stop.value.code == 2 and "comma-separated numbers above 0" in capsys.readouterr().err
