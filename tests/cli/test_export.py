"""symconv export: what it writes, what it prints, and one line for each mistake."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from tf_symconv import layers
from tf_symconv.cli import export, main
from tf_symconv.serving._examples import load
from tf_symconv.serving._saved_model import read


@pytest.fixture(autouse=True)
def _fresh_flags():
    yield
    for name in list(export.FLAGS):
        export.FLAGS[name].unparse()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.keras"
    network = keras.Sequential(
        [
            keras.Input((6, 6, 3), name="image"),
            layers.SymmetricConv2D(4, 3, symmetry="hv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, name="scores"),
        ]
    )
    network.save(path)
    return path


def test_a_model_becomes_versions(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "base"
    examples = np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype("float32")
    np.save(tmp_path / "images.npy", examples)
    (tmp_path / "labels.txt").write_text("cat\nbig dog\n")
    flags = [f"--labels={tmp_path / 'labels.txt'}", "--image_bytes", "--image_scale=1", "--warmup=1,4"]
    assert main(["symconv", "export", str(model), str(base), f"--examples={tmp_path / 'images.npy'}", *flags]) == 0
    out, err = capfd.readouterr()
    assert "symconv:" not in err
    assert out.splitlines()[0].startswith(f"{base / '1'}: verified, ")
    assert [" ".join(line.split()) for line in out.splitlines()[1:]] == [
        "classify classify: inputs string(any) -> classes string(any, 2), scores float32(any, 2)",
        "serving_bytes predict: image_bytes string(any) -> scores float32(any, 2)",
        "serving_default predict: image float32(any, 6, 6, 3) -> scores float32(any, 2)",
    ]
    recorded = load(base / "1", read(base / "1").signatures)
    np.testing.assert_array_equal(recorded["serving_default"].inputs["image"], examples)
    assert recorded["classify"].outputs["classes"][0].tolist() == [b"cat", b"big dog"]
    assert (base / "1" / "assets.extra" / "tf_serving_warmup_requests").exists()

    more = ["--version=7", "--keep=1", "--kernels=trainable", "--signatures=serving_default", "--json"]
    assert main(["symconv", "export", str(model), str(base), *more]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["version"], report["version_dir"]) == (7, str(base / "7"))
    assert report["signatures"]["serving_default"]["inputs"]["image"] == {
        "dtype": "float32",
        "shape": [None, 6, 6, 3],
    }
    assert report["bytes"] == sum(file.stat().st_size for file in (base / "7").rglob("*") if file.is_file())
    assert [path.name for path in base.iterdir()] == ["7"]
    assert "GatherV2" in read(base / "7").graph.ops


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "takes MODEL.keras and BASE_DIR. Received: 0 arguments"),
        (["missing.keras", "base"], 1, "no such file: missing.keras"),
        (["broken.keras", "base"], 1, "broken.keras"),
        (["MODEL", "base", "--version=3"], 1, "the version must not exist yet"),
        (["MODEL", "base", "--version=-1"], 2, "version"),
        (["MODEL", "base", "--labels=a"], 1, "labels must be as many as the model has classes, 2. Received: 1"),
        (["MODEL", "base", "--kernels=fast"], 2, "kernels"),
        (["MODEL", "base", "--warmup=0"], 1, "--warmup is numbers above 0 with commas. Received: --warmup=0"),
        (["MODEL", "base", "--image_size=6"], 1, "--image_size is HEIGHTxWIDTH. Received: --image_size=6"),
        (["MODEL", "base", "--image_bytes", "--image_size=7x7"], 1, "size must be the height and width"),
        (["MODEL", "base", "--image_bytes", "--image_interpolation=best"], 1, "interpolation must be one of"),
        (["MODEL", "base", "--examples=broken.keras"], 1, "--examples is a .npy or .npz file"),
        (["MODEL", "base", "--signatures=predict"], 1, "signatures must be some of"),
        (["MODEL", "base", "--freeze", "--kernels=trainable"], 1, "freeze must not be True"),
        (["MODEL", "broken.keras"], 1, "broken.keras"),
    ],
)
def test_mistakes_get_one_line(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.keras").write_text("no archive")
    Path("base/3").mkdir(parents=True)
    capfd.readouterr()
    filled = [str(model) if argument == "MODEL" else argument for argument in arguments]
    assert main(["symconv", "export", *filled]) == status
    out, err = capfd.readouterr()
    [line] = [line for line in err.splitlines() if not line.startswith(("I0000", "W0000", "WARNING: All log"))]
    assert line.startswith("symconv: ") and message in line
    assert out == ""
    assert sorted(path.name for path in Path("base").iterdir()) == ["3"]


def test_help_tells_all_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symconv", "export", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: symconv export [FLAGS] MODEL.keras BASE_DIR")
    for flag in ("--version", "--signatures", "--kernels", "--labels", "--image_bytes", "--warmup", "--keep", "--json"):
        assert flag in out.replace("--[no]", "--")
