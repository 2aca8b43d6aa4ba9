"""What a server tells: answers, states and errors, the same by REST and by gRPC."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from tf_symconv.serving._saved_model import Signature

__all__ = ["Classification", "Metadata", "ServingError", "VersionStatus", "signature_dtype"]

_DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}


class ServingError(Exception):
    """A request that got no answer.

    Attributes:
        code: name of the gRPC status: ``"INVALID_ARGUMENT"``, ``"NOT_FOUND"``, ``"UNAVAILABLE"``,
            ``"RESOURCE_EXHAUSTED"``, ``"DEADLINE_EXCEEDED"`` ...; the status of an HTTP answer is translated.
        message: what the server, or the connection to it, said.
    """

    def __init__(self, code: str, message: str):
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {' '.join(self.message.split())}"


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a server tells of a loaded version.

    Attributes:
        model: name of the model.
        version: number of the version that answered.
        signatures: its signatures by name, each with ``method``, ``inputs`` and ``outputs``.
    """

    model: str
    version: int
    signatures: Mapping[str, Signature]


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """The state of one version.

    Attributes:
        version: its number.
        state: ``"START"``, ``"LOADING"``, ``"AVAILABLE"``, ``"UNLOADING"`` or ``"END"``.
        error_code: ``"OK"``, or why it did not load.
        error_message: the words for that.
    """

    version: int
    state: str
    error_code: str = "OK"
    error_message: str = ""

    @property
    def available(self) -> bool:
        """Whether the version answers requests."""
        return self.state == "AVAILABLE"

    @property
    def failed(self) -> bool:
        """Whether the version has failed to load for good."""
        return self.state == "END" and self.error_code != "OK"


@dataclasses.dataclass(frozen=True)
class Classification:
    """The classes of a batch of examples.

    Attributes:
        labels: names of the classes, an array of str of shape (examples, classes); empty where the model has none.
        scores: their scores, float32 of the same shape.
    """

    labels: np.ndarray
    scores: np.ndarray


def signature_dtype(name: str) -> str:
    """Return TensorFlow's name of an element type for its name in the protocol (``DT_FLOAT``: ``float32``)."""
    return _DTYPES.get(name, name.removeprefix("DT_").lower())
