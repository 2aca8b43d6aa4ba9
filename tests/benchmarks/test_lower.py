"""Layers as StableHLO, and times that come back."""

import json
import re
import sys

import keras
import numpy as np
import pytest

from tf_symconv.benchmarks import Case, Options, RunDirectoryError, lower, read_timed, time_stablehlo
from tf_symconv.benchmarks._lower import stablehlo
from tf_symconv.benchmarks._subjects import plain_layer, structured_layer

CASE = Case("mirror-hv", 3, 2, 4, 6, 5, "inference")
TRAINING = Case("mirror-hv", 3, 2, 4, 6, 5, "training")


def main_of(text):
    """Arguments and results of the entry function."""
    head = re.search(r"func\.func public @main\((.*)\) -> (.*) \{|func\.func @main\((.*)\) -> (.*) \{", text)
    given, taken = [group for group in head.groups() if group is not None]
    return re.findall(r"%arg\d+: tensor<([\dx]+)xf32>", given), re.findall(r"tensor<([\dx]+)xf32>", taken)


def test_a_forward_pass_takes_inputs_and_weights(tmp_path):
    entry = lower(CASE, tmp_path, Options())
    assert set(entry["files"]) == {"plain", "dense", "folded"}
    for form, kernel in (("plain", "3x3x2x4"), ("dense", "2x2x2x4"), ("folded", "2x2x2x4")):
        text = (tmp_path / entry["files"][form]).read_text()
        assert main_of(text) == (["5x6x6x2", kernel], ["5x6x6x4"])
        assert "stablehlo.convolution" in text
        assert entry["arguments"][form] == [[5, 6, 6, 2], [int(size) for size in kernel.split("x")]]


def test_a_training_step_takes_the_gradient_and_returns_outputs_gradient_and_weights(tmp_path):
    entry = lower(TRAINING, tmp_path, Options(bias=True))
    text = (tmp_path / entry["files"]["dense"]).read_text()
    given, taken = main_of(text)
    assert given == ["5x6x6x2", "2x2x2x4", "4", "5x6x6x4"]
    assert taken == ["5x6x6x4", "5x6x6x2", "2x2x2x4", "4"]
    assert text.count("stablehlo.convolution") == 3  # forward, and backward to inputs and weights


@pytest.mark.parametrize("name", ["twin-concat", "twin-max", "separable", "mirror-3d", "group-d4-regular"])
def test_forms_of_several_weights_and_axes_are_lowered_too(name, tmp_path):
    case = Case(name, 3, 8, 8, 8, 2, "training")
    entry = lower(case, tmp_path, Options())
    for form, file in entry["files"].items():
        given, taken = main_of((tmp_path / file).read_text())
        assert [list(map(int, shape.split("x"))) for shape in given] == entry["arguments"][form]
        assert taken[:2] == [given[-1], given[0]] and taken[2:] == given[1:-1]


def test_weights_are_arguments_and_not_constants():
    texts = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        layer = structured_layer(CASE)
        layer.build(CASE.input_shape)
        texts.append(re.sub(r"\d+", "", stablehlo(layer, CASE)[0]))
    assert texts[0] == texts[1]
    layer = plain_layer(CASE)
    layer.build(CASE.input_shape)
    before = layer.kernel.numpy()
    stablehlo(layer, TRAINING)
    np.testing.assert_array_equal(layer.kernel, before)


def test_the_index_gathers_cases(tmp_path):
    lower(CASE, tmp_path, Options())
    lower(TRAINING, tmp_path, Options())
    index = json.loads((tmp_path / "index.json").read_text())
    assert list(index) == [CASE.key, TRAINING.key]
    assert all((tmp_path / file).exists() for entry in index.values() for file in entry["files"].values())


def timed(**entry):
    ratio = {"median": 0.5, "quartiles": [0.4, 0.6], "interval": None, "rounds": 3}
    return {"device": "gpu: X", "versions": {"jax": "1"}, "cases": {CASE.key: {"ratio": ratio, **entry}}}


def test_times_are_read(tmp_path):
    (tmp_path / "timed.json").write_text(json.dumps(timed()))
    assert read_timed(tmp_path / "timed.json") == timed()


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"cases": {}}', json.dumps(timed(ratio=None)), json.dumps(timed(ratio={"quartiles": [1]}))],
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "timed.json").write_text(content)
    with pytest.raises(RunDirectoryError, match=r"timed\.json holds no times of StableHLO files"):
        read_timed(tmp_path / "timed.json")
    with pytest.raises(RunDirectoryError, match="cannot be read"):
        read_timed(tmp_path / "missing.json")


def test_the_timing_script_tells_what_it_lacks(tmp_path, capsys, monkeypatch):
    with pytest.raises(SystemExit) as stopped:
        time_stablehlo.main([str(tmp_path)])
    assert stopped.value.code == 1
    assert "holds no lowered layers" in capsys.readouterr().err
    (tmp_path / "index.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(SystemExit) as stopped:
        time_stablehlo.main([str(tmp_path)])
    assert stopped.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
