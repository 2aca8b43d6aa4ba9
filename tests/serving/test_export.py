"""What write_version writes: the names, the shapes and the answers of the Keras model."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import layers, serving
from tf_symconv.serving import _examples, _export
from tf_symconv.serving._c_api import StatusError
from tf_symconv.serving._saved_model import read
from tf_symconv.serving._worker import Worker

SEED = 7


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(SEED).normal(size=shape).astype("float32")


def _served(version: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    answer = tf.saved_model.load(str(version)).signatures["serving_default"](
        **{name: tf.constant(array) for name, array in inputs.items()}
    )
    return {name: tensor.numpy() for name, tensor in answer.items()}


def _specs(version: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    signature = read(version).signatures["serving_default"]
    inputs = {name: (spec.dtype, spec.shape) for name, spec in signature.inputs.items()}
    return inputs, {name: (spec.dtype, spec.shape) for name, spec in signature.outputs.items()}


def test_names_shapes_and_answers_are_those_of_keras(good_version: Path, model: keras.Model) -> None:
    assert _specs(good_version) == (
        {"image": ("float32", (None, 8, 8, 3))},
        {"probabilities": ("float32", (None, 3))},
    )
    batch = _random(7, 8, 8, 3)  # Another batch size than that of the examples.
    served = _served(good_version, {"image": batch})
    np.testing.assert_allclose(served["probabilities"], model.predict(batch, verbose=0), rtol=1e-5, atol=1e-6)


def test_examples_are_recorded_as_keras_answered_them(good_version: Path, model, images) -> None:
    examples = _examples.load(good_version, read(good_version).signatures)["serving_default"]
    np.testing.assert_array_equal(examples.inputs["image"], images)
    np.testing.assert_allclose(examples.outputs["probabilities"], model.predict(images, verbose=0), rtol=1e-5)


def test_the_graph_itself_refuses_every_other_shape(good_version: Path) -> None:
    signature = read(good_version).signatures["serving_default"]
    feed, fetch = signature.inputs["image"].tensor, signature.outputs["probabilities"].tensor
    with Worker(good_version, timeout=60) as worker:
        for shape in [(), (1,), (8, 8, 3), (1, 8, 8), (1, 9, 8, 3), (1, 8, 8, 4), (1, 8, 8, 3, 1)]:
            with pytest.raises(StatusError, match="not compatible with expected shape") as caught:
                worker.run({feed: np.zeros(shape, "float32")}, [fetch])
            assert caught.value.code == "INVALID_ARGUMENT"
        [answer] = worker.run({feed: np.zeros((5, 8, 8, 3), "float32")}, [fetch])
    assert answer.shape == (5, 3)


def _many() -> tuple[keras.Model, dict[str, np.ndarray]]:
    image = keras.Input((None, None, 3), name="image")
    number = keras.Input((1,), dtype="int32", name="user-id")
    word = keras.Input((), dtype="string", name="word")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    embedded = keras.layers.Flatten()(keras.layers.Embedding(10, 4)(number))
    index = keras.layers.StringLookup(vocabulary=["a", "b"], name="index")(word)
    total = keras.layers.Add(name="total")([pooled, embedded])
    model = keras.Model([image, number, word], [total, index, keras.layers.Identity(name="echo")(word)])
    examples = {
        "image": _random(3, 6, 9, 3),
        "user-id": np.array([[1], [9], [4]], "int32"),
        "word": np.array([b"a", b"none\0", "\u00e9".encode()], object),
    }
    return model, examples


def test_many_inputs_and_outputs_of_many_types(tmp_path: Path) -> None:
    model, examples = _many()
    version = serving.write_version(model, tmp_path / "1", examples)
    assert _specs(version) == (
        {
            "image": ("float32", (None, None, None, 3)),
            "user-id": ("int32", (None, 1)),
            "word": ("string", (None,)),
        },
        {"total": ("float32", (None, 4)), "index": ("int64", (None,)), "echo": ("string", (None,))},
    )
    recorded = _examples.load(version, read(version).signatures)["serving_default"]
    total, index, echo = model([tf.constant(examples[name]) for name in ("image", "user-id", "word")])
    np.testing.assert_allclose(recorded.outputs["total"], total, rtol=1e-6)
    assert recorded.outputs["index"].tolist() == index.numpy().tolist() == [1, 0, 0]
    assert recorded.outputs["echo"].tolist() == echo.numpy().tolist() == examples["word"].tolist()
    report = serving.verify(version)
    assert report.ok, report.problems
    assert {probe.input for probe in report.probes} == {"image", "user-id", "word", "*"}


def test_examples_in_the_order_of_the_inputs_do_as_well(tmp_path: Path) -> None:
    model, examples = _many()
    version = serving.write_version(model, tmp_path / "1", list(examples.values()))
    recorded = _examples.load(version, read(version).signatures)["serving_default"]
    np.testing.assert_array_equal(recorded.inputs["user-id"], examples["user-id"])


class Subclassed(keras.Model):
    def __init__(self, answer: str) -> None:
        super().__init__(name="net")
        self.dense = keras.layers.Dense(2)
        self.answer = answer

    def build(self, shape: Any) -> None:
        self.dense.build((None, 3))

    def call(self, points: Any) -> Any:
        points = points["points"] if isinstance(points, dict) else points
        result = self.dense(points)
        return {"tensor": result, "dict": {"scores": result}, "list": [result, points]}[self.answer]


@pytest.mark.parametrize(
    ("answer", "keyed", "inputs", "outputs"),
    [
        ("tensor", False, {"points"}, {"net"}),
        ("list", False, {"points"}, {"net_0", "net_1"}),
        ("dict", True, {"points"}, {"scores"}),
    ],
)
def test_subclassed_models_are_named_after_their_arguments_and_keys(
    tmp_path: Path, answer: str, keyed: bool, inputs: set[str], outputs: set[str]
) -> None:
    model = Subclassed(answer)
    points = _random(4, 3)
    version = serving.write_version(model, tmp_path / "1", {"points": points} if keyed else points)
    found = _specs(version)
    assert (set(found[0]), set(found[1])) == (inputs, outputs)
    want = points @ model.dense.kernel.numpy() + model.dense.bias.numpy()
    served = _served(version, {"points": points})
    np.testing.assert_allclose(served[min(outputs)], want, rtol=1e-5, atol=1e-6)


def test_a_sequential_model_without_input_is_built_by_the_examples(tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Dense(2), keras.layers.ReLU(name="positive")])
    version = serving.write_version(model, tmp_path / "1", _random(4, 3))
    inputs, outputs = _specs(version)
    assert list(inputs.values()) == [("float32", (None, 3))]
    assert outputs == {"positive": ("float32", (None, 2))}


def test_a_layer_used_twice_gives_two_names(tmp_path: Path) -> None:
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    shared = keras.layers.Dense(2, name="shared")
    model = keras.Model({"left": left, "right": right}, [shared(left), shared(right)])
    examples = {"left": _random(2, 3), "right": -_random(2, 3)}
    served = _served(serving.write_version(model, tmp_path / "1", examples), examples)
    kernel = shared.kernel.numpy()
    np.testing.assert_allclose(served["shared"], examples["left"] @ kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(served["shared_1"], examples["right"] @ kernel, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_kept_and_verified_within_its_rounding(tmp_path: Path, policy: str) -> None:
    half = policy.removeprefix("mixed_")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            layers.SymmetricConv2D(4, 3, symmetry="hv", dtype=policy, activation="relu"),
            keras.layers.Conv2D(2, 3, dtype=policy, name="half"),
        ]
    )
    version = serving.write_version(model, tmp_path / "1", _random(4, 8, 8, 3))
    assert _specs(version)[1] == {"half": (half, (None, 4, 4, 2))}
    report = serving.verify(version)
    assert report.ok, report.problems
    [comparison] = report.comparisons
    recorded = _examples.load(version, read(version).signatures)["serving_default"].outputs["half"]
    assert recorded.dtype.name == half
    rounding = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[half]
    assert comparison.allowed == pytest.approx(8 * rounding * np.abs(recorded.astype("float64")).max())


@pytest.mark.parametrize(
    "options",
    [
        {"symmetry": "hv"},
        {"symmetry": "d4", "groups": 2},
        {"symmetry": "h", "strides": 2, "padding": "same"},
        {"symmetry": "circular", "dilation_rate": 2},
    ],
)
def test_symmetric_layers_are_served_without_their_code(tmp_path: Path, options: dict[str, Any]) -> None:
    model = keras.Sequential(
        [
            keras.Input((12, 12, 4), name="image"),
            layers.SymmetricConv2D(8, 3, **options),
            keras.layers.GlobalAveragePooling2D(name="mean"),
        ]
    )
    version = serving.write_version(model, tmp_path / "1", _random(4, 12, 12, 4))
    report = serving.verify(version)
    assert report.ok, report.problems
    batch = _random(2, 12, 12, 4)
    want = model.predict(batch, verbose=0)
    np.testing.assert_allclose(_served(version, {"image": batch})["mean"], want, rtol=1e-5, atol=1e-6)


@tf.function(jit_compile=True)
def _compiled(inputs: tf.Tensor) -> tf.Tensor:
    return -inputs


class Compiled(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return _compiled(inputs)


class Callback(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(np.negative, [inputs], tf.float32), inputs.shape)


@pytest.mark.parametrize(
    ("shape", "layer", "message"),
    [
        ((3,), lambda: Compiled(name="fast"), "demand XLA.*layer 'fast'"),
        ((3,), lambda: Callback(name="python"), "call back to Python.*layer 'python'"),
    ],
)
def test_layers_that_the_stock_server_does_not_run_are_named(tmp_path: Path, shape, layer, message: str) -> None:
    model = keras.Sequential([keras.Input(shape), keras.layers.ReLU(), layer()])
    with pytest.raises(ValueError, match=message):
        serving.write_version(model, tmp_path / "1", _random(2, *shape))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("examples", "error", "message"),
    [
        (np.zeros((0, 8, 8, 3), "float32"), ValueError, r"one size above 0. Received: sizes=\[0\]"),
        (np.zeros((2, 8, 8, 4), "float32"), ValueError, r"must be \(None, 8, 8, 3\). Received: shape=\(2, 8, 8, 4\)"),
        (np.zeros((8, 8, 3), "float32"), ValueError, r"Received: shape=\(8, 8, 3\)"),
        (np.zeros((2, 8, 8, 3), "complex64"), TypeError, "must be float32. Received: dtype=complex64"),
        (np.full((2, 8, 8, 3), "a"), TypeError, "must be float32. Received: dtype=<U1"),
        ([np.zeros((2, 8, 8, 3), "float32")] * 2, ValueError, r"each of the inputs \['image'\]. Received: 2"),
        ({"picture": np.zeros((2, 8, 8, 4), "float32")}, ValueError, "Received: shape"),
        ([[1.0, 2.0]], TypeError, "list or dict of arrays. Received: float"),
    ],
)
def test_examples_that_do_not_fit_are_refused(tmp_path: Path, model, examples, error, message: str) -> None:
    with pytest.raises(error, match=message):
        serving.write_version(model, tmp_path / "1", examples)
    assert list(tmp_path.iterdir()) == []


def test_examples_of_unequal_batches_are_refused(tmp_path: Path) -> None:
    model, examples = _many()
    with pytest.raises(ValueError, match=r"sizes=\[2, 3\]"):
        serving.write_version(model, tmp_path / "1", {**examples, "word": examples["word"][:2]})


def test_what_is_no_model_or_no_signature_is_refused(tmp_path: Path, model, images) -> None:
    with pytest.raises(TypeError, match=r"must be a keras.Model"):
        serving.write_version(keras.layers.Dense(2), tmp_path / "1", images)
    spaced = keras.Input((3,), name="two words")
    with pytest.raises(ValueError, match="name='two words'"):
        serving.write_version(keras.Model(spaced, keras.layers.ReLU()(spaced)), tmp_path / "1", _random(2, 3))
    sparse = keras.Input((3,), sparse=True)
    with pytest.raises(TypeError, match="dense tensors"):
        serving.write_version(keras.Model(sparse, keras.layers.Dense(2)(sparse)), tmp_path / "1", _random(2, 3))
    with pytest.raises(ValueError, match="version number"):
        serving.write_version(model, tmp_path / "latest", images)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_version_stays_as_it_is(version: Path, model, images) -> None:
    before = {path: path.stat().st_mtime_ns for path in version.rglob("*")}
    with pytest.raises(FileExistsError):
        serving.write_version(model, version, images)
    assert {path: path.stat().st_mtime_ns for path in version.rglob("*")} == before
    assert [path.name for path in version.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("step", ["save", "load"])
def test_an_export_that_fails_midway_leaves_nothing(tmp_path: Path, monkeypatch, model, images, step: str) -> None:
    seen = []

    def fail(directory: Path, *arguments: Any) -> None:
        seen.extend(path.name for path in directory.iterdir())
        raise OSError("no space left on device")

    monkeypatch.setattr(_export._examples, step, fail)
    with pytest.raises(OSError, match="no space"):
        serving.write_version(model, tmp_path / "base" / "1", images)
    assert "saved_model.pb" in seen
    assert list(tmp_path.iterdir()) == []
