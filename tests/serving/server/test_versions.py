"""New versions and labels come while requests are answered, and no request fails."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.serving import served_models
from tests.serving.server.model_server import ModelServer
from tf_symconv import serving
from tf_symconv.serving._grpc import GrpcTransport
from tf_symconv.serving._labels import _parsed
from tf_symconv.serving._transport import parse_target

IMAGES = served_models.images(2)


def _export(base: Path, version: int) -> np.ndarray:
    """Export a version of its own and return its answer."""
    model = served_models.make_model(version)
    serving.export(model, base, version=version, examples=IMAGES)
    return model.predict(IMAGES, verbose=0)


class Load:
    """Clients that ask all the time and do not try again."""

    def __init__(self, server: ModelServer, **arguments):
        self.answers: list[np.ndarray] = []
        self.failures: list[Exception] = []
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(server.client(way, retries=0, **arguments),))
            for way in ("rest", "grpc") * 3
        ]

    def _ask(self, client: serving.Client) -> None:
        with client:
            while not self._done.is_set():
                try:
                    self.answers.append(client.predict(IMAGES)["probabilities"])
                except Exception as error:
                    self.failures.append(error)

    def wait_for_more(self, count: int = 50) -> None:
        goal = len(self.answers) + count
        end = time.monotonic() + 120
        while len(self.answers) < goal:
            assert time.monotonic() < end, self.failures[:3]
            time.sleep(0.01)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            self.wait_for_more()
            yield
            self.wait_for_more()
        finally:
            self._done.set()
            for thread in self._threads:
                thread.join()

    def versions(self, wants: list[np.ndarray]) -> list[int]:
        """Which of the answers each one is."""
        found = []
        for answer in self.answers:
            gaps = [np.abs(answer - want).max() for want in wants]
            assert min(gaps) < 1e-5
            found.append(int(np.argmin(gaps)))
        return found


def _version(server: ModelServer, **which) -> int:
    with server.client("grpc", **which) as client:
        return client.metadata().version


def test_hot_swap_under_load(tmp_path: Path) -> None:
    base = tmp_path / "model"
    wants = [_export(base, 1)]
    with ModelServer("model", model_name="model", model_base_path=base, file_system_poll_wait_seconds=1) as server:
        load = Load(server)
        with load.running():
            for version in (2, 3):
                wants.append(_export(base, version))
                end = time.monotonic() + 120
                while _version(server) != version:
                    assert time.monotonic() < end
                    time.sleep(0.1)
                load.wait_for_more()
        assert server.alive
    assert load.failures == []
    assert set(load.versions(wants)) == {0, 1, 2}
    np.testing.assert_allclose(load.answers[-1], wants[-1], atol=1e-5)


def test_promotion_and_rollback_by_label_under_load(tmp_path: Path) -> None:
    base = tmp_path / "model"
    wants = [_export(base, version) for version in (1, 2, 3)]
    text = serving.model_config(serving.ServedModel(base, "model", {"stable": 1, "canary": 2}))
    config = serving.write_config(tmp_path / "models.config", text)
    flags = {"model_config_file": config, "allow_version_labels_for_unavailable_models": "true"}
    with ModelServer("model", **flags) as server:
        target = server.targets["grpc"]
        load = Load(server, label="stable")
        with load.running():
            assert _version(server, label="stable") == 1
            serving.promote(config, target=target)
            assert _version(server, label="stable") == 2
            load.wait_for_more()
            serving.promote(config, target=target, version=3)  # It is not loaded yet.
            assert _version(server, label="stable") == 3
            load.wait_for_more()
            serving.rollback(config, target=target)
            assert _version(server, label="stable") == 2
            assert _version(server, label="canary") == 2
        with server.client("rest", label="stable") as client:
            np.testing.assert_allclose(client.predict(IMAGES)["probabilities"], wants[1], atol=1e-5)
        assert server.alive
    assert load.failures == []
    assert set(load.versions(wants)) == {0, 1, 2}


def test_the_server_refuses_what_promote_goes_round(tmp_path: Path) -> None:
    """A label in use does not go to a version that is not loaded; a refused promotion changes nothing."""
    base = tmp_path / "model"
    for version in (1, 2):
        _export(base, version)
    text = serving.model_config(serving.ServedModel(base, "model", {"stable": 1}))
    config = serving.write_config(tmp_path / "models.config", text)
    flags = {"model_config_file": config, "allow_version_labels_for_unavailable_models": "true"}
    with ModelServer("model", **flags) as server:
        transport = GrpcTransport(parse_target(server.targets["grpc"]), {}, None)
        moved = serving.model_config(serving.ServedModel(base, "model", {"stable": 2}, [1, 2]))
        with pytest.raises(serving.ServingError, match="FAILED_PRECONDITION"):
            transport.reload(_parsed(config, moved), 60)
        transport.close()
        with pytest.raises(serving.ServingError):
            serving.promote(config, target=server.targets["grpc"], version=9, timeout=5)
        assert config.read_text() == text
        assert _version(server, label="stable") == 1
        assert serving.promote(config, target=server.targets["grpc"], version=2).after == 2
        assert _version(server, label="stable") == 2


def test_symconv_serve_runs_the_server(tmp_path: Path) -> None:
    want = _export(tmp_path / "model", 1)
    server = ModelServer()
    script = "import sys; from tf_symconv.cli import main; sys.exit(main(['symconv', *sys.argv[1:]]))"
    arguments = [f"--port={server.port}", f"--rest_api_port={server.rest_port}", "--batching", "--monitoring"]
    command = [sys.executable, "-c", script, "serve", str(tmp_path / "model"), "--labels=stable=1", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert "model is AVAILABLE, version 1" in process.stdout.readline()
            for way in ("rest", "grpc"):
                with server.client(way, label="stable") as client:
                    np.testing.assert_allclose(client.predict(IMAGES)["probabilities"], want, atol=1e-5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            process.kill()
