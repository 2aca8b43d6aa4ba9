"""symconv train: one run with all defaults, everything that it leaves behind, and the same run stopped on its way."""

import base64
import contextlib
import fcntl
import html.parser
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.cli import training_runs
from tf_symconv import serving
from tf_symconv.cli import main
from tf_symconv.cli import train as command
from tf_symconv.layers import SymmetricConv2D
from tf_symconv.training import ROLES, RunDirectory, Settings, train

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@contextlib.contextmanager
def _locked(path: Path):
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The directory of a finished default run and what it printed; workers of one test session share it."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    directory, printed = base / "default_run", base / "default_run.json"
    with _locked(base / "default_run.lock"):
        if not printed.exists():
            flags = [f"--data_dir={base / 'default_data'}", f"--output_dir={directory}"]
            printed.write_text(json.dumps(training_runs.train(*flags)))
    return directory, *json.loads(printed.read_text())


@pytest.fixture(scope="session")
def metrics(finished):
    return json.loads((finished[0] / "metrics.json").read_text())


@pytest.fixture(scope="session")
def models(finished):
    return {role: keras.models.load_model(finished[0] / f"{role}.keras") for role in ROLES}


@pytest.fixture(scope="session")
def test_set():
    """The test images by another way than ours: straight from scikit-learn."""
    from sklearn.datasets import load_digits

    from tf_symconv.datasets._digits import stratified_test_mask

    source = load_digits()
    mask = stratified_test_mask(source.target, 360)
    return (np.rint(source.images[mask] * 255 / 16) / 255).astype("float32")[..., None], source.target[mask]


def test_the_default_run_is_accurate(metrics, models, test_set):
    images, labels = test_set
    for role, model in models.items():
        accuracy = np.mean(np.argmax(model.predict(images, verbose=0), -1) == labels)
        assert accuracy == pytest.approx(metrics["models"][role]["test"]["accuracy"], abs=1e-6)
        assert accuracy >= 0.95


def test_the_twins_differ_in_their_convolutions_only(models):
    symmetric, plain = ([*models[role].layers] for role in ROLES)
    assert [layer.name for layer in symmetric] == [layer.name for layer in plain]
    for ours, theirs in zip(symmetric, plain, strict=True):
        if isinstance(ours, SymmetricConv2D):
            assert type(theirs) is keras.layers.Conv2D
            kernel = np.asarray(ours.kernel)
            assert kernel.shape == tuple(theirs.kernel.shape)
            np.testing.assert_array_equal(kernel, kernel[::-1])
            np.testing.assert_array_equal(kernel, kernel[:, ::-1])
        else:
            assert type(ours) is type(theirs)
    assert sum(isinstance(layer, SymmetricConv2D) for layer in symmetric) == 4


def test_weights_are_counted(metrics, models):
    counts = {role: metrics["models"][role]["weights"] for role in ROLES}
    for role, model in models.items():
        assert counts[role]["free"] == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert counts["symmetric"]["effective"] == counts["plain"]["effective"] == counts["plain"]["free"]
    first = counts["symmetric"]["layers"][0]
    assert (first["kernel"], first["free"], first["effective"]) == ([5, 5, 1, 16], 9 * 16, 25 * 16)


def test_figures_are_complete(metrics):
    assert metrics["data"]["sizes"] == {"train": 1293, "validation": 144, "test": 360}
    assert metrics["settings"]["seed"] == 0
    for role in ROLES:
        history = metrics["models"][role]["history"]
        assert len(history) == 20
        assert set(history[0]) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
        assert history[-1]["loss"] < history[0]["loss"] / 10
        assert history[0]["learning_rate"] > history[-1]["learning_rate"] == pytest.approx(0, abs=1e-9)
        times = metrics["timing"]["milliseconds"][role]
        assert 0 < times["predict"] < times["train"]


def test_the_export_gives_the_answers_of_the_model(finished, metrics, models, test_set):
    version = finished[0] / "export" / "1"
    assert [path.name for path in version.parent.iterdir()] == ["1"]
    assert metrics["verification"]["ok"] and serving.verify(version).ok
    served = keras.layers.TFSMLayer(version, call_endpoint="serving_default")(test_set[0][:50])
    np.testing.assert_allclose(served["probabilities"], models["symmetric"](test_set[0][:50]), atol=1e-6)


def test_tensorboard_reads_the_logs(finished, metrics):
    from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    for role in ROLES:
        history = metrics["models"][role]["history"]
        for part, prefix in (("train", ""), ("validation", "val_")):
            events = EventAccumulator(str(finished[0] / "logs" / role / part), size_guidance={TENSORS: 0}).Reload()
            for name in ("loss", "accuracy"):
                points = events.Tensors(f"epoch_{name}")
                assert [point.step for point in points] == list(range(20))
                values = [float(make_ndarray(point.tensor_proto)) for point in points]
                np.testing.assert_allclose(values, [epoch[prefix + name] for epoch in history], rtol=1e-6)


