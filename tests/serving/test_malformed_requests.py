"""The malformed requests of the server suite are what they claim to be: a stand-in refuses them."""

from collections import Counter
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import served_models
from tests.serving.server import malformed
from tests.serving.stand_in import StandIn
from tf_symconv import serving


def test_they_are_of_every_kind_and_the_same_in_every_run() -> None:
    found = list(malformed.requests(160))
    assert found[:48] == list(malformed.requests(48))
    assert found[:48] != list(malformed.requests(48, seed=1))
    kinds = Counter(request.kind.partition(" ")[0].rstrip(",") for request in found)
    wanted = {"rank", "shape", "ragged", "dtype", "value", "empty", "huge", "large", "base64", "truncated", "names"}
    assert wanted | {"broken", "examples", "gRPC"} == set(kinds)
    assert min(kinds.values()) >= 10


def test_a_stand_in_refuses_them(tmp_path: Path) -> None:
    model = served_models.make_model()
    served_models.save(model, tmp_path / "1")
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=malformed.MODEL, base_path=str(tmp_path))
    with StandIn(config) as server, requests.Session() as session:
        session.trust_env = False
        with grpc.insecure_channel(server.targets["grpc"], [("grpc.enable_http_proxy", 0)]) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for request in malformed.requests(48, seed=3):
                if request.body is None:
                    spec = model_pb2.ModelSpec(name=malformed.MODEL, signature_name=request.signature)
                    message = predict_pb2.PredictRequest(model_spec=spec, inputs=request.tensors)
                    if not request.may_succeed:
                        with pytest.raises(grpc.RpcError) as caught:
                            stub.Predict(message, timeout=60)
                        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, request.kind
                    continue
                url = f"{server.targets['rest']}/v1/models/{request.path}"
                reply = session.post(url, data=request.body, timeout=60)
                assert reply.status_code in (400, 404) or (reply.ok and request.may_succeed), request.kind
        images = served_models.images(2)
        with serving.Client(server.targets["rest"], model=malformed.MODEL) as client:
            answer = client.predict(images)["probabilities"]
    np.testing.assert_allclose(answer, model.predict(images, verbose=0), rtol=1e-5)
