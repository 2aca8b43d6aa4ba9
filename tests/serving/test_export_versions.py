"""Numbers of versions, what fails, what remains, exports at once; modules, sessions and other models."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import compat_v1, layers, modules, serving
from tf_symconv.serving import _export
from tf_symconv.serving._saved_model import read

v1 = tf.compat.v1


def names(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return keras.Sequential([keras.Input((5,), name="x"), keras.layers.Dense(2, name="y")])


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the verification, which is checked elsewhere."""
    monkeypatch.setattr(_export, "verify", lambda *_, **__: serving.Report("", "", ()))


@pytest.mark.usefixtures("unverified")
def test_versions_are_counted_and_the_oldest_go(tmp_path: Path, model: keras.Model) -> None:
    base = tmp_path / "new" / "base"
    assert serving.export(model, base) == base / "1"
    assert serving.export(model, base, version=9) == base / "9"
    (base / "0012x").mkdir()  # no version
    (base / "notes.txt").touch()
    assert serving.export(model, base).name == "10"
    assert serving.export(model, base, version=5, keep=2).name == "5"
    assert names(base) == ["0012x", "10", "5", "notes.txt"]  # 5 is older, but has just been asked for
    assert serving.export(model, base, keep=1).name == "11"
    assert names(base) == ["0012x", "11", "notes.txt"]
    with pytest.raises(FileExistsError, match="must not exist yet"):
        serving.export(model, base, version=11)
    for version in (True, "3", 2**63):
        with pytest.raises(ValueError, match="version must be an integer from 0 up"):
            serving.export(model, base, version=version)  # pyright: ignore[reportArgumentType]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file"):
        serving.export(model, tmp_path / "file")


def test_what_does_not_verify_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.SymmetricConv2D(2, 3), keras.layers.Flatten()])
    original = _export.make_core

    def wrong(*arguments: Any) -> Any:
        core = original(*arguments)
        kernel: Any = model.layers[0]
        kernel.latent.assign(kernel.latent * 1.0001)  # The model changes after its kernels are baked.
        return core

    monkeypatch.setattr(_export, "make_core", wrong)
    with pytest.raises(serving.ExportError, match=r"must pass its verification.*off by .*, allowed") as caught:
        serving.export(model, tmp_path / "base")
    assert not caught.value.report.ok
    assert names(tmp_path) == []
    assert serving.export(model, tmp_path / "base", tolerance=1e-2).name == "1"


EXPORTER = """
import sys
import keras
from tf_symconv import serving
model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
for _ in range(2):
    serving.export(model, sys.argv[1])
"""


def test_whole_exports_at_once_do_not_collide(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EXPORTER, str(tmp_path)]
    writers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [writer.wait(300) for writer in writers] == [0, 0]
    assert names(tmp_path) == ["1", "2", "3", "4"]
    for number in names(tmp_path):
        assert list(read(tmp_path / number).signatures) == ["serving_default"]


def answer(version: Path, **inputs: Any) -> dict[str, np.ndarray]:
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    return {name: tensor.numpy() for name, tensor in signature(**inputs).items()}


@pytest.mark.parametrize("kernels", ["auto", "trainable"])
def test_modules_are_exported(tmp_path: Path, kernels: str) -> None:
    module = modules.SymmetricConv2D(4, 3, symmetry="d4", padding="same", name="conv")
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")
    with pytest.raises(ValueError, match="examples must be given for a model that does not tell the shapes"):
        serving.export(module, tmp_path)
    version = serving.export(module, tmp_path, examples=images, kernels=kernels)
    np.testing.assert_allclose(
        answer(version, inputs=tf.constant(images))["conv"], module(images), rtol=1e-4, atol=1e-6
    )
    loaded = tf.saved_model.load(str(version))
    shapes = [tuple(variable.shape) for variable in loaded.trainable_variables]
    assert sorted(shapes) == ([] if kernels == "auto" else [(3, 2, 4), (4,)])


class Pair(tf.Module):
    """A module with names of its own, and a switch for training."""

    def __call__(self, pair: dict[str, tf.Tensor], training: bool = True) -> dict[str, tf.Tensor]:
        return {"sum": pair["a"] + pair["b"] if not training else pair["a"]}


