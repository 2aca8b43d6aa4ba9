"""Peer libraries, each in its own interpreter, asked case by case. Free of TensorFlow."""

import contextlib
import dataclasses
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_symconv.benchmarks._cases import Case
from tf_symconv.benchmarks._timing import Patience

if TYPE_CHECKING:
    from tf_symconv.benchmarks._subjects import Options

SCRIPT = Path(__file__).with_name("peers_e2cnn.py")


class PeerError(Exception):
    """Why a peer library does not answer, in one line."""


class Peer:
    """A process with e2cnn that times one case after the other.

    Args:
        interpreter: A Python that has torch and e2cnn.
        threads: Threads of an operation, 0 for the library's own choice.

    Raises:
        PeerError: If it does not start, or lacks the libraries.
    """

    def __init__(self, interpreter: str, threads: int = 0) -> None:
        self._name = interpreter
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                [interpreter, str(SCRIPT), "--threads", str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise PeerError(f"--peers {interpreter} does not start ({error.strerror})") from error
        try:
            self.versions = self._answer()["versions"]
        except BaseException:
            self.close()
            raise

    def measure(self, case: Case, patience: Patience, options: "Options") -> dict[str, Any]:
        """Return the times of the peer and of its plain convolution: see ``peers_e2cnn.py``.

        Raises:
            PeerError: If it fails.
        """
        request = {
            "case": dataclasses.asdict(case),
            "patience": dataclasses.asdict(patience),
            "bias": options.bias,
            "seed": options.seed,
        }
        pipe = self._process.stdin
        if pipe is None:
            raise PeerError(f"--peers {self._name} is gone")
        with contextlib.suppress(OSError):  # where it is gone, what it said last is read below
            pipe.write(json.dumps(request) + "\n")
            pipe.flush()
        return {**self._answer(), "versions": self.versions}

    def _answer(self) -> dict[str, Any]:
        pipe = self._process.stdout
        line = "" if pipe is None else pipe.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
            raise PeerError(f"--peers {self._name} ended with {status}: {last}")
        try:
            answer = json.loads(line)
        except ValueError:
            raise PeerError(f"--peers {self._name} answers {line.strip()[:80]!r}") from None
        if "error" in answer:
            raise PeerError(f"--peers {self._name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.terminate()
        self._process.wait()
        self._errors.close()
