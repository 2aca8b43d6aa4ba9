"""symconv train: each mistake gets one line and a status above zero, and nothing is changed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tf_symconv.cli import main
from tf_symconv.cli import train as command

SYMCONV = [sys.executable, "-c", "import sys; from tf_symconv.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def _fresh_flags():
    yield
    for name in list(command.FLAGS):
        command.FLAGS[name].unparse()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def refused(tmp_path, data_dir, capfd):
    """Run the command, expect one line and return it."""

    def run(*flags, status):
        defaults = [f"--output_dir={tmp_path / 'run'}", f"--data_dir={data_dir}"]
        assert main(["symconv", "train", *defaults, *flags]) == status
        err = capfd.readouterr().err
        assert err.startswith("symconv: ") and err.count("\n") == 1 and "Traceback" not in err
        return err

    return run


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--kernel_size=0"], "--kernel_size=0: a kernel size is a number from 1, or two as in 3x5"),
        (["--kernel_size=3x0"], "--kernel_size=3x0"),
        (["--kernel_size=3x5x7"], "--kernel_size=3x5x7"),
        (["--kernel_size=-3"], "--kernel_size=-3"),
        (["--parity=-1"], "--parity=-1: a parity is even or odd"),
        (["--symmetry=hv="], "--symmetry=hv=: a symmetry is a name (hv), or a mix"),
        (["--symmetry=hv=4,hv=2"], "a mix of different names"),
        (["--symmetry=hv=-1"], "--symmetry=hv=-1"),
        (["--symmetry="], "--symmetry=: a symmetry is a name"),
        (["--epochs=0"], "--epochs=0: 0 is not a positive integer"),
        (["--epochs=many"], "--epochs=many"),
        (["--batch_size=0"], "--batch_size=0: 0 is not a positive integer"),
        (["--filters=0"], "--filters=0"),
        (["--image_size=0"], "--image_size=0"),
        (["--learning_rate=0"], "--learning_rate=0.0: must be a finite number above 0"),
        (["--learning_rate=-0.1"], "--learning_rate=-0.1: must be a finite number above 0"),
        (["--learning_rate=nan"], "--learning_rate=nan"),
        (["--learning_rate=inf"], "--learning_rate=inf"),
        (["--seed=-1"], "--seed=-1"),
        (["--seed=4294967296"], "--seed=4294967296"),
        (["--no_such_flag"], "'no_such_flag'"),
    ],
)
def test_a_flag_out_of_range(flags, message, refused, tmp_path):
    assert message in refused(*flags, status=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--symmetry=q"], "Received: symmetry='q'"),
        (["--symmetry=c4", "--kernel_size=3x5"], "'c4' needs a kernel of equal height and width"),
        (["--symmetry=hv=17", "--filters=16"], "17"),
        (["--symmetry=hv=10,circular=7", "--filters=16"], "17"),
        (["--symmetry=hv=101%"], "101%"),
        (["--symmetry=hv=60%,circular=50%"], "Percentages must not exceed 100"),
        (["--symmetry=z"], "Received: 'z'"),
        (["--symmetry=circular", "--parity=odd"], "Received: parity='odd'"),
        (["--parity=odd", "--kernel_size=1"], "odd"),
        (["--dataset=mnits"], "Did you mean 'mnist'"),
        (["--dataset=imdb_reviews"], "must have the features 'image' (Image) and 'label' (ClassLabel)"),
        (["stray"], "takes flags only. Received: 'stray'"),
    ],
)
def test_settings_that_do_not_fit(flags, message, refused, tmp_path):
    assert message in refused(*flags, status=1)
    assert not (tmp_path / "run").exists()


def test_the_same_output_directory_can_be_used_after_a_mistake(refused):
    refused("--symmetry=q", status=1)
    assert "Received: symmetry='r'" in refused("--symmetry=r", status=1)  # and not: it holds a run with other settings


def test_an_output_directory_below_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("")
    line = refused(f"--output_dir={tmp_path / 'file' / 'run'}", status=1)
    assert "--output_dir cannot be written" in line and "Not a directory" in line
    assert "--output_dir cannot be written" in refused(f"--output_dir={tmp_path / 'file'}", status=1)


def test_an_output_directory_of_something_else(refused, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    assert "holds thesis.tex" in refused(status=1)
    assert "holds thesis.tex" in refused("--overwrite", status=1)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "mine"


def test_a_data_directory_below_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "Cannot write the data set 'digits'" in refused(f"--data_dir={tmp_path / 'file'}", status=1)


def test_a_run_with_other_settings(refused, tmp_path):
    settings = {**command.Settings(epochs=3, filters=4).to_dict()}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"settings": settings}))
    (tmp_path / "run" / "checkpoints").mkdir()
    line = refused("--epochs=2", "--filters=4", status=1)
    assert "other settings: --epochs (3 there, 2 here); name another --output_dir, or add --overwrite" in line
    line = refused("--epochs=2", "--symmetry=q", "--filters=4", "--overwrite", status=1)
    assert "Received: symmetry='q'" in line
    assert (tmp_path / "run" / "checkpoints").exists()  # nothing is cleared for a run that cannot begin


def test_a_damaged_run_directory(refused, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{")
    assert "run.json is damaged" in refused(status=1)


def test_a_data_set_that_needs_the_network_without_one(refused, monkeypatch):
    def refuse(*args, **_):
        raise OSError("the test allows no network")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    start = time.monotonic()
    line = refused("--dataset=mnist", status=1)
    assert "'mnist' is not prepared in" in line and "cannot be downloaded" in line
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("package", ["rich", "jinja2", "tensorflow_datasets", "sklearn", "matplotlib", "tensorboard"])
def test_a_missing_extra(package, refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    line = refused(status=1)
    assert package in line and "pip install 'tf_symconv[train]'" in line
    assert not (tmp_path / "run").exists()


def test_a_mistake_in_a_process_of_its_own(tmp_path):
    done = subprocess.run(
        [*SYMCONV, "train", "--symmetry=q", f"--output_dir={tmp_path / 'run'}"],
        capture_output=True, text=True, timeout=120,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("symconv: symmetry must be one of") and done.stderr.count("\n") == 1


def test_help_names_every_flag_without_tensorflow():
    code = (
        "import sys; from tf_symconv.cli import main; main(['symconv', 'train', '--help']);"
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, "help imports TensorFlow"
    switches = {"mixed_precision", "jit_compile", "overwrite"}
    for name in {*command.Settings().to_dict(), "data_dir", "output_dir", *switches}:
        assert (f"--[no]{name}" if name in switches else f"--{name}=") in done.stdout
    assert str(Path.home()) not in done.stdout