class Told(keras.Model):
    """A subclassed model that is built, and so tells the shape of its input."""

    def __init__(self) -> None:
        super().__init__(name="told")
        self.dense = keras.layers.Dense(2)

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)

    def call(self, points: Any) -> Any:
        return {"logits": self.dense(points)}


@pytest.mark.usefixtures("unverified")
def test_names_of_modules_and_of_built_subclassed_models(tmp_path: Path) -> None:
    one = np.ones((2, 3), "float32")
    version = serving.export(Pair(), tmp_path, examples={"a": one, "b": one})
    np.testing.assert_array_equal(answer(version, a=tf.constant(one), b=tf.constant(one))["sum"], 2 * one)
    told = Told()
    with pytest.raises(ValueError, match="examples must be given"):
        serving.export(told, tmp_path)
    told(np.ones((4, 5), "float32"))
    signature = read(serving.export(told, tmp_path)).signatures["serving_default"]
    assert {name: spec.shape for name, spec in signature.inputs.items()} == {"points": (None, 5)}
    assert {name: spec.shape for name, spec in signature.outputs.items()} == {"logits": (None, 2)}
    for wrong in (keras.layers.Dense(2), tf.Module(), "model.keras"):
        with pytest.raises(TypeError, match=r"must be a keras.Model or a tf.Module with a __call__"):
            serving.export(wrong, tmp_path)


def test_tables_and_what_no_graph_can_hold_come_along(tmp_path: Path) -> None:
    word = keras.Input((), dtype="string", name="word")
    index = keras.layers.StringLookup(vocabulary=["a", "b"], name="index")(word)
    model = keras.Model(word, keras.layers.Embedding(4, 2, name="vector")(index))
    words = np.array(["b", "none", "a"])
    version = serving.export(model, tmp_path, examples=words)
    got = answer(version, word=tf.constant(words))["vector"]
    np.testing.assert_allclose(got, model(tf.constant(words)), rtol=1e-6)


def test_sessions_are_exported_with_baked_kernels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(3, 6, 6, 1)).astype("float32")
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 6, 6, 1], name="x")
        half = v1.get_variable("half", [2, 3, 1, 4])
        kernel = tf.concat([half, tf.reverse(half[:1], [0])], 0)
        scale = v1.get_variable("scale", [4], initializer=v1.random_uniform_initializer(0.5, 2))
        y = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID") * scale + 1.0, name="y")
        session.run(v1.global_variables_initializer())
        want = session.run(y, {x: images})
        signatures = {"serving_default": {"inputs": {"image": x}, "outputs": {"features": "y"}}}
        version = serving.export(session, tmp_path, signatures=signatures, warmup=True, keep=3)
        kept = serving.export(session, tmp_path, signatures=signatures, kernels="trainable")
        for bad in (None, ("serving_default",), {"serving_default": {"inputs": {"image": x}}}):
            with pytest.raises(ValueError, match="signatures of a session must be a dict of dicts"):
                serving.export(session, tmp_path, signatures=bad)
        with pytest.raises(ValueError, match="labels and image_bytes are for Keras models"):
            serving.export(session, tmp_path, signatures=signatures, labels=["a"])
    np.testing.assert_allclose(answer(version, image=tf.constant(images))["features"], want, rtol=1e-5, atol=1e-6)
    assert {"Conv2D", "BiasAdd", "Relu"} <= read(version).graph.ops
    assert not {"ReverseV2", "ConcatV2", "Mul", "VarHandleOp"} & read(version).graph.ops
    assert {"ReverseV2", "ConcatV2", "VarHandleOp"} <= read(kept).graph.ops

    graph = compat_v1.load_v1_saved_model(kept)
    again = serving.export(graph, tmp_path, examples={"image": images})
    np.testing.assert_allclose(answer(again, image=tf.constant(images))["features"], want, rtol=1e-5, atol=1e-6)
    assert not {"ReverseV2", "VarHandleOp"} & read(again).graph.ops
    with pytest.raises(ValueError, match="a V1Graph has its own signatures"):
        serving.export(graph, tmp_path, signatures=signatures)
    assert names(tmp_path) == ["1", "2", "3"]


def test_an_export_says_nothing(tmp_path: Path, model: keras.Model, capfd: pytest.CaptureFixture[str]) -> None:
    serving.export(model, tmp_path)
    out, err = capfd.readouterr()
    assert out == ""
    assert not re.search("INFO|WARNING|Assets written", err)