class _Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.words, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "poster")]
        self.open.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def test_the_report_holds_all_it_shows(finished, metrics):
    text = (finished[0] / "report.html").read_text()
    page = _Page(text)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert "url(" not in text and "@import" not in text and "http" not in text
    assert len(page.links) == page.tags.count("img") == 3
    shown = []
    for link in page.links:
        head, _, data = link.partition(",")
        assert head == "data:image/png;base64"
        shown.append(base64.b64decode(data))
    files = sorted((finished[0] / "plots").iterdir())
    assert [file.name for file in files] == ["curves.png", "kernels_plain.png", "kernels_symmetric.png"]
    assert sorted(shown) == sorted(file.read_bytes() for file in files)
    assert all(picture.startswith(SIGNATURE) for picture in shown)
    words = " ".join(" ".join(page.words).split())
    for role in ROLES:
        figures = metrics["models"][role]
        assert f"{figures['test']['accuracy']:.2%}" in words
        assert f"{figures['weights']['free']:,}" in words
        assert f"{metrics['timing']['milliseconds'][role]['train']:.2f} ms" in words
    assert "verified" in words and "not verified" not in words
    assert "wrong rank" in words and "INVALID_ARGUMENT" in words


def test_the_table_and_the_places_are_printed(finished, metrics):
    directory, out, err = finished
    assert err == ""  # no chatter of the libraries
    row = next(line for line in out.splitlines() if "Test accuracy" in line)
    assert re.findall(r"[\d.]+%", row) == [f"{metrics['models'][r]['test']['accuracy']:.2%}" for r in ROLES]
    assert "20/20" in out
    assert f"In {directory}:" in out.splitlines()
    for place in ("report.html", "export/1", "symmetric.keras", "plain.keras", "metrics.json", "plots", "logs"):
        assert place in out
        for name in place.split(", "):
            assert (directory / name).exists()


def test_no_temporary_file_is_left(finished):
    assert not [path for path in finished[0].rglob("*") if path.name.startswith(".")]


def test_a_finished_run_is_shown_again_and_left_alone(finished):
    directory, first, _ = finished
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    again, err = training_runs.train(f"--output_dir={directory}")
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()} == before
    assert err == "" and "Training" not in again
    table = [line for line in first.splitlines() if "  " in line and ("Test" in line or "weights" in line)]
    assert table and set(table) <= set(again.splitlines())


def test_a_run_whose_export_failed_its_verification_ends_with_status_1(finished, metrics, tmp_path, capsys):
    directory = Path(shutil.copytree(finished[0], tmp_path / "run"))
    bad = {**metrics["verification"], "ok": False, "problems": ["signature serving_default: crash"]}
    (directory / "metrics.json").write_text(json.dumps({**metrics, "verification": bad}))
    assert main(["symconv", "train", f"--output_dir={directory}"]) == 1
    command.FLAGS["output_dir"].unparse()
    out = capsys.readouterr().out
    assert "NOT verified" in out and "signature serving_default: crash" in out


def test_what_is_missing_from_a_finished_run_is_made_again(finished, tmp_path, monkeypatch):
    # The rest of this process stays as it is; the settings of a whole run are those of a process of its own.
    monkeypatch.setattr("tf_symconv.training._run._make_deterministic", lambda settings: None)
    directory = Path(shutil.copytree(finished[0], tmp_path / "run"))
    for lost in ("checkpoints", "export"):
        shutil.rmtree(directory / lost)
    (directory / "plots" / "curves.png").unlink()
    kept = ["metrics.json", "plots/kernels_plain.png", "symmetric.keras", "plain.keras"]
    before = {name: (directory / name).read_bytes() for name in kept}
    stages = []
    with RunDirectory(directory, Settings()) as run:
        assert not run.finished
        train(run, data_dir=finished[0].parent / "default_data", on_stage=stages.append)
        assert run.finished
    assert stages == ["Preparing the data", "Exporting", "Verifying the export", "Drawing the report"]
    assert serving.verify(directory / "export" / "1").ok
    assert (directory / "plots" / "curves.png").read_bytes().startswith(SIGNATURE)
    for name in kept[1:]:
        assert (directory / name).read_bytes() == before[name]
    old, new = json.loads(before["metrics.json"]), json.loads((directory / "metrics.json").read_text())
    assert new["models"] == old["models"] and new["timing"] == old["timing"]


def _stop_when(moment, number, *arguments):
    """Start training, send a signal once ``moment()`` is true, and return the exit status and the standard error."""
    process = training_runs.start(*arguments)
    deadline = time.monotonic() + 300
    while not moment():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def test_a_run_stopped_at_several_moments_ends_with_the_bits_of_one_that_was_not(finished, tmp_path):
    directory = tmp_path / "run"
    arguments = (f"--output_dir={directory}", f"--data_dir={finished[0].parent / 'default_data'}")
    checkpoints = directory / "checkpoints"
    moments = [
        (signal.SIGKILL, lambda: any((checkpoints / "symmetric").glob("ckpt-2.data*"))),  # while it is written
        (signal.SIGINT, lambda: any((checkpoints / "plain").glob("ckpt-11.index"))),  # in the twin's training
        (signal.SIGKILL, lambda: (directory / "export").exists()),  # while the version is written
    ]
    for number, moment in moments:
        status, err = _stop_when(moment, number, *arguments)
        if number == signal.SIGKILL:
            assert status == -signal.SIGKILL
        else:
            assert (status, err) == (130, "symconv: interrupted; the same command goes on from here\n")
        assert not (directory / "report.html").exists()
    training_runs.train(*arguments)

    for role in ROLES:
        expected, found = training_runs.state(finished[0], role), training_runs.state(directory, role)
        assert len(expected) > 60 and expected.keys() == found.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, err_msg=f"{role}: {key}")
    whole, stopped = (json.loads((path / "metrics.json").read_text()) for path in (finished[0], directory))
    assert whole["models"] == stopped["models"]  # accuracy, loss and the figures of every epoch, to the last digit
    assert not [path for path in directory.rglob("*") if path.name.startswith(".") or "_temp" in path.name]
