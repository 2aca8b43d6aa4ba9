"""Warm-up requests: what the server's own protocol buffers make of them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import serving
from tf_symconv.serving import _examples
from tf_symconv.serving._saved_model import read


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = keras.Input((4, 4, 3), name="image")
    scale = keras.Input((1,), name="scale")
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model([image, scale], keras.layers.Dense(2, name="scores")(keras.layers.Multiply()([pooled, scale])))
    base = tmp_path_factory.mktemp("x") / "pets"
    return serving.export(model, base, labels=["cat", "dog"], warmup=(1, 3, 2))


def records(version: Path) -> list[Any]:
    pytest.importorskip("tensorflow_serving", reason="the extra 'serving' is not installed")
    from tensorflow_serving.apis import prediction_log_pb2

    file = version / "assets.extra" / "tf_serving_warmup_requests"
    parse: Any = getattr(prediction_log_pb2, "PredictionLog").FromString  # noqa: B009  (made at run time)
    return [parse(record) for record in _raw(file)]


def _raw(file: Path) -> list[Any]:
    return [record.numpy() for record in tf.data.TFRecordDataset(str(file))]


def test_each_signature_is_warmed_up_with_each_batch_size(version: Path) -> None:
    found = []
    for log in records(version):
        kind = log.WhichOneof("log_type")
        request = getattr(log, kind).request
        assert request.model_spec.name == "pets"
        sizes = (
            {tf.make_ndarray(tensor).shape[0] for tensor in request.inputs.values()}
            if kind == "predict_log"
            else {len(request.input.example_list.examples)}
        )
        found.append((kind, request.model_spec.signature_name, *sizes))
    assert found == [
        (kind, name, size)
        for size in (1, 3, 2)
        for kind, name in (("predict_log", "serving_default"), ("classify_log", "classify"))
    ]


def test_the_requests_are_the_examples_repeated(version: Path) -> None:
    recorded = _examples.load(version, read(version).signatures)
    logs = records(version)
    inputs = logs[2].predict_log.request.inputs  # a batch of 3 of the 2 examples
    assert set(inputs) == {"image", "scale"}
    for name, tensor in inputs.items():
        want = recorded["serving_default"].inputs[name]
        np.testing.assert_array_equal(tf.make_ndarray(tensor), want[[0, 1, 0]])
        assert tensor.dtype == tf.float32.as_datatype_enum
    [example] = logs[1].classify_log.request.input.example_list.examples
    want = recorded["serving_default"].inputs["image"][0]
    np.testing.assert_array_equal(example.features.feature["image"].float_list.value, want.ravel())


def test_the_server_could_answer_them(version: Path) -> None:
    loaded = tf.saved_model.load(str(version))
    for log in records(version)[::2]:
        request = log.predict_log.request
        feeds = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        assert np.isfinite(loaded.signatures[request.model_spec.signature_name](**feeds)["scores"]).all()


def test_no_warm_up_unless_asked_for(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    bare = serving.export(model, tmp_path)
    assert [file.name for file in (bare / "assets.extra").iterdir()] == ["symconv_examples.npz"]
    whole = serving.export(model, tmp_path, warmup=True)
    assert len(_raw(whole / "assets.extra" / "tf_serving_warmup_requests")) == 2
