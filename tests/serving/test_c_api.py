"""The C API: types go in and come out unchanged, errors keep their code, memory is freed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv.serving import _c_api, _saved_model
from tf_symconv.serving._worker import Worker

DTYPES = [
    "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "bool", "complex64", "complex128", "string",
]  # fmt: skip


@pytest.fixture(scope="module")
def echo(make) -> Path:
    """One signature per type, which returns its input once and twice."""
    functions = {name: lambda x: {"same": tf.identity(x), "twice": tf.concat([x, x], 0)} for name in DTYPES}
    return make(functions, {name: [tf.TensorSpec([None, 2], name, name="x")] for name in DTYPES})


@pytest.fixture(scope="module")
def worker(echo: Path) -> Iterator[Worker]:
    with Worker(echo, timeout=60) as worker:
        yield worker


def _signature(path: Path, name: str) -> tuple[str, list[str]]:
    signature = _saved_model.read(path).signatures[name]
    return signature.inputs["x"].tensor, [signature.outputs[key].tensor for key in ("same", "twice")]


def _values(name: str) -> np.ndarray:
    if name == "string":
        texts = [b"", b"ends in zero\0", b"x" * 23, b"y" * 10_000, "\u00e9\u4e2d".encode(), b"\x01"]
        return np.array(texts, object).reshape(3, 2)
    numbers = np.array([[0, 1], [2, 100], [3, 7]])
    return numbers.astype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_comes_back_as_it_went(worker: Worker, echo: Path, name: str) -> None:
    feed, fetches = _signature(echo, name)
    values = _values(name)
    same, twice = worker.run({feed: values}, fetches)
    assert same.dtype == twice.dtype == values.dtype
    np.testing.assert_array_equal(same, values)
    np.testing.assert_array_equal(twice, np.concatenate([values, values]))


@pytest.mark.parametrize("name", ["float32", "string"])
def test_empty_and_transposed_arrays_keep_shape_and_order(worker: Worker, echo: Path, name: str) -> None:
    feed, fetches = _signature(echo, name)
    assert worker.run({feed: _values(name)[:0]}, fetches)[0].shape == (0, 2)
    turned = np.concatenate([_values(name)[:2]] * 2).T[:, :2]
    np.testing.assert_array_equal(worker.run({feed: turned}, fetches)[0], turned)


def test_text_is_fed_as_utf8(worker: Worker, echo: Path) -> None:
    feed, fetches = _signature(echo, "string")
    text = np.array([["\u00e9", "b"]])
    assert worker.run({feed: text}, fetches)[0].tolist() == [["\u00e9".encode(), b"b"]]


@pytest.mark.parametrize(
    ("feed", "fetch", "code"),
    [
        (np.zeros((1, 2), "int32"), None, "INVALID_ARGUMENT"),
        (None, None, "INVALID_ARGUMENT"),
        (np.zeros((1, 2), "float32"), "no_such:0", "NOT_FOUND"),
        (np.zeros((1, 2), "float32"), "serving:7", "NOT_FOUND"),
    ],
)
def test_errors_keep_code_and_message(worker: Worker, echo: Path, feed, fetch, code: str) -> None:
    name, fetches = _signature(echo, "float32")
    with pytest.raises(_c_api.StatusError) as caught:
        worker.run({} if feed is None else {name: feed}, [fetch] if fetch else fetches)
    assert caught.value.code == code
    assert caught.value.message
    assert str(caught.value) == f"{code}: {caught.value.message}"


def test_arrays_of_no_tensor_type_are_refused(worker: Worker, echo: Path) -> None:
    name, fetches = _signature(echo, "float32")
    with pytest.raises(TypeError, match=r"element type of TensorFlow. Received: dtype=datetime64"):
        worker.run({name: np.zeros((1, 2), "datetime64[s]")}, fetches)


def test_a_missing_saved_model_is_not_found(tmp_path: Path) -> None:
    with Worker(tmp_path / "none", timeout=60) as worker, pytest.raises(_c_api.StatusError) as caught:
        worker.load()
    assert caught.value.code == "NOT_FOUND"


def test_the_library_tells_its_version_and_ops(worker: Worker) -> None:
    version, ops = worker.describe()
    assert version == tf.__version__
    assert {"Conv2D", "MatMul", "PyFunc"} <= ops
    assert "NoSuchOp" not in ops


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("string", 'np.array([b"z" * 1000] * 20_000, object).reshape(-1, 2)'),
        ("float32", 'np.ones((2_500_000, 2), "float32")'),
    ],
)
def test_runs_free_what_they_allocate(echo: Path, name: str, array: str) -> None:
    feed, fetches = _signature(echo, name)
    script = f"""
import resource
import numpy as np
from tf_symconv.serving._c_api import Session
array = {array}  # 20 MB
with Session({str(echo)!r}) as session:
    for step in range(30):
        if step == 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        session.run({{{feed!r}: array}}, {fetches!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown = int(done.stdout)  # KiB; 20 runs that leaked one copy each would make it 400,000
    assert grown < 60_000
