"""1,000 malformed requests: each gets an answer, the server lives after each, and works as before at the end."""

from pathlib import Path

import grpc
import pytest
import requests
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc

from tests.serving import served_models
from tests.serving.server import malformed
from tests.serving.server.model_server import ModelServer, assert_close
from tf_symconv import serving

COUNT = 1000
DEADLINE = 60  # seconds


def _by_rest(session: requests.Session, server: ModelServer, request: malformed.Request) -> bool:
    url = f"{server.targets['rest']}/v1/models/{request.path}"
    reply = session.post(url, data=request.body, timeout=DEADLINE)
    assert reply.ok or reply.status_code in (400, 404, 405, 500, 501), f"{request.kind}: {reply.status_code}"
    return reply.ok


def _by_grpc(stub, request: malformed.Request) -> bool:
    spec = model_pb2.ModelSpec(name=malformed.MODEL, signature_name=request.signature)
    try:
        stub.Predict(predict_pb2.PredictRequest(model_spec=spec, inputs=request.tensors), timeout=DEADLINE)
    except grpc.RpcError as error:
        assert error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), request.kind
        return False
    return True


@pytest.mark.parametrize("batching", [False, True])
def test_no_request_brings_the_server_down(tmp_path: Path, batching: bool) -> None:
    model = served_models.make_model()
    images = served_models.images(4)
    base = tmp_path / "model"
    serving.export(model, base, examples=images, labels=served_models.LABELS, image_bytes=True)
    flags = {"model_name": malformed.MODEL, "model_base_path": base}
    if batching:
        config = serving.write_config(tmp_path / "batching.config", serving.batching_config(8))
        flags |= {"enable_batching": "true", "batching_parameters_file": config}
    kinds = set()
    with ModelServer(malformed.MODEL, **flags) as server, requests.Session() as session:
        session.trust_env = False
        with grpc.insecure_channel(server.targets["grpc"], [("grpc.enable_http_proxy", 0)]) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for request in malformed.requests(COUNT, seed=int(batching)):
                try:
                    answered = _by_grpc(stub, request) if request.body is None else _by_rest(session, server, request)
                except requests.RequestException as error:
                    pytest.fail(f"{request.kind}: {error}\n{server.log()[-3000:]}")
                assert server.alive, f"{request.kind}\n{server.log()[-3000:]}"
                assert request.may_succeed or not answered, f"{request.kind} was answered"
                kinds.add(request.kind)
        assert len(kinds) > 100
        for way in ("rest", "grpc"):
            with server.client(way, model=malformed.MODEL) as client:
                assert_close(client.predict(images)["probabilities"], model.predict(images, verbose=0))
                assert_close(client.classify(images).scores, model.predict(images, verbose=0))
