"""verify passes what is good and finds each thing that is bad, by running it outside Python."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.serving.no_tensorflow import write_hook
from tf_symconv import serving
from tf_symconv.serving import SavedModelError, _examples, _protos
from tf_symconv.serving._saved_model import read

IMAGE = tf.TensorSpec([None, 2], name="x")


def _example(x: Any, **outputs: Any) -> dict[str, _examples.Examples]:
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    return {"serving_default": _examples.Examples({"x": np.asarray(x, "float32")}, arrays)}


def _tamper(version: Path, **outputs: np.ndarray) -> None:
    examples = _examples.load(version, read(version).signatures)["serving_default"]
    changed = _examples.Examples(examples.inputs, {**examples.outputs, **outputs})
    _examples.save(version, {"serving_default": changed})


def test_a_good_version_passes(good_version: Path) -> None:
    report = serving.verify(good_version)
    assert report.ok
    assert report.problems == ()
    assert report.signatures == ("serving_default",)
    assert report.tensorflow_version == tf.__version__
    assert [comparison.output for comparison in report.comparisons] == ["probabilities"]
    assert report.max_abs_difference is not None
    assert 0 <= report.max_abs_difference <= report.comparisons[0].allowed <= 1e-5
    sent = {(probe.kind, probe.sent): probe.outcome for probe in report.probes}
    assert sent["wrong rank", "float32 ()"] == "error"
    assert sent["wrong rank", "float32 (4)"] == "error"
    assert sent["wrong rank", "float32 (4, 8, 8, 3, 1)"] == "error"
    assert sent["wrong shape", "float32 (4, 8, 8, 2)"] == "error"
    assert sent["wrong shape", "float32 (4, 9, 8, 3)"] == "error"
    assert sent["wrong dtype", "string (4, 8, 8, 3)"] == "error"
    assert sent["wrong dtype", "int32 (4, 8, 8, 3)"] == "error"
    assert ("empty batch", "float32 (0, 8, 8, 3)") in sent
    assert {probe.detail for probe in report.probes if probe.outcome == "error"} == {"INVALID_ARGUMENT"}


def test_a_report_becomes_json(good_version: Path) -> None:
    plain = json.loads(json.dumps(serving.verify(good_version).to_dict(), allow_nan=False))
    assert plain["ok"] is True
    assert plain["comparisons"][0]["ok"] is True
    assert plain["problems"] == []


def test_a_version_without_shape_checks_fails_by_a_crash_that_is_survived(unchecked_version: Path) -> None:
    report = serving.verify(unchecked_version)
    assert not report.ok
    assert all(comparison.ok for comparison in report.comparisons)
    outcomes = {probe.sent: probe for probe in report.probes}
    crash = outcomes["float32 (1)"]
    assert crash.outcome == "crash"
    assert crash.detail.startswith("SIGABRT: Check failed")
    assert outcomes["float32 (1, 9, 8, 3)"].outcome == "answer"
    assert not outcomes["float32 (1, 9, 8, 3)"].ok
    assert outcomes["int32 (1, 8, 8, 3)"].outcome == "error"  # Asked after the crashes.
    assert any("wrong rank, float32 (1): crash instead of an error" in problem for problem in report.problems)


def test_an_xla_only_function_fails(make) -> None:
    @tf.function(jit_compile=True)
    def compiled(x: tf.Tensor) -> tf.Tensor:
        return x * 2

    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": compiled(tf.ensure_shape(x, [None, 2]))}

    path = make({"serving_default": serve}, {"serving_default": [IMAGE]}, _example([[1, 2]], y=np.float32([[2, 4]])))
    report = serving.verify(path)
    assert len(report.problems) == 1
    assert report.problems[0].startswith("demands XLA: __inference_compiled")


def test_keras_export_of_a_grouped_convolution_fails_by_xla(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Conv2D(4, 3, groups=2, name="grouped")])
    model.export(str(tmp_path / "1"), verbose=False)
    report = serving.verify(tmp_path / "1")
    assert any("grouped" in demand for demand in report.xla_demands)
    assert "signature serving_default: no recorded examples" in report.problems


def test_a_call_back_to_python_fails(make) -> None:
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.ensure_shape(x, [None, 2])
        return {"y": tf.ensure_shape(tf.numpy_function(np.negative, [x], tf.float32), [None, 2])}

    path = make({"serving_default": serve}, {"serving_default": [IMAGE]}, _example([[1, 2]], y=np.float32([[-1, -2]])))
    report = serving.verify(path)
    assert len(report.foreign_ops) == 1
    assert report.foreign_ops[0].startswith("PyFunc at ")
    [comparison] = report.comparisons
    assert comparison.error.startswith("the recorded examples got no answer")


def test_an_op_that_tensorflow_does_not_have_is_named(version: Path) -> None:
    proto = _protos.new("SavedModel")
    file = version / "saved_model.pb"
    proto.ParseFromString(file.read_bytes())
    for function in proto.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "Softmax":
                node.op = "OursAlone"
    file.write_bytes(proto.SerializeToString())
    report = serving.verify(version)
    assert any(finding.startswith("OursAlone at ") for finding in report.foreign_ops)
    assert any("does not load" in fault and "OursAlone" in fault for fault in report.faults)
    assert not report.ok


@pytest.mark.parametrize(("shift", "ok"), [(0.5e-5, True), (2e-5, False)])
def test_outputs_may_differ_by_the_tolerance_and_no_more(version: Path, shift: float, ok: bool) -> None:
    recorded = _examples.load(version, read(version).signatures)["serving_default"].outputs["probabilities"]
    scale = float(np.abs(recorded).max())
    moved = recorded.copy()
    moved[np.unravel_index(recorded.argmin(), recorded.shape)] += shift * scale  # Leaves the scale as it is.
    _tamper(version, probabilities=moved)
    report = serving.verify(version)
    assert report.ok is ok
    assert report.max_abs_difference == pytest.approx(shift * scale, rel=0.1)
    assert report.comparisons[0].allowed == pytest.approx(1e-5 * scale)
    assert serving.verify(version, tolerance=3e-5).ok
    assert not serving.verify(version, tolerance=0).ok


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: np.where(y == y.max(), np.nan, y), "infinite or undefined values"),
        (lambda y: np.where(y == y.max(), np.inf, y), "infinite or undefined values"),
        (lambda y: y[:-1], r"float32 (4, 3) instead of the recorded float32 (3, 3)"),
        (lambda y: y.astype("float64"), r"float32 (4, 3) instead of the recorded float64 (4, 3)"),
    ],
)
def test_outputs_that_cannot_be_compared_fail(version: Path, change, message: str) -> None:
    recorded = _examples.load(version, read(version).signatures)["serving_default"].outputs["probabilities"]
    _tamper(version, probabilities=change(recorded))
    report = serving.verify(version, tolerance=10)
    [comparison] = report.comparisons
    assert message in comparison.error
    assert report.max_abs_difference is None
    json.dumps(report.to_dict(), allow_nan=False)


def test_answers_of_every_kind_are_compared(make) -> None:
    big = 2**62 + 1  # Not a float.

    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.ensure_shape(x, [None, 2])
        return {
            "complex": tf.complex(x, -x),
            "count": tf.fill([tf.shape(x)[0]], tf.constant(big, tf.int64)),
            "flag": x > 1,
            "text": tf.strings.as_string(tf.cast(x, tf.int32)),
            "wild": 1 / (x - 1),
            "zero": x * 0,
        }

    right = {
        "complex": np.array([[1 - 1j, 2 - 2j]], "complex64"),
        "count": np.array([big]),
        "flag": np.array([[False, True]]),
        "text": np.array([[b"1", b"2"]], object),
        "wild": np.array([[np.inf, 1]], "float32"),
        "zero": np.zeros((1, 2), "float32"),
    }
    wrong = {
        "complex": right["complex"] + np.complex64(0.1j),
        "count": right["count"] - 1,
        "flag": ~right["flag"],
        "text": np.array([[b"1", b"3"]], object),
        "wild": -right["wild"],
        "zero": right["zero"] + np.float32(1e-4),
    }
    path = make({"serving_default": serve}, {"serving_default": [IMAGE]}, _example([[1, 2]], **right))
    report = serving.verify(path)
    assert report.ok, report.problems
    _examples.save(path, _example([[1, 2]], **wrong))
    assert [(row.output, row.ok) for row in serving.verify(path).comparisons] == [(name, False) for name in right]


def test_every_signature_is_verified(make) -> None:
    def double(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.ensure_shape(x, [None, 2]) * 2}

    def unchecked(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 3}

    example = {
        "a": _examples.Examples({"x": np.ones((1, 2), "float32")}, {"y": np.full((1, 2), 2, "float32")}),
        "b": _examples.Examples({"x": np.ones((1, 2), "float32")}, {"y": np.full((1, 2), 4, "float32")}),
    }
    functions = {"a": double, "b": unchecked, "c": double}
    report = serving.verify(make(functions, {name: [IMAGE] for name in functions}, example))
    assert [(row.signature, row.ok) for row in report.comparisons] == [("a", True), ("b", False)]
    assert report.faults == ("signature c: no recorded examples",)
    assert {probe.signature for probe in report.probes if not probe.ok} == {"b"}
    assert {probe.signature for probe in report.probes} == {"a", "b", "c"}


def test_a_free_size_may_be_answered_and_a_rank_left_open_too(make) -> None:
    spec = tf.TensorSpec(None, name="x")
    functions = {"serving_default": lambda x: {"y": x + 1}}
    path = make(functions, {"serving_default": [spec]}, _example([[1, 2]], y=np.float32([[2, 3]])))
    report = serving.verify(path)
    assert report.ok, report.problems
    assert {probe.outcome for probe in report.probes if probe.kind == "wrong rank"} == {"answer"}
    assert {probe.outcome for probe in report.probes if probe.kind == "wrong dtype"} == {"error"}


def test_a_request_that_never_ends_is_cut_off(make) -> None:
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.ensure_shape(x, [1, 2])
        return {"y": tf.while_loop(lambda y: tf.reduce_all(y >= 0), lambda y: [y * 0], [x])[0]}

    fixed = tf.TensorSpec([1, 2], name="x")
    path = make({"serving_default": serve}, {"serving_default": [fixed]}, _example([[1, 2]], y=np.float32([[0, 0]])))
    report = serving.verify(path, timeout=3)
    assert report.comparisons[0].error == "the recorded examples got no answer: no answer within 3 s"
    assert all(probe.ok for probe in report.probes)  # Refused before the loop.


def test_a_damaged_directory_is_one_clear_error(version: Path, tmp_path: Path) -> None:
    with pytest.raises(SavedModelError, match="no such directory"):
        serving.verify(tmp_path / "none")
    [data] = (version / "variables").glob("variables.data*")
    whole = data.read_bytes()
    for damage in (whole[: len(whole) // 2], None):
        data.unlink()
        if damage:
            data.write_bytes(damage)
        with pytest.raises(SavedModelError, match=r"does not load: (DATA_LOSS|OUT_OF_RANGE|NOT_FOUND)") as caught:
            serving.verify(version)
        assert "\n" not in str(caught.value)
        data.write_bytes(whole)
    examples = version / _examples.EXAMPLES_PATH
    packed = examples.read_bytes()
    for damage in (packed[: len(packed) // 2], b"", b"PK"):
        examples.write_bytes(damage)
        with pytest.raises(SavedModelError, match=r"symconv_examples\.npz is damaged"):
            serving.verify(version)
    examples.unlink()
    assert serving.verify(version).problems == ("signature serving_default: no recorded examples",)


def test_examples_must_belong_to_the_signatures(version: Path) -> None:
    file = version / _examples.EXAMPLES_PATH
    np.savez(file, **{"inputs/other/image": np.zeros(3)})
    with pytest.raises(SavedModelError, match=r"tensors of the signatures only\. Received: inputs/other/image"):
        serving.verify(version)
    np.savez(file, **{"inputs/serving_default/image": np.zeros(3)})
    with pytest.raises(SavedModelError, match=r"lacks the outputs \['probabilities'\]"):
        serving.verify(version)


@pytest.mark.parametrize("arguments", [{"tolerance": -1e-9}, {"tolerance": float("nan")}, {"timeout": 0}])
def test_arguments_out_of_range_are_refused(good_version: Path, arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"Received: {next(iter(arguments))}="):
        serving.verify(good_version, **arguments)


def test_the_checks_run_without_tensorflow_when_the_caller_has_it(
    good_version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "tensorflow" in sys.modules
    monkeypatch.syspath_prepend(write_hook(tmp_path / "hook"))
    assert serving.verify(good_version).ok


def test_verify_imports_no_tensorflow_python(good_version: Path) -> None:
    script = f"""
import sys
from tf_symconv import serving
report = serving.verify({str(good_version)!r})
assert report.ok, report.problems
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(sorted(loaded & {{"tensorflow", "keras", "jax", "torch", "ml_dtypes", "absl"}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_facade_names_what_it_has() -> None:
    assert set(serving.__all__) <= set(dir(serving))
    for name in serving.__all__:
        assert getattr(serving, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = serving.nothing
