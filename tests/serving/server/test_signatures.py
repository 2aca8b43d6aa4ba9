"""What one exported model offers: its signatures, metadata, states, warm-up and metrics."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.serving import served_models
from tests.serving.server.model_server import ModelServer, assert_close
from tf_symconv import serving

BOTH = pytest.mark.parametrize("way", ["rest", "grpc"])


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return served_models.make_model()


@pytest.fixture(scope="module")
def server(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    base = tmp_path_factory.mktemp("signatures")
    images = served_models.images(3)
    serving.export(
        model, base / "digits", examples=images, labels=served_models.LABELS, image_bytes=True, warmup=[1, 4]
    )
    value = keras.Sequential([keras.Input((8, 8, 1), name="image"), keras.layers.Flatten(), keras.layers.Dense(1)])
    serving.export(value, base / "value", examples=images, signatures=["serving_default", "regress"])
    models = [serving.ServedModel(base / name, name) for name in ("digits", "value")]
    config = serving.write_config(base / "models.config", serving.model_config(*models))
    monitoring = serving.write_config(base / "monitoring.config", serving.monitoring_config())
    with ModelServer("digits", "value", model_config_file=config, monitoring_config_file=monitoring) as server:
        yield server


@BOTH
def test_classify(server: ModelServer, model: keras.Model, way: str) -> None:
    images = served_models.images(5)
    with server.client(way, model="digits") as client:
        found = client.classify(images)
    assert_close(found.scores, model.predict(images, verbose=0))
    assert found.labels.tolist() == [list(served_models.LABELS)] * 5


@BOTH
def test_regress(server: ModelServer, way: str) -> None:
    images = served_models.images(5)
    with server.client(way, model="value") as client:
        values = client.regress(images)
        [want] = client.predict(images).values()
    assert_close(values, want[:, 0])


@BOTH
def test_serving_bytes(server: ModelServer, model: keras.Model, way: str) -> None:
    images = served_models.images(4)
    encoded = np.array([served_models.png(image) for image in images], object)
    with server.client(way, model="digits") as client:
        [answer] = client.predict(encoded, signature="serving_bytes").values()
        assert_close(answer, model.predict(images, verbose=0))
        other = np.array([served_models.jpeg_size(20, 11)], object)
        [answer] = client.predict(other, signature="serving_bytes").values()
        assert answer.shape == (1, 3)
        with pytest.raises(serving.ServingError, match="INVALID_ARGUMENT"):
            client.predict(np.array([encoded[0][:50]], object), signature="serving_bytes")


@BOTH
def test_metadata(server: ModelServer, way: str) -> None:
    with server.client(way, model="digits") as client:
        found = client.metadata()
    assert (found.model, found.version) == ("digits", 1)
    assert set(found.signatures) == {"serving_default", "classify", "serving_bytes"}
    methods = {name: signature.method.rpartition("/")[2] for name, signature in found.signatures.items()}
    assert methods == {"serving_default": "predict", "classify": "classify", "serving_bytes": "predict"}
    inputs, outputs = found.signatures["serving_default"].inputs, found.signatures["serving_default"].outputs
    assert {name: (spec.dtype, spec.shape) for name, spec in inputs.items()} == {"image": ("float32", (None, 8, 8, 1))}
    assert {name: (spec.dtype, spec.shape) for name, spec in outputs.items()} == {
        "probabilities": ("float32", (None, 3))
    }


@BOTH
def test_status(server: ModelServer, way: str) -> None:
    with server.client(way, model="digits") as client:
        [state] = client.status()
        assert (state.version, state.state, state.error_code) == (1, "AVAILABLE", "OK")
    for wrong in ({"model": "none"}, {"model": "digits", "version": 9}):
        with server.client(way, **wrong) as client, pytest.raises(serving.ServingError, match="NOT_FOUND"):
            client.status()


def test_the_warm_up_is_read(server: ModelServer) -> None:
    assert "Number of warmup records read: 6" in server.log()  # Three signatures, two batch sizes each.


def test_metrics(server: ModelServer, model: keras.Model) -> None:
    with server.client("grpc", model="digits") as client:
        client.predict(served_models.images(1))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{server.targets['rest']}/monitoring/prometheus/metrics", timeout=60) as reply:
        text = reply.read().decode()
    counts = (
        "request_count",
        "request_latency_count",
        "runtime_latency_count",
    )  # Which there are depends on the version.
    lines = [
        line for line in text.splitlines() if line.startswith(tuple(f":tensorflow:serving:{name}{{" for name in counts))
    ]
    assert any('"digits"' in line and float(line.rpartition(" ")[2]) >= 1 for line in lines)


def test_damaged_warm_up_keeps_a_version_from_being_served(model: keras.Model, tmp_path: Path) -> None:
    """The server does read the records: one that asks for a signature that is not there stops the load."""
    version = serving.export(model, tmp_path / "model", examples=served_models.images(2), warmup=True)
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    file.write_bytes(file.read_bytes()[:-10])
    server = ModelServer(model_name="model", model_base_path=version.parent, max_num_load_retries=0)
    with server, server.client("rest", retries=0) as client, pytest.raises(serving.ServingError):
        client.wait_ready(20)
