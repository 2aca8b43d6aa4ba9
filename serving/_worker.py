"""Run a SavedModel in another process, which has the C library of TensorFlow and not its Python package.

A malformed request can abort the process that runs it, as it would abort the server; here the other process dies and
is started again for the next request.
"""

import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, final

import numpy as np

__all__ = ["Crash", "Hang", "Worker"]

_STDERR_TAIL = 4096  # bytes
# The first line of a fatal error, as Abseil logs it and, before TensorFlow 2.20, as TensorFlow did.
_FATAL = re.compile(r"F\d{4} |[\d-]{10} [\d:.]+: F ")
_EXIT_WAIT = 10  # seconds that a process gets to end after its last word


class Crash(Exception):
    """The process died; the message tells by what."""


class Hang(Exception):
    """The process gave no answer in time, and was killed."""


@final
class Worker:
    """A process with a loaded SavedModel, started when the first request comes and again after it died.

    Use it as a context manager. It runs on the CPU.

    Args:
        path: directory of the SavedModel.
        timeout: seconds to wait for an answer.
        load_timeout: seconds to wait until the C library or the SavedModel is loaded.
    """

    def __init__(self, path: Path, timeout: float, load_timeout: float = 600.0):
        self._path = path
        self._timeout = timeout
        self._load_timeout = load_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Any = None  # Connection; generic on some Python versions, not on others
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)

    def describe(self) -> tuple[str, frozenset[str]]:
        """Return the version and the registered ops of the C library."""
        return self._ask(("describe",), self._load_timeout)

    def load(self) -> None:
        """Load the SavedModel now.

        Raises:
            StatusError: it does not load.
            Crash, Hang: what became of the process that tried.
        """
        self._ask(("load", str(self._path)), self._load_timeout)

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> list[np.ndarray]:
        """Feed and fetch tensors by their names in the graph.

        Raises:
            StatusError: TensorFlow refused or failed.
            Crash, Hang: what became of the process that tried.
        """
        if self._process is None:
            self.load()
        return self._ask(("run", dict(feeds), list(fetches)))

    def close(self) -> None:
        """End the process."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._stderr.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._stderr.seek(0)
        self._stderr.truncate()
        ours, theirs = multiprocessing.Pipe()
        command = f"from tf_symconv.serving._worker import _serve; _serve({theirs.fileno()})"
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONSAFEPATH": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env=environment,
                pass_fds=[theirs.fileno()],
            )
        self._connection = ours
        return self._process

    def _ask(self, request: tuple[Any, ...], timeout: float | None = None) -> Any:
        process = self._process or self._start()
        limit = self._timeout if timeout is None else timeout
        try:
            self._connection.send(request)
            if not self._connection.poll(limit):
                self._end()
                raise Hang(f"no answer within {limit:g} s")
            reply = self._connection.recv()
        except (EOFError, OSError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_EXIT_WAIT)
            raise Crash(self._last_words(self._end())) from error
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def _end(self) -> int:
        """Close the connection, end the process if it still runs, and return its exit status."""
        process, self._process = self._process, None
        self._connection.close()
        if process is None:
            return 0
        if process.poll() is None:
            process.kill()
        return process.wait()

    def _last_words(self, status: int) -> str:
        try:
            death = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        except ValueError:
            death = f"signal {-status}"
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_TAIL))
        lines = self._stderr.read().decode(errors="replace").splitlines()
        fatal = [line.partition("] ")[2] for line in lines if _FATAL.match(line)]
        python = [line for line in lines[-1:] if "Error" in line]
        return ": ".join([death, *(fatal or python)[-1:]])


def _serve(descriptor: int) -> None:
    """Answer requests until the other side hangs up; runs in the other process."""
    from tf_symconv.serving import _c_api

    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # A core file would hold the whole C library.
    session: _c_api.Session | None = None
    with Connection(descriptor) as connection:
        while True:
            try:
                kind, *arguments = connection.recv()
            except (EOFError, OSError):
                return
            reply: object = None
            try:
                if kind == "describe":
                    reply = (_c_api.tensorflow_version(), _c_api.registered_ops())
                elif kind == "load":
                    session = _c_api.Session(arguments[0])
                elif session is not None:
                    reply = session.run(*arguments)
            except (_c_api.StatusError, ImportError, MemoryError, TypeError) as error:
                reply = error
            connection.send(reply)
