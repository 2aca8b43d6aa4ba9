"""What the two ways to a server have in common."""

import abc
import dataclasses
import ipaddress
import re
import urllib.parse
from collections.abc import Mapping, Sequence

import numpy as np

from tf_symconv.serving._answers import Classification, Metadata, VersionStatus
from tf_symconv.serving._saved_model import Signature

__all__ = ["ModelSpec", "Target", "Transport", "parse_target"]

_DEFAULT_GRPC_PORT = 8500
_MODEL_PATH = re.compile(
    r"(?P<prefix>.*?)/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
)


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Which model, and which of its versions; the latest where neither a version nor a label is given."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a server is.

    Attributes:
        rest: whether it is the REST interface.
        address: the URL of the REST interface without ``/v1``, or the address of the gRPC interface.
        secure: whether the connection is encrypted.
        loopback: whether the server is on this machine, where no proxy is asked.
        spec: the model that a URL of a model names; else None.
    """

    rest: bool
    address: str
    secure: bool
    loopback: bool
    spec: ModelSpec | None = None


class Transport(abc.ABC):
    """One way to a server. Every method raises ``ServingError``, and gives up after ``timeout`` seconds."""

    @abc.abstractmethod
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

    @abc.abstractmethod
    def classify(
        self, spec: ModelSpec, name: str, examples: Sequence[Mapping[str, np.ndarray]], timeout: float
    ) -> Classification:
        """Send examples, flat arrays by feature, to the signature ``name``."""

    @abc.abstractmethod
    def regress(
        self, spec: ModelSpec, name: str, examples: Sequence[Mapping[str, np.ndarray]], timeout: float
    ) -> np.ndarray:
        """Send examples, flat arrays by feature, to the signature ``name``."""

    @abc.abstractmethod
    def metadata(self, spec: ModelSpec, timeout: float) -> Metadata:
        """Ask for the signatures."""

    @abc.abstractmethod
    def status(self, spec: ModelSpec, timeout: float) -> list[VersionStatus]:
        """Ask for the states of the versions. A label in ``spec`` is not looked at."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the connections."""


def parse_target(target: str) -> Target:
    """Read ``http(s)://host:port[/prefix][/v1/models/NAME...]``, ``grpc(s)://host[:port]`` or ``host:port`` (gRPC).

    Raises:
        ValueError: it is none of these.
    """
    scheme, separator, rest = target.partition("://")
    scheme, rest = (scheme.lower(), rest) if separator else ("grpc", target)
    try:
        parts = urllib.parse.urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refusal(target) from error
    if not host or parts.query or parts.fragment:
        raise _refusal(target)
    loopback = _is_loopback(host)
    if scheme in ("http", "https"):
        path = parts.path.rstrip("/")
        found = _MODEL_PATH.fullmatch(path)
        spec = None
        if found:
            path, version, label = found["prefix"], found["version"], found["label"]
            unquote = urllib.parse.unquote
            spec = ModelSpec(
                unquote(found["model"]), int(version) if version else None, unquote(label) if label else None
            )
        return Target(True, f"{scheme}://{parts.netloc}{path}", scheme == "https", loopback, spec)
    if scheme not in ("grpc", "grpcs") or parts.path.rstrip("/") or not (separator or port):
        raise _refusal(target)
    bracketed = f"[{host}]" if ":" in host else host
    return Target(False, f"{bracketed}:{port or _DEFAULT_GRPC_PORT}", scheme == "grpcs", loopback)


def _refusal(target: str) -> ValueError:
    return ValueError(
        "a target must be http://HOST:PORT or https://... for REST, or HOST:PORT, grpc://HOST:PORT or grpcs://... for "
        "gRPC. "
        f"Received: target={target!r}"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
