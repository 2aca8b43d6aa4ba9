"""The client against a stand-in that speaks the protocol: the same answers by REST and gRPC, equal to Keras."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import served_models
from tests.serving.stand_in import StandIn
from tf_symconv import serving
from tf_symconv.serving import _client

BOTH = pytest.mark.parametrize("way", ["rest", "grpc"])


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return served_models.make_model()


@pytest.fixture(scope="module")
def base(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("digits")
    served_models.save(served_models.make_model(1), base / "1")
    served_models.save(model, base / "2")
    return base


@pytest.fixture(scope="module")
def running(base: Path) -> Iterator[StandIn]:
    config = model_server_config_pb2.ModelServerConfig()
    entry = config.model_config_list.config.add(name="digits", base_path=str(base))
    entry.model_version_policy.all.SetInParent()
    entry.version_labels["stable"] = 1
    with StandIn(config) as server:
        yield server


@pytest.fixture
def server(running: StandIn) -> StandIn:
    running.faults.clear()
    running.calls.clear()
    return running


@pytest.fixture
def client(server: StandIn, way: str) -> Iterator[serving.Client]:
    with serving.Client(server.targets[way], model="digits") as client:
        yield client


@BOTH
def test_answers_are_those_of_keras(client: serving.Client, model: keras.Model, way: str) -> None:
    images = served_models.images(5)
    answer = client.predict(images)
    assert list(answer) == ["probabilities"]
    assert answer["probabilities"].dtype == np.float32
    np.testing.assert_allclose(answer["probabilities"], model.predict(images, verbose=0), rtol=1e-6)
    named = client.predict({"image": images.astype("float64")})
    np.testing.assert_array_equal(named["probabilities"], answer["probabilities"])


@BOTH
def test_classes_and_scores(client: serving.Client, model: keras.Model, way: str) -> None:
    images = served_models.images(3)
    for inputs in (images, {"image": images}):
        found = client.classify(inputs)
        np.testing.assert_allclose(found.scores, model.predict(images, verbose=0), rtol=1e-6)
        assert found.labels.tolist() == [list(served_models.LABELS)] * 3
    assert found.scores.dtype == np.float32


@BOTH
def test_values_of_examples(client: serving.Client, way: str) -> None:
    images = served_models.images(3)
    values = client.regress(images.astype("float64"))
    np.testing.assert_allclose(values, images.sum((1, 2, 3)), rtol=1e-5)
    assert (values.dtype, values.shape) == (np.float32, (3,))
    ones = client.regress({"image": np.ones((1, 8, 8, 1), int)})  # Integers are cast as the model's input wants it.
    np.testing.assert_allclose(ones, [64])
    with pytest.raises(serving.ServingError, match="INVALID_ARGUMENT"):
        client.regress({"picture": images})


@BOTH
def test_encoded_images(client: serving.Client, model: keras.Model, way: str) -> None:
    images = served_models.images(4)
    encoded = np.array([served_models.png(image) for image in images], object)
    answer = client.predict(encoded, signature="serving_bytes")["probabilities"]
    np.testing.assert_allclose(answer, model.predict(images, verbose=0), rtol=1e-5)


@BOTH
def test_types_and_shapes_come_back_as_they_are(client: serving.Client, way: str) -> None:
    x = np.array([[0.1, np.inf], [-3e38, np.nan], [1e-30, 16777216.0]], "float32")
    n = np.array([1, 2, -7])  # int64, as NumPy makes them; the signature wants int32
    answer = client.predict({"x": x, "n": n, "word": ["a", "\u00e9", ""]}, signature="many")
    want: dict[str, Any] = {
        "sum": x + n.astype("float32")[:, None],
        "n": n.astype("int32") + 1,
        "wide": n * 2**40,
        "large": n > 1,
        "half": x.astype("float64") / 4,
        "word": np.array([b"a", "\u00e9".encode(), b""], object),
        "raw_bytes": np.array([b"a\xff\x00", "\u00e9".encode() + b"\xff\x00", b"\xff\x00"], object),
    }
    assert set(answer) == set(want)
    for name, array in want.items():
        assert answer[name].dtype == array.dtype, name
        np.testing.assert_array_equal(answer[name], array)
    few = client.predict({"x": x, "n": n, "word": ["a", "b", "c"]}, signature="many", outputs=["n"])
    assert list(few) == ["n"]


def test_an_empty_batch_goes_by_grpc_alone(server: StandIn) -> None:
    empty = {"x": np.zeros((0, 2)), "n": np.zeros(0, int), "word": np.zeros(0, str)}
    with serving.Client(server.targets["grpc"], model="digits") as client:
        answer = client.predict(empty, signature="many")
        assert (answer["sum"].shape, answer["word"].shape) == ((0, 2), (0,))
    with serving.Client(server.targets["rest"], model="digits") as client:
        with pytest.raises(serving.ServingError, match="INVALID_ARGUMENT"):  # [] is all that JSON has for it.
            client.predict(empty, signature="many")
        answer = client.predict(empty["word"], signature="serving_bytes")
        assert answer["probabilities"].shape == (0, 3)


@BOTH
def test_metadata_tells_the_signatures(client: serving.Client, base: Path, way: str) -> None:
    found = client.metadata()
    assert (found.model, found.version) == ("digits", 2)
    assert set(found.signatures) == {"serving_default", "classify", "regress", "serving_bytes", "many"}
    assert found.signatures["classify"].method == "tensorflow/serving/classify"
    spec = found.signatures["serving_default"].inputs["image"]
    assert (spec.dtype, spec.shape) == ("float32", (None, 8, 8, 1))
    many = {name: (spec.dtype, spec.shape) for name, spec in found.signatures["many"].outputs.items()}
    assert many["half"] == ("float64", (None, 2))
    assert many["large"] == ("bool", (None,))
    assert many["word"] == ("string", (None,))


@BOTH
def test_versions_and_labels(server: StandIn, way: str) -> None:
    images = served_models.images(2)
    old = served_models.make_model(1).predict(images, verbose=0)
    target = server.targets[way]
    for which in ({"version": 1}, {"label": "stable"}):
        with serving.Client(target, model="digits", **which) as client:
            np.testing.assert_allclose(client.predict(images)["probabilities"], old, rtol=1e-6)
            assert client.metadata().version == 1
            assert [(one.version, one.state, one.available) for one in client.status()] == [(1, "AVAILABLE", True)]
            assert client.wait_ready(5) == 1
    with serving.Client(target, model="digits") as client:
        assert [one.version for one in client.status()] == [2, 1]
        assert client.wait_ready(5) == 2
    with serving.Client(target, model="digits", version=9) as client:
        with pytest.raises(serving.ServingError) as caught:
            client.predict(images)
        assert caught.value.code == "NOT_FOUND"


def test_the_url_of_a_model_is_a_target(server: StandIn) -> None:
    with serving.Client(f"{server.targets['rest']}/v1/models/digits/labels/stable") as client:
        assert client.metadata().version == 1
    with serving.Client(f"{server.targets['rest']}/v1/models/digits/", version=2) as client:
        assert client.metadata().version == 2


@BOTH
@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_busy_servers_are_asked_again(client: serving.Client, server: StandIn, way: str, code: str) -> None:
    images = served_models.images(1)
    client.predict(images)
    server.calls.clear()
    server.faults.extend([code, code])
    assert client.predict(images)["probabilities"].shape == (1, 3)
    assert server.calls["predict"] == 3


@BOTH
def test_attempts_end(server: StandIn, way: str) -> None:
    images = served_models.images(1)
    with serving.Client(server.targets[way], model="digits", retries=2) as client:
        client.predict(images)
        server.calls.clear()
        server.faults.extend(["UNAVAILABLE"] * 9)
        with pytest.raises(serving.ServingError, match=r"UNAVAILABLE: .*\(3 attempts\)"):
            client.predict(images)
        assert server.calls["predict"] == 3
    server.faults.clear()
    server.calls.clear()
    server.faults.extend(["UNAVAILABLE"] * 99)
    with serving.Client(server.targets[way], model="digits", retries=98) as client:
        start = time.monotonic()
        with pytest.raises(serving.ServingError, match="UNAVAILABLE"):
            client.metadata(timeout=0.5)
        assert time.monotonic() - start < 5  # Not the minutes that 98 pauses take.
    assert 1 < server.calls["metadata"] < 20


@BOTH
def test_pauses_grow(client: serving.Client, server: StandIn, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(_client.time, "sleep", pauses.append)
    monkeypatch.setattr(_client.random, "uniform", lambda low, high: 1.0)
    server.faults.extend(["UNAVAILABLE"] * 8)
    client.metadata()
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


@BOTH
@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL", "UNIMPLEMENTED"])
def test_other_refusals_are_final(client: serving.Client, server: StandIn, way: str, code: str) -> None:
    server.faults.append(code)
    with pytest.raises(serving.ServingError, match=f"{code}: as the test wants it") as caught:
        client.metadata()
    assert caught.value.code == code
    assert server.calls["metadata"] == 1


@BOTH
def test_deadlines(client: serving.Client, server: StandIn, way: str) -> None:
    images = served_models.images(1)
    client.predict(images)
    server.faults.append(3.0)
    start = time.monotonic()
    with pytest.raises(serving.ServingError) as caught:
        client.predict(images, timeout=0.3)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - start < 2.5


@BOTH
def test_a_refused_request_tells_why(client: serving.Client, way: str) -> None:
    with pytest.raises(serving.ServingError, match="not compatible with expected shape") as caught:
        client.predict(np.zeros((2, 9, 8, 1), "float32"))
    assert caught.value.code == "INVALID_ARGUMENT"
    with pytest.raises(serving.ServingError, match=r"has the signatures .*'classify'.*, not 'other'"):
        client.predict(np.zeros((2, 8, 8, 1)), signature="other")
    with pytest.raises(serving.ServingError, match="Expected signature method_name") as caught:
        client.classify(np.zeros((2, 8, 8, 1)), signature="serving_default")


@BOTH
def test_requests_that_do_not_fit_the_signature_are_not_sent(client: serving.Client, server: StandIn, way: str) -> None:
    client.metadata()
    server.calls.clear()
    cases = [
        (lambda: client.predict({"picture": np.zeros(1)}), ValueError, r"\['image'\]. Received: \['picture'\]"),
        (lambda: client.predict(np.zeros(1), signature="many"), ValueError, "takes a dict of"),
        (lambda: client.predict(np.zeros((1, 8, 8, 1)), outputs=["logits"]), ValueError, r"Received: \['logits'\]"),
        (lambda: client.predict(np.array(["a"])), TypeError, "'image' must be float32. Received: dtype=<U1"),
        (lambda: client.predict(np.zeros(1), signature="serving_bytes"), TypeError, "must be string"),
        (
            lambda: client.predict({"x": np.zeros((1, 2)), "n": [1.5], "word": ["a"]}, signature="many"),
            TypeError,
            "'n' must be int32. Received: dtype=float64",
        ),
        (
            lambda: client.predict({"x": np.zeros((1, 2)), "n": [2**31], "word": ["a"]}, signature="many"),
            TypeError,
            "'n' must be int32. Received: dtype=int64",
        ),
        (lambda: client.classify(np.full((1, 8, 8, 1), "a")), TypeError, "'image' must be float32"),
        (lambda: client.classify({"a": np.zeros(2), "b": np.zeros(3)}), ValueError, r"rows=\[2, 3\]"),
        (lambda: client.classify(np.zeros((0, 8, 8, 1))), ValueError, r"rows=\[0\]"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
    assert server.calls["predict"] == server.calls["classify"] == 0


@BOTH
def test_many_threads_share_a_client(client: serving.Client, model: keras.Model, server: StandIn, way: str) -> None:
    images = served_models.images(64)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda image: client.predict(image[None])["probabilities"][0], images))
    np.testing.assert_allclose(answers, model.predict(images, verbose=0), rtol=1e-5)
    assert server.calls["metadata"] == 1


def test_threads_do_not_wait_for_each_other_beyond_their_deadlines(server: StandIn) -> None:
    server.faults.extend([2.0])  # The first one to ask for the signatures waits.
    with serving.Client(server.targets["grpc"], model="digits") as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.predict, served_models.images(1))
        while not server.calls["metadata"]:
            time.sleep(0.01)
        with pytest.raises(serving.ServingError, match="DEADLINE_EXCEEDED"):
            client.predict(served_models.images(1), timeout=0.2)
        assert first.result()["probabilities"].shape == (1, 3)


def test_more_clients_than_the_server_has_threads(base: Path, model: keras.Model) -> None:
    images = served_models.images(48)
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name="model", base_path=str(base))
    with StandIn(config, threads=2) as server, ThreadPoolExecutor(48) as pool:
        start = threading.Barrier(48)
        with serving.Client(server.targets["grpc"], timeout=60, retries=200) as client:
            client.metadata()
            server.faults.extend([0.02] * 48)  # So that they meet.

            def ask(index: int) -> np.ndarray:
                start.wait()
                return client.predict(images[index : index + 1])["probabilities"][0]

            answers = list(pool.map(ask, range(48)))
        np.testing.assert_allclose(answers, model.predict(images, verbose=0), rtol=1e-5)
        with serving.Client(server.targets["grpc"], retries=0) as client:
            client.metadata()
            server.faults.extend([0.02] * 48)
            refused = [pool.submit(ask, index) for index in range(48)]
            codes = {error.code for future in refused if isinstance(error := future.exception(), serving.ServingError)}
    assert codes == {"RESOURCE_EXHAUSTED"}


@BOTH
def test_waiting_for_a_server_that_comes_later(base: Path, way: str) -> None:
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name="model", base_path=str(base))
    with StandIn(config) as first:
        ports = {"port": first.port, "rest_port": first.rest_port}
    with serving.Client(first.targets[way], retries=0) as client:
        with pytest.raises(serving.ServingError) as caught:
            client.metadata(timeout=5)
        assert caught.value.code == "UNAVAILABLE"
        with pytest.raises(serving.ServingError, match=r"model is not ready after 0\.3 s: UNAVAILABLE"):
            client.wait_ready(0.3)
        started: list[StandIn] = []
        timer = threading.Timer(0.5, lambda: started.append(StandIn(config, **ports)))
        timer.start()
        assert client.wait_ready(60) == 2
        timer.join()
        started[0].close()


@BOTH
def test_waiting_ends_when_the_model_cannot_be_loaded(tmp_path: Path, way: str) -> None:
    (tmp_path / "1").mkdir()
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name="model", base_path=str(tmp_path))
    with StandIn(config) as server, serving.Client(server.targets[way]) as client:
        with pytest.raises(serving.ServingError, match="version 1 failed to load: no SavedModel"):
            client.wait_ready(60)
        assert [(one.state, one.error_code) for one in client.status()] == [("END", "INTERNAL")]
    with (
        StandIn(config) as server,
        serving.Client(server.targets[way], model="other") as client,
        pytest.raises(serving.ServingError, match=r"other is not ready after 0\.3 s: NOT_FOUND"),
    ):
        client.wait_ready(0.3)


@BOTH
def test_signatures_are_asked_for_again_after_a_refusal(server: StandIn, client: serving.Client, way: str) -> None:
    images = served_models.images(1)
    client.predict(images)
    server.faults.append("INVALID_ARGUMENT")
    with pytest.raises(serving.ServingError):
        client.predict(images)
    client.predict(images)
    assert server.calls["metadata"] == 2


class _Stranger(BaseHTTPRequestHandler):
    """A web server of another kind."""

    answers: ClassVar[Iterator[tuple[int, bytes]]] = iter(())
    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        status, body = next(self.answers)
        self.seen.append(self.headers["X-Token"])
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Stay quiet."""


def test_what_is_no_model_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(200, b"<html>"), (200, b"[]"), (200, b"{}"), (418, b"teapot"), (502, b""), (404, b'{"error": "none"}')]
    monkeypatch.setattr(_Stranger, "answers", iter(answers))
    with HTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        target = f"http://127.0.0.1:{server.server_address[1]}"
        with serving.Client(target, retries=0, headers={"X-Token": "secret"}) as client:
            messages = []
            for _ in answers:
                with pytest.raises(serving.ServingError) as caught:
                    client.metadata()
                messages.append(str(caught.value).partition(target)[0] + str(caught.value).partition(target)[2])
        server.shutdown()
    assert messages == [
        "INTERNAL:  does not speak the REST interface of a server",
        "INTERNAL:  does not speak the REST interface of a server",
        "INTERNAL: the answer lacks the field 'model_spec'",
        "INTERNAL: teapot",
        "UNAVAILABLE: Bad Gateway",
        "NOT_FOUND: none",
    ]
    assert _Stranger.seen == ["secret"] * len(answers)


def test_a_closed_client_says_so(server: StandIn) -> None:
    client = serving.Client(server.targets["grpc"], model="digits")
    client.close()
    with pytest.raises(serving.ServingError, match="closed"):
        client.metadata()
