#!/usr/bin/env python3
"""A stand-in for ``tensorflow_model_server``: the same protocol, with TensorFlow's C API behind it.

In the same process it serves the tests of the client. As a program it takes the flags of the server, so that the suite
in ``tests/serving/server`` can be tried where there is no server: that shows that the suite works, and nothing about
TensorFlow Serving.

    TENSORFLOW_MODEL_SERVER=tests/serving/stand_in.py pytest -n 0 tests/serving/server
"""

import argparse
import collections
import json
import re
import sys
import threading
import time
import urllib.parse
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import grpc
import tensorflow as tf
from google.protobuf import json_format, text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import stand_in_json
from tests.serving.stand_in_core import Core, Refusal

_URL = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(:(?P<method>predict|classify|regress)|(?P<metadata>/metadata))?"
)
_HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_NUMBERS = {code.name: code.value[0] for code in grpc.StatusCode}


class StandIn:
    """A server on free ports of the loopback interface, unless others are given.

    ``faults`` holds what the next calls get instead of an answer: a status code, or seconds to wait before the answer.
    """

    def __init__(
        self, config, *, port=0, rest_port=0, allow_labels=True, threads=32, metrics=None, log=lambda line: None
    ):
        self.core = Core(config, allow_labels, log=log)
        self.faults: collections.deque[str | float] = collections.deque()
        self.calls: collections.Counter[str] = collections.Counter()
        self.metrics = metrics
        self._grpc = grpc.server(
            futures.ThreadPoolExecutor(threads),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
            maximum_concurrent_rpcs=threads,
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(self), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(self), self._grpc)
        self.port = self._grpc.add_insecure_port(f"127.0.0.1:{port}")
        self._grpc.start()
        handler = type("Handler", (_Rest,), {"server_": self})
        self._http = _Http(("127.0.0.1", rest_port), handler)
        self.rest_port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def targets(self) -> dict[str, str]:
        return {"grpc": f"127.0.0.1:{self.port}", "rest": f"http://127.0.0.1:{self.rest_port}"}

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(0).wait()
        self.core.close()

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self, method: str) -> None:
        """Count a call, and let it fail or wait if it is its turn."""
        self.calls[method] += 1
        try:
            fault = self.faults.popleft()
        except IndexError:
            return
        if isinstance(fault, str):
            raise Refusal(fault, "as the test wants it")
        time.sleep(fault)

    def predict(self, request) -> Any:
        self.begin("predict")
        with self.core.counted(request.model_spec):
            servable = self.core.find(request.model_spec)
            try:
                if any(dim.size < 0 for tensor in request.inputs.values() for dim in tensor.tensor_shape.dim):
                    raise ValueError("a negative size")
                arrays = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            except (TypeError, ValueError) as error:
                raise Refusal("INVALID_ARGUMENT", f"tensor parsing error: {error}") from error
            found = servable.predict(request.model_spec.signature_name, arrays, list(request.output_filter))
        response = predict_pb2.PredictResponse(model_spec=_spec(servable))
        for name, array in found.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return response

    def classify(self, request) -> Any:
        self.begin("classify")
        with self.core.counted(request.model_spec):
            servable = self.core.find(request.model_spec)
            examples = [one.SerializeToString() for one in request.input.example_list.examples]
            rows = servable.classify(request.model_spec.signature_name, examples)
        response = classification_pb2.ClassificationResponse(model_spec=_spec(servable))
        for row in rows:
            classes = response.result.classifications.add().classes
            for label, score in row:
                classes.add(label=label, score=score)
        return response

    def regress(self, request) -> Any:
        self.begin("regress")
        with self.core.counted(request.model_spec):
            servable = self.core.find(request.model_spec)
            examples = [one.SerializeToString() for one in request.input.example_list.examples]
            values = servable.regress(request.model_spec.signature_name, examples)
        response = regression_pb2.RegressionResponse(model_spec=_spec(servable))
        for value in values:
            response.result.regressions.add(value=value)
        return response

    def metadata(self, request) -> Any:
        self.begin("metadata")
        servable = self.core.find(request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(servable))
        found = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
        response.metadata["signature_def"].Pack(found)
        return response

    def status(self, request) -> Any:
        self.begin("status")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, one in self.core.states(request.model_spec):
            found = response.model_version_status.add(version=version, state=one.state)
            found.status.error_code = _NUMBERS[one.code]
            found.status.error_message = one.message
        return response

    def reload(self, request) -> Any:
        self.begin("reload")
        self.core.reload(request.config)
        return model_management_pb2.ReloadConfigResponse()


def _spec(servable) -> Any:
    spec = model_pb2.ModelSpec(name=servable.name)
    spec.version.value = servable.version
    return spec


