"""One client for both interfaces of a server."""

import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, final

import numpy as np

from tf_symconv.serving._answers import Classification, Metadata, ServingError, VersionStatus
from tf_symconv.serving._dtypes import STRING, numpy_dtype
from tf_symconv.serving._saved_model import Signature, TensorSpec
from tf_symconv.serving._transport import ModelSpec, Target, Transport, parse_target

__all__ = ["Client", "connect"]

_Answer = TypeVar("_Answer")
_DEFAULT = "serving_default"
_PASSING = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")  # another attempt may do
_NOT_YET = (*_PASSING, "NOT_FOUND", "DEADLINE_EXCEEDED", "FAILED_PRECONDITION", "INVALID_ARGUMENT")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds
_POLL = 0.2  # seconds
_ATTEMPT = 5.0  # seconds that one look at a starting server may take


@final
class Client:
    """A client of TensorFlow Serving, by REST or by gRPC, with NumPy arrays in and out.

    It asks the server for its signatures first, so that arrays get the types and the names that the model wants, and
    answers theirs. Requests that the server refuses because it is busy or not reachable are sent again, with growing
    pauses, until the deadline. One client may be used by many threads.

    Args:
        target: ``"http://HOST:PORT"`` or ``"https://..."`` for REST (the URL of a model does as well,
            ``"http://HOST:PORT/v1/models/NAME/labels/stable"``), ``"HOST:PORT"``, ``"grpc://HOST:PORT"`` or
            ``"grpcs://..."`` for gRPC.
        model: name of the model. None stands for the name in ``target``, else ``"model"``.
        version: a version by number.
        label: a version by its label. With neither, the latest version answers.
        timeout: seconds until a call gives up, all its attempts together.
        retries: how many more attempts a call may make.
        headers: further HTTP headers or gRPC metadata, for instance a host name or a token.
        ca_certificate: file with the certificates to trust, where they are not the usual ones.

    Raises:
        ValueError: a target of another form, both a version and a label, a timeout that is not above 0, retries
            below 0, or a version below 1.
        ImportError: what ``pip install 'tf_symconv[serving]'`` brings is missing.

    Example:
        >>> from tf_symconv import serving
        >>> client = serving.Client("http://localhost:8501", model="digits", label="stable")
        >>> client
        Client('http://localhost:8501', model='digits', label='stable')
        >>> client.close()

    Once a server runs, ``client.predict(images)["probabilities"]`` is an array.

    Source: the RESTful and gRPC APIs of TensorFlow Serving, ``prediction_service.proto`` and ``model_service.proto``.
    """

    def __init__(
        self,
        target: str,
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 30.0,
        retries: int = 10,
        headers: Mapping[str, str] | None = None,
        ca_certificate: str | os.PathLike[str] | None = None,
    ):
        parsed = parse_target(target)
        named = parsed.spec or ModelSpec("model")
        if version is None and label is None:
            version, label = named.version, named.label
        if version is not None and label is not None:
            raise ValueError(f"give a version or a label. Received: version={version}, label={label!r}")
        if version is not None and version < 1:
            raise ValueError(f"version must be 1 or more. Received: version={version}")
        if retries < 0:
            raise ValueError(f"retries must be 0 or more. Received: retries={retries}")
        self._target = target
        self._spec = ModelSpec(model or named.name, version, label)
        self._timeout = _positive(timeout)
        self._retries = retries
        self._transport = connect(parsed, headers or {}, Path(ca_certificate) if ca_certificate else None)
        self._metadata: Metadata | None = None
        self._lock = threading.Lock()

    def predict(
        self,
        inputs: Any,
        *,
        signature: str = _DEFAULT,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Run a signature on a batch.

        Args:
            inputs: an array where the signature has one input, else a dict of arrays by the names of the inputs.
                Strings are str or bytes. Arrays are cast to the type of the input where no kind is lost: float64 to
                float32, but not floats to integers.
            signature: name of the signature.
            outputs: names of the outputs to return. None returns all.
            timeout: seconds until the call gives up. None stands for that of the client.

        Returns:
            The outputs by name; strings as bytes in arrays of objects.

        Raises:
            ServingError: the server gave no answer, or refuses the request (``INVALID_ARGUMENT``).
            ValueError: names that the signature lacks.
            TypeError: arrays of another kind than the inputs.
        """
        deadline = self._deadline(timeout)
        found = self._signature(signature, deadline)
        arrays = _prepared(inputs, found, signature)
        wanted = list(found.outputs) if outputs is None else list(outputs)
        unknown = sorted(set(wanted) - set(found.outputs))
        if unknown:
            raise ValueError(f"signature {signature!r} has the outputs {sorted(found.outputs)}. Received: {unknown}")
        try:
            return self._try(
                lambda left: self._transport.predict(self._spec, signature, found, arrays, wanted, left), deadline
            )
        except ServingError:
            self._metadata = None  # Another version may have come, with other signatures.
            raise

    def classify(self, inputs: Any, *, signature: str = "classify", timeout: float | None = None) -> Classification:
        """Classify a batch of examples, sent as ``tf.train.Example``.

        Args:
            inputs: an array whose rows are the examples, or a dict of such arrays by the names of the features. An
                array alone is the feature of the name of the model's only input.
            signature: name of the signature; its method is ``tensorflow/serving/classify``.
            timeout: seconds until the call gives up. None stands for that of the client.

        Returns:
            Labels and scores of every example.

        Raises:
            ServingError: the server gave no answer, or refuses the request.
            ValueError: arrays of different lengths, no examples, or an array alone for a model with many inputs.
            TypeError: arrays of another kind than the model's inputs of that name.
        """
        deadline = self._deadline(timeout)
        rows = self._rows(inputs, signature, deadline)
        return self._try(lambda left: self._transport.classify(self._spec, signature, rows, left), deadline)

    def regress(self, inputs: Any, *, signature: str = "regress", timeout: float | None = None) -> np.ndarray:
        """Return the value of each of a batch of examples, sent as ``tf.train.Example``.

        Args:
            inputs: as for ``classify``.
            signature: name of the signature; its method is ``tensorflow/serving/regress``.
            timeout: seconds until the call gives up. None stands for that of the client.

        Returns:
            An array of float32, one value for each example.

        Raises:
            ServingError: the server gave no answer, or refuses the request.
            ValueError: as for ``classify``.
            TypeError: as for ``classify``.
        """
        deadline = self._deadline(timeout)
        rows = self._rows(inputs, signature, deadline)
        return self._try(lambda left: self._transport.regress(self._spec, signature, rows, left), deadline)

    def metadata(self, *, timeout: float | None = None) -> Metadata:
        """Ask for the version that answers, and its signatures.

        Args:
            timeout: seconds until the call gives up. None stands for that of the client.

        Raises:
            ServingError: the server gave no answer, or has no such model.
        """
        found = self._try(lambda left: self._transport.metadata(self._spec, left), self._deadline(timeout))
        self._metadata = found
        return found

    def status(self, *, timeout: float | None = None) -> list[VersionStatus]:
        """Ask for the states of the versions: all of the model's, or the one that the client was made for.

        Args:
            timeout: seconds until the call gives up. None stands for that of the client.

        Raises:
            ServingError: the server gave no answer, or knows no such model, version or label.
        """
        deadline = self._deadline(timeout)
        spec = self._spec
        if spec.label is not None:  # The server tells no states by label.
            version = self._try(lambda left: self._transport.metadata(spec, left), deadline).version
            spec = ModelSpec(spec.name, version)
        return self._try(lambda left: self._transport.status(spec, left), deadline)

    def wait_ready(self, timeout: float = 60.0) -> int:
        """Wait until the model answers requests.

        Args:
            timeout: seconds to wait.

        Returns:
            The version that answers.

        Raises:
            ServingError: ``DEADLINE_EXCEEDED`` with the last news, or the reason why the version has failed to load.
        """
        end = time.monotonic() + _positive(timeout)
        news = "no answer"
        while (left := end - time.monotonic()) > 0:
            states: list[VersionStatus] = []
            try:
                states = self._transport.status(self._spec, min(left, _ATTEMPT))
                if any(state.available for state in states):
                    return self._transport.metadata(self._spec, min(left, _ATTEMPT)).version
                news = ", ".join(f"version {state.version} is {state.state}" for state in states) or "no version"
            except ServingError as error:
                if error.code not in _NOT_YET:
                    raise
                news = str(error)
            if states and all(state.failed for state in states):
                last = states[-1]
                raise ServingError(last.error_code, f"version {last.version} failed to load: {last.error_message}")
            time.sleep(min(_POLL, max(0.0, end - time.monotonic())))
        raise ServingError("DEADLINE_EXCEEDED", f"{self._spec.name} is not ready after {timeout:g} s: {news}")

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        spec = self._spec
        which = {"version": spec.version, "label": spec.label}
        told = "".join(f", {name}={value!r}" for name, value in which.items() if value is not None)
        return f"Client({self._target!r}, model={spec.name!r}{told})"

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self._timeout if timeout is None else _positive(timeout))

    def _try(self, call: Callable[[float], _Answer], deadline: float) -> _Answer:
        """Call until it works, the attempts are used up, or the deadline comes. ``call`` takes the seconds left."""
        attempts = 0
        while True:
            attempts += 1
            try:
                return call(max(deadline - time.monotonic(), 1e-3))
            except ServingError as error:
                pause = min(_FIRST_PAUSE * 2.0 ** (attempts - 1), _LONGEST_PAUSE) * random.uniform(0.5, 1.5)
                late = time.monotonic() + pause >= deadline
                if error.code not in _PASSING or attempts > self._retries or late:
                    if attempts == 1:
                        raise
                    raise ServingError(error.code, f"{error.message} ({attempts} attempts)") from error
            time.sleep(pause)

    def _rows(self, inputs: Any, name: str, deadline: float) -> list[dict[str, np.ndarray]]:
        """Return the features of each example, of the types of the model's inputs."""
        self._signature(name, deadline)
        known = self._metadata  # Another thread may drop it at any time.
        default = known.signatures.get(_DEFAULT) if known else None
        specs = default.inputs if default else {}
        if not isinstance(inputs, Mapping):
            if len(specs) != 1:
                raise ValueError(f"inputs must be a dict of features, such as {sorted(specs)}. Received: an array")
            inputs = {next(iter(specs)): inputs}
        columns = {key: np.asarray(values) for key, values in inputs.items()}
        columns = {key: _cast(values, specs[key], key) if key in specs else values for key, values in columns.items()}
        counts = sorted({len(values) if values.ndim else 0 for values in columns.values()})
        if len(counts) != 1 or counts == [0]:
            raise ValueError(f"inputs must hold as many rows each, one or more. Received: rows={counts}")
        return [{key: np.ravel(values[row]) for key, values in columns.items()} for row in range(counts[0])]

    def _signature(self, name: str, deadline: float) -> Signature:
        found = self._metadata
        if found is None or name not in found.signatures:
            # Many threads shall not all ask at the start, nor wait for each other beyond their deadlines.
            if not self._lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
                raise ServingError("DEADLINE_EXCEEDED", "the server has not told its signatures yet")
            try:
                found = self._metadata
                if found is None or name not in found.signatures:
                    found = self._try(lambda left: self._transport.metadata(self._spec, left), deadline)
                    self._metadata = found
            finally:
                self._lock.release()
        if name not in found.signatures:
            raise ServingError(
                "INVALID_ARGUMENT", f"{found.model} has the signatures {sorted(found.signatures)}, not {name!r}"
            )
        return found.signatures[name]


def connect(target: Target, headers: Mapping[str, str], ca_certificate: Path | None) -> Transport:
    """Make the transport for a target.

    Raises:
        ImportError: the packages for it are missing.
    """
    try:
        if target.rest:
            from tf_symconv.serving._rest import RestTransport

            return RestTransport(target, headers, ca_certificate)
        from tf_symconv.serving._grpc import GrpcTransport

        return GrpcTransport(target, headers, ca_certificate)
    except ImportError as error:
        raise ImportError(f"a client needs more packages ({error}): pip install 'tf_symconv[serving]'") from error


def _positive(timeout: float) -> float:
    if not timeout > 0:
        raise ValueError(f"timeout must be above 0. Received: timeout={timeout}")
    return timeout


def _prepared(inputs: Any, signature: Signature, name: str) -> dict[str, np.ndarray]:
    """Return the arrays by the names and of the types that the signature wants."""
    if not isinstance(inputs, Mapping):
        if len(signature.inputs) != 1:
            raise ValueError(f"signature {name!r} takes a dict of {sorted(signature.inputs)}. Received: an array")
        inputs = {next(iter(signature.inputs)): inputs}
    if set(inputs) != set(signature.inputs):
        raise ValueError(
            f"signature {name!r} takes the inputs {sorted(signature.inputs)}. Received: {sorted(map(str, inputs))}"
        )
    return {key: _cast(np.asarray(inputs[key]), spec, key) for key, spec in signature.inputs.items()}


def _cast(array: np.ndarray, spec: TensorSpec, name: str) -> np.ndarray:
    strings = array.dtype.kind in "OSU"
    wanted = numpy_dtype(spec.dtype)
    if spec.dtype == STRING and strings:
        return array.astype(object)
    if strings or spec.dtype == STRING or not _keeps_kind(array, wanted):
        raise TypeError(f"input {name!r} must be {spec.dtype}. Received: dtype={array.dtype}")
    return array.astype(wanted, copy=False)


def _keeps_kind(array: np.ndarray, wanted: np.dtype) -> bool:
    if wanted.kind in "iu" and array.dtype.kind in "iu":  # NumPy's own integers are int64, inputs are often less.
        limits = np.iinfo(wanted)
        return not array.size or (int(array.min()) >= limits.min and int(array.max()) <= limits.max)
    if wanted.kind == "V" or array.dtype.kind == "V":  # the small floats of ml_dtypes
        return array.dtype.kind in "fiuV"
    return np.can_cast(array.dtype, wanted, "same_kind")
