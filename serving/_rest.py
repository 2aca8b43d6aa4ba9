"""The REST interface of a server."""

import base64
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import requests
import requests.adapters

from tf_symconv.serving._answers import (
    Classification,
    Metadata,
    ServingError,
    VersionStatus,
    signature_dtype,
)
from tf_symconv.serving._dtypes import STRING, numpy_dtype
from tf_symconv.serving._saved_model import Signature, TensorSpec
from tf_symconv.serving._transport import ModelSpec, Target, Transport

__all__ = ["RestTransport"]

# What the server makes of its own status codes; 400 stands for three of them.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CONNECTIONS = 64


class RestTransport(Transport):
    """Requests in JSON. Floats arrive exactly; large batches are slow this way, empty ones lose their other sizes.

    Args:
        target: where the server is.
        headers: further HTTP headers.
        ca_certificate: certificates of the authorities to trust, in PEM; None trusts the usual ones.
    """

    def __init__(self, target: Target, headers: Mapping[str, str], ca_certificate: Path | None):
        self._base = target.address
        self._session = requests.Session()
        self._session.trust_env = not target.loopback
        self._session.headers.update(headers)
        self._session.verify = str(ca_certificate) if ca_certificate else True
        adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=_CONNECTIONS)
        self._session.mount(self._base, adapter)

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
        body = {"signature_name": name, "inputs": {key: _encoded(array) for key, array in inputs.items()}}
        answer = self._ask("POST", f"{_path(spec)}:predict", timeout, body)
        found = _field(answer, "outputs")
        if len(signature.outputs) == 1:  # A single output comes without its name.
            found = {next(iter(signature.outputs)): found}
        try:
            return {output: _decoded(found[output], signature.outputs[output]) for output in outputs}
        except (KeyError, TypeError, ValueError) as error:
            raise ServingError("INTERNAL", f"the answer does not fit the signature {name!r}: {error!r}") from error

    def classify(
        self, spec: ModelSpec, name: str, examples: Sequence[Mapping[str, np.ndarray]], timeout: float
    ) -> Classification:
        """Send examples, flat arrays by feature, to the signature ``name``."""
        results = self._send_examples("classify", spec, name, examples, timeout)
        labels = [[label for label, _ in row] for row in results]
        scores = [[score for _, score in row] for row in results]
        return Classification(np.array(labels, str), np.array(scores, np.float32))

    def regress(
        self, spec: ModelSpec, name: str, examples: Sequence[Mapping[str, np.ndarray]], timeout: float
    ) -> np.ndarray:
        """Send examples, flat arrays by feature, to the signature ``name``."""
        return np.array(self._send_examples("regress", spec, name, examples, timeout), np.float32)

    def metadata(self, spec: ModelSpec, timeout: float) -> Metadata:
        """Ask for the signatures."""
        answer = self._ask("GET", f"{_path(spec)}/metadata", timeout)
        described = _field(answer, "model_spec")
        signatures = _field(_field(_field(answer, "metadata"), "signature_def"), "signature_def")
        return Metadata(
            described["name"],
            int(described["version"]),
            {
                name: Signature(found.get("method_name", ""), _specs(found.get("inputs")), _specs(found.get("outputs")))
                for name, found in sorted(signatures.items())
                if not name.startswith("__saved_model_")
            },
        )

    def status(self, spec: ModelSpec, timeout: float) -> list[VersionStatus]:
        """Ask for the states of the versions. A label in ``spec`` is not looked at."""
        answer = self._ask("GET", _path(ModelSpec(spec.name, spec.version)), timeout)
        return [
            VersionStatus(
                int(found["version"]),
                found["state"],
                found.get("status", {}).get("error_code", "OK"),
                found.get("status", {}).get("error_message", ""),
            )
            for found in _field(answer, "model_version_status")
        ]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _send_examples(
        self, method: str, spec: ModelSpec, name: str, examples: Sequence[Mapping[str, np.ndarray]], timeout: float
    ) -> list[Any]:
        rows = [{key: _encoded(values) for key, values in example.items()} for example in examples]
        answer = self._ask("POST", f"{_path(spec)}:{method}", timeout, {"signature_name": name, "examples": rows})
        return _field(answer, "results")

    def _ask(self, method: str, path: str, timeout: float, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        try:
            reply = self._session.request(
                method, f"{self._base}/v1/models/{path}", data=data, headers=headers, timeout=timeout
            )
        except requests.Timeout as error:
            raise ServingError("DEADLINE_EXCEEDED", f"{self._base} gave no answer within {timeout:.3g} s") from error
        except requests.RequestException as error:
            raise ServingError("UNAVAILABLE", f"{self._base} cannot be reached: {_cause(error)}") from error
        if not reply.ok:
            raise ServingError(_CODES.get(reply.status_code, "INTERNAL"), _words(reply))
        try:
            answer = reply.json()
        except ValueError as error:
            raise ServingError("INTERNAL", f"{self._base} does not speak the REST interface of a server") from error
        if not isinstance(answer, dict):
            raise ServingError("INTERNAL", f"{self._base} does not speak the REST interface of a server")
        return answer


def _path(spec: ModelSpec) -> str:
    path = urllib.parse.quote(spec.name, safe="")
    if spec.version is not None:
        return f"{path}/versions/{spec.version}"
    return f"{path}/labels/{urllib.parse.quote(spec.label, safe='')}" if spec.label else path


def _field(answer: Mapping[str, Any], name: str) -> Any:
    try:
        return answer[name]
    except (KeyError, TypeError) as error:
        raise ServingError("INTERNAL", f"the answer lacks the field {name!r}") from error


def _words(reply: requests.Response) -> str:
    """Return the message of an error."""
    try:
        message = reply.json()["error"]
    except (ValueError, KeyError, TypeError):
        message = reply.text.strip()[:200] or reply.reason
    return str(message)


def _cause(error: BaseException) -> BaseException | str:
    """Return the innermost reason of a failed connection: the outer ones repeat each other."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            return str(error) or type(error).__name__
        error = inner


def _encoded(array: np.ndarray) -> Any:
    if array.dtype.kind not in "OSU":
        return array.tolist()
    values = [_base64(value) for value in array.ravel().tolist()]
    return np.array(values, object).reshape(array.shape).tolist()


def _base64(value: Any) -> dict[str, str]:
    encoded = value.encode() if isinstance(value, str) else bytes(value)
    return {"b64": base64.b64encode(encoded).decode()}


def _decoded(values: Any, spec: TensorSpec) -> np.ndarray:
    if spec.dtype != STRING:
        array = np.array(values, numpy_dtype(spec.dtype))
    else:
        array = np.vectorize(_bytes, otypes=[object])(np.array(values, object))
    if array.size == 0 and spec.shape and array.ndim < len(spec.shape):  # JSON tells no sizes behind a 0.
        array = array.reshape([0, *(size or 0 for size in spec.shape[1:])])
    return array


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def _specs(found: Mapping[str, Any] | None) -> dict[str, TensorSpec]:
    specs = {}
    for name, info in sorted((found or {}).items()):
        shape = info.get("tensor_shape", {})
        sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", [])]
        known = tuple(size if size >= 0 else None for size in sizes)
        specs[name] = TensorSpec(
            info.get("name", ""), signature_dtype(info["dtype"]), None if shape.get("unknown_rank") else known
        )
    return specs
