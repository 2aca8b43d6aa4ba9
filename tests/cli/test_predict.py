"""symconv predict against a stand-in for the server."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import served_models
from tests.serving.stand_in import StandIn
from tf_symconv import serving
from tf_symconv.cli import _rows, main, predict
from tf_symconv.serving._inputs import Row


@pytest.fixture(autouse=True)
def fresh_flags() -> Iterator[None]:
    yield
    for name in list(predict.FLAGS):
        predict.FLAGS[name].unparse()


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return served_models.make_model()


@pytest.fixture(scope="module")
def running(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    config = model_server_config_pb2.ModelServerConfig()
    full, plain = tmp_path_factory.mktemp("full"), tmp_path_factory.mktemp("plain")
    served_models.save(model, full / "1")
    serving.write_version(model, plain / "1", served_models.images(2))
    config.model_config_list.config.add(name="model", base_path=str(full))
    config.model_config_list.config.add(name="plain", base_path=str(plain))
    with StandIn(config) as server:
        yield server


@pytest.fixture
def server(running: StandIn) -> StandIn:
    running.faults.clear()
    running.calls.clear()
    return running


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three images and an array of two, in a directory with another in it."""
    directory = tmp_path / "pictures"
    (directory / "deep").mkdir(parents=True)
    images = served_models.images(5)
    for name, image in zip(("b.png", "a.PNG", "deep/c.png"), images, strict=False):
        (directory / name).write_bytes(served_models.png(image))
    np.save(directory / "deep" / "d.npy", images[3:])
    (directory / "notes.txt").write_text("not an image")
    return directory


ORDER = [1, 0, 2, 3, 4]  # a.PNG, b.png, deep/c.png, deep/d.npy
NAMES = ["a.PNG", "b.png", "deep/c.png", "deep/d.npy", "deep/d.npy"]


def _want(model: keras.Model) -> np.ndarray:
    return model.predict(served_models.images(5)[ORDER], verbose=0)


