"""The gRPC interface of a server."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf

from tf_symconv.serving._answers import (
    Classification,
    Metadata,
    ServingError,
    VersionStatus,
)
from tf_symconv.serving._api import protocol
from tf_symconv.serving._saved_model import Signature, TensorSpec
from tf_symconv.serving._transport import ModelSpec, Target, Transport

__all__ = ["GrpcTransport"]

_classification_pb2 = protocol("apis.classification_pb2")
_get_model_metadata_pb2 = protocol("apis.get_model_metadata_pb2")
_get_model_status_pb2 = protocol("apis.get_model_status_pb2")
_model_management_pb2 = protocol("apis.model_management_pb2")
_model_pb2 = protocol("apis.model_pb2")
_model_service_pb2_grpc = protocol("apis.model_service_pb2_grpc")
_predict_pb2 = protocol("apis.predict_pb2")
_prediction_service_pb2_grpc = protocol("apis.prediction_service_pb2_grpc")
_regression_pb2 = protocol("apis.regression_pb2")

_INTERNAL = "__saved_model_"
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # The client itself waits between attempts; the channel shall not refuse to connect for longer than that.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.lb_policy_name", "round_robin"),  # A name that stands for many servers leads to all of them.
)


class GrpcTransport(Transport):
    """Requests in protocol buffers.

    Args:
        target: where the server is.
        headers: metadata of every call; gRPC wants names in lower case.
        ca_certificate: certificates of the authorities to trust, in PEM; None trusts the usual ones.
    """

    def __init__(self, target: Target, headers: Mapping[str, str], ca_certificate: Path | None):
        self._headers = tuple((name.lower(), value) for name, value in headers.items())
        options = [*_OPTIONS, ("grpc.enable_http_proxy", int(not target.loopback))]
        if target.secure:
            roots = ca_certificate.read_bytes() if ca_certificate else None
            self._channel = grpc.secure_channel(target.address, grpc.ssl_channel_credentials(roots), options)
        else:
            self._channel = grpc.insecure_channel(target.address, options)
        self._prediction: Any = _prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model: Any = _model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(
        self,
        spec: ModelSpec,
        name: str,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout: float,
    ) -> dict[str, np.ndarray]:
        """Send arrays to the signature ``name`` and return the outputs that are asked for."""
        request = _predict_pb2.PredictRequest(model_spec=_model_spec(spec, name), output_filter=outputs)
        for key, array in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(array, signature.inputs[key].dtype))
        answer = self._ask(self._prediction.Predict, request, timeout)
        missing = sorted(set(outputs) - set(answer.outputs))
        if missing:
            raise ServingError("INTERNAL", f"the answer lacks the outputs {missing} of the signature {name!r}")
        return {output: tf.make_ndarray(answer.outputs[output]) for output in outputs}

    def classify(
        self, spec: ModelSpec, name: str, examples: Sequence[Mapping[str, np.ndarray]], timeout: float
    ) -> Classification:
        """Send examples, flat arrays by feature, to the signature ``name``."""
        request = _classification_pb2.ClassificationRequest(model_spec=_model_spec(spec, name))
        request.input.example_list.examples.extend(_example(example) for example in examples)
        found = self._ask(self._prediction.Classify, request, timeout).result.classifications
        return Classification(
            np.array([[one.label for one in row.classes] for row in found], str),
            np.array([[one.score for one in row.classes] for row in found], np.float32),
        )

    def regress(
        self, spec: ModelSpec, name: str, examples: Sequence[Mapping[str, np.ndarray]], timeout: float
    ) -> np.ndarray:
        """Send examples, flat arrays by feature, to the signature ``name``."""
        request = _regression_pb2.RegressionRequest(model_spec=_model_spec(spec, name))
        request.input.example_list.examples.extend(_example(example) for example in examples)
        found = self._ask(self._prediction.Regress, request, timeout).result.regressions
        return np.array([one.value for one in found], np.float32)

    def metadata(self, spec: ModelSpec, timeout: float) -> Metadata:
        """Ask for the signatures."""
        request = _get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=_model_spec(spec), metadata_field=["signature_def"]
        )
        answer = self._ask(self._prediction.GetModelMetadata, request, timeout)
        found = _get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        signatures = {
            name: Signature(signature.method_name, _specs(signature.inputs), _specs(signature.outputs))
            for name, signature in sorted(found.signature_def.items())
            if not name.startswith(_INTERNAL)
        }
        return Metadata(answer.model_spec.name, answer.model_spec.version.value, signatures)

    def status(self, spec: ModelSpec, timeout: float) -> list[VersionStatus]:
        """Ask for the states of the versions. A label in ``spec`` is not looked at."""
        request = _get_model_status_pb2.GetModelStatusRequest(
            model_spec=_model_spec(ModelSpec(spec.name, spec.version))
        )
        states = _get_model_status_pb2.ModelVersionStatus.State
        found = self._ask(self._model.GetModelStatus, request, timeout).model_version_status
        return [
            VersionStatus(one.version, states.Name(one.state), _code(one.status.error_code), one.status.error_message)
            for one in found
        ]

    def reload(self, config: Any, timeout: float) -> None:
        """Give the server another model config, a ``ModelServerConfig``.

        Raises:
            ServingError: the server refuses it; it says so in the status of the call, or in that of its answer.
        """
        request = _model_management_pb2.ReloadConfigRequest(config=config)
        status = self._ask(self._model.HandleReloadConfigRequest, request, timeout).status
        if status.error_code:
            raise ServingError(_code(status.error_code), status.error_message)

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    def _ask(self, method: Any, request: Any, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout, metadata=self._headers)
        except grpc.RpcError as error:
            call: Any = error
            raise ServingError(call.code().name, call.details() or "the connection failed") from error
        except ValueError as error:  # a channel that has been closed
            raise ServingError("CANCELLED", str(error)) from error


def _model_spec(spec: ModelSpec, signature: str = "") -> Any:
    message = _model_pb2.ModelSpec(name=spec.name, signature_name=signature)
    if spec.version is not None:
        message.version.value = spec.version
    elif spec.label:
        message.version_label = spec.label
    return message


def _example(features: Mapping[str, np.ndarray]) -> tf.train.Example:
    example = tf.train.Example()
    for name, values in features.items():
        feature = example.features.feature[name]
        if values.dtype.kind in "OSU":
            feature.bytes_list.value.extend(
                value.encode() if isinstance(value, str) else bytes(value) for value in values.tolist()
            )
        elif values.dtype.kind == "f":
            feature.float_list.value.extend(values.tolist())
        else:
            feature.int64_list.value.extend(values.tolist())
    return example


def _specs(found: Mapping[str, Any]) -> dict[str, TensorSpec]:
    specs = {}
    for name, info in sorted(found.items()):
        sizes = tuple(dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim)
        dtype = tf.dtypes.as_dtype(info.dtype).name
        specs[name] = TensorSpec(info.name, dtype, None if info.tensor_shape.unknown_rank else sizes)
    return specs


def _code(number: int) -> str:
    found = [code.name for code in grpc.StatusCode if code.value[0] == number]
    return found[0] if found else f"CODE_{number}"
