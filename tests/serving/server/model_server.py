"""Start TensorFlow Serving on free ports of the loopback interface."""

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tf_symconv import serving

__all__ = ["VARIABLE", "ModelServer", "assert_close"]

VARIABLE = "TENSORFLOW_MODEL_SERVER"
TOLERANCE = 1e-5


class ModelServer:
    """A running server, ended at the end of the block.

    Args:
        flags: flags besides those of the ports, such as ``model_name="digits"``.
        models: models that must be ready first.
    """

    def __init__(self, *models: str, **flags: Any):
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            self.port, self.rest_port = one.getsockname()[1], two.getsockname()[1]
        self.targets = {"grpc": f"127.0.0.1:{self.port}", "rest": f"http://127.0.0.1:{self.rest_port}"}
        self._models = models
        self._flags = {"port": self.port, "rest_api_port": self.rest_port, **flags}
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed at the end of the block)

    def client(self, way: str, **arguments: Any) -> serving.Client:
        return serving.Client(self.targets[way], **arguments)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        self._log.flush()
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text(errors="replace")

    def __enter__(self) -> "ModelServer":
        command = [os.environ[VARIABLE], *(f"--{name}={value}" for name, value in self._flags.items())]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "CUDA_VISIBLE_DEVICES": "-1"}
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)
        try:
            for model in self._models:
                self._wait(model)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self, model: str, seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        with self.client("rest", model=model) as client:
            while True:
                try:
                    client.wait_ready(2)
                    return
                except serving.ServingError as error:
                    if not self.alive or error.code != "DEADLINE_EXCEEDED" or time.monotonic() > end:
                        raise AssertionError(f"the server is not ready: {error}\n{self.log()[-4000:]}") from error

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()


def assert_close(answer: np.ndarray, want: np.ndarray) -> None:
    """Equal to 1e-5 of the largest magnitude."""
    answer, want = np.asarray(answer), np.asarray(want)
    assert answer.shape == want.shape
    assert np.abs(answer - want).max(initial=0) <= TOLERANCE * np.abs(want).max(initial=0)
