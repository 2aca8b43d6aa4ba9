"""kill -9 at any moment of an export: the base directory holds whole versions only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tf_symconv import serving
from tf_symconv.serving import _examples, _saved_model, _staging

KILLS = 50
# One process imports TensorFlow and starts no threads; its children export until they are killed. Nothing happens to
# the base directory while a version is verified, and that takes longest: only the first children verify.
PARENT = """
import json, os, pathlib, random, signal, sys, time, traceback, types

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from tf_symconv import serving
from tf_symconv.serving import _export

base, kills, verifying = pathlib.Path(sys.argv[1]), int(sys.argv[2]), 5
random.seed(0)


class Net(tf.Module):
    def __init__(self):
        super().__init__(name="net")
        self.kernel = tf.Variable(tf.ones((3, 3, 1, 2)))

    @tf.function(input_signature=[tf.TensorSpec((None, 5, 5, 1), name="image")])
    def __call__(self, image):
        return tf.nn.conv2d(image, self.kernel, 1, "VALID")


def child(signals):
    net = Net()
    while True:
        os.write(signals, b".")
        serving.export(net, base, warmup=True, keep=3)


def start():
    ours, theirs = os.pipe()
    process = os.fork()
    if not process:
        os.close(ours)
        try:
            child(theirs)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    os.close(theirs)
    if os.read(ours, 1) != b".":
        sys.exit("a child died by itself")
    return process, ours


def end(process, signals):
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(signals)
    return os.WTERMSIG(status)


for kill in range(kills):
    if kill in (0, verifying):
        if kill:
            _export.verify = lambda *_, **__: types.SimpleNamespace(ok=True)
        running = start()  # One whole export tells how long it takes.
        begun = time.monotonic()
        os.read(running[1], 1)
        duration = time.monotonic() - begun
        end(*running)
    running = start()
    time.sleep(random.uniform(0, duration))
    died = end(*running)
    entries = {entry.name: [str(file.relative_to(entry)) for file in entry.rglob("*") if file.is_file()]
               for entry in base.iterdir()}
    for name in entries:
        if name.isdigit() and (base / name / "saved_model.pb").stat().st_size == 0:
            sys.exit(f"{name} is empty")
    print(json.dumps({"signal": died, "entries": entries}), flush=True)
"""
FILES = {
    "assets.extra/symconv_examples.npz",
    "assets.extra/tf_serving_warmup_requests",
    "fingerprint.pb",
    "saved_model.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL and no fork")
def test_a_killed_export_leaves_whole_versions_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base"
    command = [sys.executable, "-W", "ignore", "-c", PARENT, str(base), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    moments = [json.loads(line) for line in done.stdout.splitlines()]
    assert [moment["signal"] for moment in moments] == [9] * KILLS

    halves = 0
    for moment in moments:
        versions = {name: files for name, files in moment["entries"].items() if name.isdigit()}
        for name, files in versions.items():
            assert set(files) == FILES, name
        assert len(versions) <= 4  # keep=3, and one that has just come
        others = {name: files for name, files in moment["entries"].items() if name not in versions}
        assert all(name.startswith(".tmp-") for name in others)
        halves += sum(0 < len(files) < len(FILES) for files in others.values())
    assert halves  # Kills did hit exports in the middle.

    for number in _staging.versions(base):
        version = base / str(number)
        assert set(_examples.load(version, _saved_model.read(version).signatures)) == {"serving_default"}
    report = serving.verify(base / str(_staging.versions(base)[-1]))
    assert report.ok, report.problems
    monkeypatch.setattr(_staging, "_SETTLED", -1.0)
    with _staging.staged(base, keep=1) as result:
        (result.path / "file").touch()
    assert [base / entry.name for entry in base.iterdir()] == [result.version_dir]
