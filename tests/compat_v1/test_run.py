"""Scripts of the TF1 era, run as they are."""

import concurrent.futures
import importlib.util
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import cli, compat_v1, serving

HERE = Path(__file__).parent
SCRIPTS, DATA, GOLDEN = HERE / "scripts", HERE / "data", HERE.parent / "golden"
LOSSES = dict(re.findall(r"step (\d+) loss ([\d.]+)", (DATA / "train_tf1/losses.txt").read_text()))


def run_v1(capfd, *arguments):
    status = cli.main(["symconv", "run-v1", *map(str, arguments)])
    return status, *capfd.readouterr()


def losses(out):
    return {step: float(loss) for step, loss in re.findall(r"step (\d+) loss ([\d.]+)", out)}


def check_losses(out, first, last):
    found = losses(out)
    assert list(found) == [str(step) for step in range(first, last)]
    # What TensorFlow 1.15.5 printed, which has six digits.
    np.testing.assert_allclose(list(found.values()), [float(LOSSES[step]) for step in found], atol=3e-5)


def test_a_training_script_runs_resumes_and_takes_the_steps_of_tf1(tmp_path, capfd):
    arguments = [SCRIPTS / "train_tf1.py", f"--train_dir={tmp_path}/new"]
    status, out, err = run_v1(capfd, *arguments, "--max_steps=5", "--verbose", "rest", "--", "-x")
    assert status == 0, err
    check_losses(out, 0, 5)
    assert "net/logits/Variable/Adam_1 [3]" in out
    assert "arguments left: ['rest', '--', '-x']" in out
    written = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert written[0] == "checkpoint"
    assert {"model.ckpt-5.index", "model.ckpt-5.meta"} < set(written)
    events = [path for path in (tmp_path / "new").iterdir() if "tfevents" in path.name]
    kinds = {
        value.tag: value.WhichOneof("value")
        for record in tf.data.TFRecordDataset([str(path) for path in events])
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    assert {tag for tag, kind in kinds.items() if kind == "simple_value"} == {"loss", "accuracy"}
    assert sum(kind == "histo" for kind in kinds.values()) == 4
    status, out, err = run_v1(capfd, *arguments, "--max_steps=8")
    assert status == 0, err
    assert "restored at step 5" in out
    check_losses(out, 5, 8)


def test_a_checkpoint_of_tf1_goes_on(tmp_path, capfd):
    shutil.copytree(DATA / "train_tf1", tmp_path / "old")
    status, out, err = run_v1(capfd, SCRIPTS / "train_tf1.py", f"--train_dir={tmp_path}/old", "--max_steps=14")
    assert status == 0, err
    assert "restored at step 8" in out
    check_losses(out, 8, 14)


def test_the_script_finds_tensorflow_1_and_the_caller_keeps_its_own(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    # Without Keras 2, whether it is installed or not.
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    before = (sys.modules["tensorflow"], list(sys.argv), list(sys.path), list(sys.meta_path), dict(os.environ))
    script = SCRIPTS / "surface_tf1.py"
    status = compat_v1.run(script, [str(tmp_path / "found.json"), "two words"])
    assert status == 0, capfd.readouterr().err
    assert before == (sys.modules["tensorflow"], sys.argv, sys.path, sys.meta_path, dict(os.environ))
    assert tf.executing_eagerly() and not hasattr(tf, "Session") and "groupy" not in sys.modules
    assert not hasattr(np, "float")

    found = json.loads((tmp_path / "found.json").read_text())
    messages = found.pop("messages")
    before_step, after_step = found.pop("before"), found.pop("after")
    assert 0 < after_step < before_step
    assert found == {
        "argv": [str(script), str(tmp_path / "found.json"), "two words"],
        "path": str(SCRIPTS),
        "name": "__main__",
        "file": str(script),
        "cwd": str(tmp_path),
        "neighbour": "imported from beside the script",
        "version": ["1.15.5", "1.15.5"],
        "eager": False,
        "dimension": "Dimension",
        "variable": "RefVariable",
        "same": [True, True, True],
        "numpy": [True, True, True],
        "data": [0, 1, 2],
        "cond": 1,
        "queue": [[1.0], [1.0]],
        "gconv": [1, 8, 8, 16],
        "log_dir": "mine",
    }
    version = re.escape(tf.__version__)
    for symbol, message in {
        "contrib.rnn.LSTMCell": rf"TensorFlow {version} has no tf\.contrib\.rnn: use tf\.nn\.rnn_cell",
        "estimator": rf"TensorFlow {version} has no tf\.estimator: Keras took the place",
        "mul": r"has no tf\.mul: use tf\.multiply",
        "examples": r"has no tf\.examples: use tensorflow_datasets",
        "no_such_thing": "module 'tensorflow' has no attribute 'no_such_thing'",
        "placeholdr": "no attribute 'placeholdr'; nearest: placeholder",
        "layers.dense": r"tf\.layers\.dense needs Keras 2, the package tf-keras: pip install 'tf_symconv\[tf1\]'",
        "keras.layers": r"tf\.keras\.layers needs Keras 2",
        "import keras.models": r"import keras needs Keras 2",
        "nn.rnn_cell.GRUCell": r"tf\.nn\.rnn_cell\.GRUCell needs Keras 2",
        "import tensorflow.examples.tutorials.mnist": r"has no tf\.examples: use tensorflow_datasets",
        "import tensorflow.contrib.rnn": r"has no tf\.contrib\.rnn: use tf\.nn\.rnn_cell",
    }.items():
        assert re.search(message, messages[symbol]), messages[symbol]


def test_the_golden_arrays_in_tf1_behaviour(tmp_path, capfd):
    arguments = [GOLDEN / "tf1_15_golden.npz", GOLDEN / "checkpoint/model.ckpt", tmp_path / "export/1"]
    status, out, err = run_v1(capfd, SCRIPTS / "golden_tf1.py", *arguments)
    assert (status, out) == (0, "golden\n"), err
    report = serving.verify(tmp_path / "export/1")
    assert report.ok, report.problems


@pytest.mark.skipif(importlib.util.find_spec("tf_keras") is None, reason="tf-keras, the extra tf1, is not installed")
def test_layers_that_are_built_on_keras_2(capfd):
    status, out, err = run_v1(capfd, SCRIPTS / "layers_tf1.py")
    assert status == 0, err
    names, shape, keras = out.splitlines()
    assert {"net/conv/kernel", "net/dense/bias", "net/rnn/basic_lstm_cell/kernel"} <= set(eval(names))
    assert shape == "(3, 2)"
    assert keras == "2 True"


def spawn(*arguments):
    command = [sys.executable, "-c", "from tf_symconv import cli; raise SystemExit(cli.main())", "run-v1"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_ways_to_end_are_those_of_the_script():
    script = SCRIPTS / "exits_tf1.py"
    ways = ["status", "message", "raise", "chain", "kill", "interrupt"]
    # What looks like flags of the command belongs to the script.
    flags = ["--help", "--keep=x", "-h", ""]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ends = dict(zip(ways, pool.map(lambda way: spawn(script, way, *flags), ways), strict=True))
    assert {way: end.returncode for way, end in ends.items()} == {
        "status": 7,
        "message": 1,
        "raise": 1,
        "chain": 1,
        "kill": 128 + signal.SIGKILL,
        "interrupt": 130,
    }
    assert ends["status"].stdout == f"{['status', *flags]}\n"
    assert ends["message"].stderr.endswith("a last word\n")
    trace = ends["raise"].stderr
    trace = trace[trace.index("Traceback") :]
    frames = re.findall(r'File "(.*?)", line \d+, in (\S+)', trace)
    assert frames == [(str(script), "<module>"), *[(str(script), "fail")] * 3]
    assert "    return fail(depth - 1)" in trace
    assert trace.endswith("KeyError: 'deep in the script'\n")
    trace = ends["chain"].stderr
    assert "During handling of the above exception" in trace
    assert "_child.py" not in trace
    assert re.search(r"ModuleNotFoundError: TensorFlow .* has no tf\.contrib\.rnn", trace)


def test_a_signal_reaches_the_script():
    command = [sys.executable, "-c", "from tf_symconv import cli; raise SystemExit(cli.main())"]
    command += ["run-v1", str(SCRIPTS / "exits_tf1.py"), "terminate"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM


def test_modules_beside_the_script_can_be_kept(tmp_path, capfd):
    (tmp_path / "groupy.py").write_text("WHOSE = 'mine'\n")
    script = tmp_path / "script.py"
    script.write_text("import groupy\nprint(getattr(groupy, 'WHOSE', 'theirs'))\n")
    status, out, err = run_v1(capfd, script)
    assert (status, out) == (0, "theirs\n")
    assert "groupy is that of tf_symconv.compat_v1" in err
    status, out, err = run_v1(capfd, "--keep=groupy", script)
    assert (status, out) == (0, "mine\n")
    assert "symconv run-v1" not in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "takes a SCRIPT.py"),
        (["/nowhere.py"], 1, "The script must be a file"),
        (["--kep=x"], 2, "Unknown command"),
    ],
)
def test_mistakes_get_one_line(capfd, arguments, status, message):
    found, out, err = run_v1(capfd, *arguments)
    assert (found, out) == (status, "")
    assert message in err and len(err.splitlines()) == 1


def test_its_help_is_its_own(capfd):
    status, out, _ = run_v1(capfd, "--help")
    assert status == 0
    assert out.startswith("Usage: symconv run-v1 [FLAGS] SCRIPT.py [ARGS...]")
    assert "--keep" in out
    assert list(inspect.signature(compat_v1.run).parameters) == ["script", "args", "keep"]