def _answer(call, request, context) -> Any:
    try:
        return call(request)
    except Refusal as error:
        context.abort(getattr(grpc.StatusCode, error.code), error.message)


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server: StandIn):
        self._server = server

    def Predict(self, request, context):
        return _answer(self._server.predict, request, context)

    def Classify(self, request, context):
        return _answer(self._server.classify, request, context)

    def Regress(self, request, context):
        return _answer(self._server.regress, request, context)

    def GetModelMetadata(self, request, context):
        return _answer(self._server.metadata, request, context)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, server: StandIn):
        self._server = server

    def GetModelStatus(self, request, context):
        return _answer(self._server.status, request, context)

    def HandleReloadConfigRequest(self, request, context):
        return _answer(self._server.reload, request, context)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no news."""


class _Rest(BaseHTTPRequestHandler):
    server_: StandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format, *arguments) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        if self.server_.metrics and self.path == self.server_.metrics:
            lines = [
                f':tensorflow:serving:request_count{{model_name="{name}",status="{code}"}} {count}'
                for (name, code), count in sorted(self.server_.core.counts.items())
            ]
            self._reply(200, "\n".join(["# TYPE :tensorflow:serving:request_count counter", *lines, ""]).encode())
        else:
            self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            answer = self._call(body)
            status = 200
        except Refusal as error:
            answer, status = {"error": error.message}, _HTTP.get(error.code, 500)
        self._reply(status, json.dumps(answer).encode())

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _call(self, body: bytes) -> Any:
        match = _URL.fullmatch(self.path)
        if not match or (match["method"] is None) != (self.command == "GET"):
            raise Refusal("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
        spec = model_pb2.ModelSpec(name=urllib.parse.unquote(match["model"]))
        if match["version"]:
            spec.version.value = int(match["version"])
        elif match["label"]:
            spec.version_label = urllib.parse.unquote(match["label"])
        if match["method"]:
            return self._infer(match["method"], spec, stand_in_json.parsed(body))
        if match["metadata"]:
            found = self.server_.metadata(get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec))
            signatures = get_model_metadata_pb2.SignatureDefMap()
            found.metadata["signature_def"].Unpack(signatures)
            return {"model_spec": _json(found.model_spec), "metadata": {"signature_def": _json(signatures)}}
        return _json(self.server_.status(get_model_status_pb2.GetModelStatusRequest(model_spec=spec)))

    def _infer(self, method: str, spec, document: dict[str, Any]) -> Any:
        name = document.get("signature_name", "")
        if not isinstance(name, str):
            raise Refusal("INVALID_ARGUMENT", "'signature_name' key must be a string value.")
        spec.signature_name = name
        if method != "predict":
            kind = (
                classification_pb2.ClassificationRequest if method == "classify" else regression_pb2.RegressionRequest
            )
            request = kind(model_spec=spec)
            rows = document.get("examples")
            if not isinstance(rows, list) or not rows:
                raise Refusal("INVALID_ARGUMENT", "'examples' value must be a list that is not empty")
            request.input.example_list.examples.extend(stand_in_json.example(row) for row in rows)
            if method == "regress":
                return {"results": [one.value for one in self.server_.regress(request).result.regressions]}
            found = self.server_.classify(request).result.classifications
            return {"results": [[[one.label, one.score] for one in row.classes] for row in found]}
        signature = self.server_.core.find(spec).signature(name)
        request = predict_pb2.PredictRequest(model_spec=spec)
        for key, array in stand_in_json.inputs(document, signature).items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
        outputs = {
            key: stand_in_json.listed(tf.make_ndarray(value), key)
            for key, value in self.server_.predict(request).outputs.items()
        }
        if "inputs" in document:
            return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        columns = list(outputs.values())
        if len(columns) == 1:
            return {"predictions": columns[0]}
        return {"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]}


def _json(message) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _main() -> None:
    if "--version" in sys.argv:
        sys.stdout.write("Stand-in for TensorFlow ModelServer, part of the tests\n")
        return
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("port", "rest_api_port", "grpc_max_threads"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--model_name", default="default")
    for name in ("model_base_path", "model_config_file", "monitoring_config_file", "batching_parameters_file"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--allow_version_labels_for_unavailable_models", default="false", nargs="?", const="true")
    flags, _ = parser.parse_known_args()
    config = model_server_config_pb2.ModelServerConfig()
    if flags.model_config_file:
        text_format.Parse(Path(flags.model_config_file).read_text(), config)
    else:
        config.model_config_list.config.add(name=flags.model_name, base_path=flags.model_base_path)
    metrics = None
    if flags.monitoring_config_file:
        metrics = re.search(r'path: "(.*)"', Path(flags.monitoring_config_file).read_text())[1]
    server = StandIn(
        config,
        port=flags.port or 8500,
        rest_port=flags.rest_api_port,
        allow_labels=flags.allow_version_labels_for_unavailable_models == "true",
        threads=flags.grpc_max_threads or 32,
        metrics=metrics,
        log=lambda line: sys.stderr.write(f"{line}\n"),
    )
    sys.stderr.write(f"Running stand-in at {server.targets}\n")
    threading.Event().wait()


if __name__ == "__main__":
    _main()