@pytest.mark.parametrize("way", ["rest", "grpc"])
@pytest.mark.parametrize("name", ["model", "plain"])
def test_a_directory_as_json(server: StandIn, model, pictures: Path, capsys, way: str, name: str) -> None:
    """With serving_bytes the server decodes the images, without it the command does."""
    command = ["symconv", "predict", server.targets[way], str(pictures), "--format=json", f"--name={name}"]
    assert main([*command, "--batch_size=2"]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [Path(row["input"]).relative_to(pictures).as_posix() for row in rows] == NAMES
    assert [row.get("index") for row in rows] == [None, None, None, 0, 1]
    np.testing.assert_allclose([row["outputs"]["probabilities"] for row in rows], _want(model), rtol=1e-4)
    assert "4/4" in err  # The bar counts files.
    assert server.calls["predict"] == 3  # Two images, one image, two examples.


def test_arrays_are_written(server: StandIn, model, pictures: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "out" / "put"
    command = ["symconv", "predict", server.targets["grpc"], str(pictures), "--format=npy", f"--output={output}"]
    assert main(command) == 0
    assert capsys.readouterr().out == ""
    np.testing.assert_allclose(np.load(output / "probabilities.npy"), _want(model), rtol=1e-4)
    rows = [json.loads(line) for line in (output / "rows.jsonl").read_text().splitlines()]
    assert rows[-1] == {"input": str(pictures / "deep" / "d.npy"), "index": 1}


def test_the_table_names_the_best_classes(server: StandIn, model, pictures: Path, tmp_path: Path, capsys) -> None:
    files = [str(pictures / "b.png"), str(pictures / "deep" / "d.npy")]
    command = ["symconv", "predict", server.targets["rest"], *files, "--classes=zero,one,two", "--top=2"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert err == ""  # No bar where no directory is.
    lines = [line for line in out.splitlines() if str(pictures) in line]
    scores = model.predict(served_models.images(5)[[0, 3, 4]], verbose=0)
    inputs = [files[0], f"{files[1]}[0]", f"{files[1]}[1]"]
    assert len(lines) == 3
    for line, name, row in zip(lines, inputs, scores, strict=True):
        best, second = np.argsort(-row)[:2]
        told = f"{served_models.LABELS[best]} {row[best]:.4g}, {served_models.LABELS[second]} {row[second]:.4g}"
        assert line.split() == [name, *told.split()]
    assert main([*command, f"--output={tmp_path / 'table'}"]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "table").read_text() == out


def test_pictures_of_other_sizes_are_resized(server: StandIn, model: keras.Model, tmp_path: Path, capsys) -> None:
    """By the command as by the server, which decodes and resizes with the same functions."""
    file = tmp_path / "wide.jpg"
    file.write_bytes(served_models.jpeg_size(20, 11))
    answers = []
    for name in ("model", "plain"):
        command = ["symconv", "predict", server.targets["grpc"], str(file), "--format=json", f"--name={name}"]
        assert main(command) == 0
        answers.append(json.loads(capsys.readouterr().out)["outputs"]["probabilities"])
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-4)
    assert main([*command, "--scale=1"]) == 0
    scaled = json.loads(capsys.readouterr().out)["outputs"]["probabilities"]
    assert np.abs(np.subtract(scaled, answers[1])).max() > 0.01


def test_other_signatures(server: StandIn, tmp_path: Path, capsys) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), "float32"))
    command = ["symconv", "predict", server.targets["rest"], str(tmp_path / "x.npy"), "--format=json"]
    assert main([*command, "--signature=serving_default"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"].keys() == {"probabilities"}
    assert main([*command, "--signature=many"]) == 1
    assert "signature 'many' takes 3 inputs, ['n', 'word', 'x']" in capsys.readouterr().err
    assert main([*command, "--signature=none"]) == 1
    assert "Received: signature='none'" in capsys.readouterr().err
    np.save(tmp_path / "x.npy", np.zeros((8, 8, 1), "float32"))  # a single example
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["index"] == 0


def test_values_that_json_lacks(tmp_path: Path) -> None:
    outputs = {
        "number": np.array([np.nan, np.inf, -np.inf, 0.5], "float32"),
        "word": np.array(["\u00e9".encode(), b"\xff"], object),
        "count": np.array(2**40),
    }
    with _rows.writer("json", str(tmp_path / "out"), [], 1) as writer:
        writer.add(Row(Path("a.npy"), 3), outputs)
        writer.finish()
    assert json.loads((tmp_path / "out").read_text()) == {
        "input": "a.npy",
        "index": 3,
        "outputs": {
            "number": ["NaN", "Infinity", "-Infinity", 0.5],
            "word": ["\u00e9", {"b64": "/w=="}],
            "count": 2**40,
        },
    }


@pytest.mark.parametrize("name", ["model", "plain"])
def test_what_is_wrong_with_one_does_not_spoil_the_others(server: StandIn, model, pictures, capsys, name) -> None:
    (pictures / "aa.png").write_bytes(served_models.png(served_models.images(1)[0])[:40])
    np.save(pictures / "deep" / "e.npy", np.zeros((2, 9, 9, 1), "float32"))
    np.save(pictures / "deep" / "f.npy", np.zeros((9, 9), "float32"))
    np.save(pictures / "deep" / "g.npy", np.zeros((0, 8, 8, 1), "float32"))
    np.save(pictures / "deep" / "h.npy", np.full((1, 8, 8, 1), "text"))
    command = ["symconv", "predict", server.targets["grpc"], str(pictures), "--format=json", f"--name={name}"]
    assert main(command) == 1
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    good = [row["outputs"]["probabilities"] for row in rows if "outputs" in row]
    np.testing.assert_allclose(good, _want(model), rtol=1e-4)
    bad = {Path(row["input"]).name: row["error"] for row in rows if "error" in row}
    assert set(bad) == {"aa.png", "e.npy", "f.npy", "g.npy", "h.npy"}
    assert "INVALID_ARGUMENT" in bad["e.npy"]
    assert "takes shape (None, 8, 8, 1). Received: shape=(9, 9)" in bad["f.npy"]
    assert "no example" in bad["g.npy"]
    assert "must be float32" in bad["h.npy"]
    told = [line for line in err.splitlines() if line.startswith("symconv: ")]
    assert len(told) == 6  # e.npy has two examples
    assert told[0].startswith(f"symconv: {pictures / 'aa.png'}: ")


def test_a_server_that_goes_away_ends_it(server: StandIn, pictures: Path, capsys) -> None:
    server.faults.extend([0.0, *["DEADLINE_EXCEEDED"] * 9])  # Metadata comes first.
    assert main(["symconv", "predict", server.targets["rest"], str(pictures), "--batch_size=1", "--workers=1"]) == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1] == "symconv: DEADLINE_EXCEEDED: as the test wants it"
    assert "Traceback" not in err
    assert threading.active_count() < 50


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "takes a TARGET and INPUTs. Received: 0 arguments"),
        (["localhost:1"], 1, "Received: 1 arguments"),
        (["nowhere", "{dir}/a.png"], 1, "a target must be"),
        (["127.0.0.1:1", "{dir}/none.png"], 1, "no such file: {dir}/none.png"),
        (["127.0.0.1:1", "{dir}/a.txt"], 1, "must be an image or an array (.bmp, .gif, .jpeg, .jpg, .png, .npy)"),
        (["127.0.0.1:1", "{dir}/empty"], 1, "holds no image and no array"),
        (
            ["http://127.0.0.1:1", "{dir}/a.png", "--timeout=0.2"],
            1,
            "UNAVAILABLE: http://127.0.0.1:1 cannot be reached",
        ),
        (["127.0.0.1:1", "{dir}/a.png", "--timeout=0.2"], 1, "UNAVAILABLE"),
        (["127.0.0.1:1", "{dir}/a.png", "--version=1", "--label=a"], 1, "a version or a label"),
        (["127.0.0.1:1", "{dir}/a.png", "--format=npy"], 1, "needs a directory: --output=DIRECTORY"),
        (["127.0.0.1:1", "{dir}/a.png", "--output={dir}/none/file"], 1, "No such file or directory"),
        (["127.0.0.1:1", "{dir}/a.png", "--format=xml"], 2, "format"),
        (["127.0.0.1:1", "{dir}/a.png", "--batch_size=0"], 2, "batch_size"),
    ],
)
def test_mistakes_get_one_line(tmp_path: Path, capsys, arguments: list[str], status: int, message: str) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a.txt").touch()
    (tmp_path / "empty").mkdir()
    assert main(["symconv", "predict", *(argument.format(dir=tmp_path) for argument in arguments)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message.format(dir=tmp_path) in err
