"""Find TensorFlow Serving, start it, and stay with it until it ends."""

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from tf_symconv.serving._configs import (
    ServedModel,
    batching_config,
    model_config,
    monitoring_config,
    write_config,
)

__all__ = ["BINARY", "IMAGE", "VARIABLE", "Configs", "ServeError", "Server", "find_server", "serve"]

BINARY = "tensorflow_model_server"
IMAGE = "tensorflow/serving"
VARIABLE = "TENSORFLOW_MODEL_SERVER"
_ADVICE = (
    f"install the package tensorflow-model-server, name a binary by --binary or {VARIABLE}, or start docker, which "
    f"runs the image {IMAGE}"
)
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_POLL = 0.2  # seconds
_ATTEMPT = 2.0  # seconds for one look at the server
_GRACE = 10.0  # seconds that a server gets to end
_DAEMON = 20.0  # seconds that the docker daemon gets to answer


class ServeError(Exception):
    """A server that cannot be started, or does not get ready; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Server:
    """How to run TensorFlow Serving.

    Attributes:
        program: the binary, or docker.
        image: the image that docker runs; None for a binary.
    """

    program: str
    image: str | None = None

    def command(self, flags: Sequence[str], ports: Sequence[int], directories: Sequence[Path]) -> list[str]:
        """Return the command line: the server with ``flags``, which sees ``directories`` where they are."""
        if self.image is None:
            return [self.program, *flags]
        seen = list(dict.fromkeys(str(directory) for directory in directories))
        return [
            self.program,
            "run",
            "--rm",
            "--init",  # The server takes no notice of SIGTERM where it is the first process.
            *(f"--publish={port}:{port}" for port in ports),
            *(f"--mount=type=bind,source={directory},target={directory},readonly" for directory in seen),
            f"--entrypoint={BINARY}",
            self.image,
            *flags,
        ]


@dataclasses.dataclass(frozen=True)
class Configs:
    """What the config files shall say. A file that is there already is used as it is.

    Attributes:
        directory: where they lie.
        labels: labels for versions.
        batching: arguments of ``batching_config``; None for no batching.
        monitoring: whether to tell metrics to Prometheus.
    """

    directory: Path
    labels: dict[str, int] = dataclasses.field(default_factory=dict)
    batching: dict[str, Any] | None = None
    monitoring: bool = False


def find_server(binary: str | None = None, image: str = IMAGE) -> Server:
    """Find a server: ``binary``, else the variable TENSORFLOW_MODEL_SERVER, else on the PATH, else docker.

    Raises:
        ServeError: there is none, or the one that is named is no program.
    """
    named = binary or os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            source = "--binary" if binary else VARIABLE
            raise ServeError(f"{source} names no program: {named}")
        return Server(found)
    found = shutil.which(BINARY)
    if found:
        return Server(found)
    docker = shutil.which("docker")
    if docker is None:
        raise ServeError(f"TensorFlow Serving is not here: {_ADVICE}")
    try:
        asked = subprocess.run([docker, "version"], capture_output=True, timeout=_DAEMON)
        answers = asked.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        answers = False
    if not answers:
        raise ServeError(f"TensorFlow Serving is not here, and docker has no daemon that answers: {_ADVICE}")
    return Server(docker, image)


def serve(
    server: Server,
    base_dir: str | os.PathLike[str],
    *,
    name: str,
    port: int,
    rest_port: int,
    configs: Configs,
    further: Sequence[str] = (),
    wait: float = 300.0,
    on_ready: Callable[[str], None] = lambda news: None,
    dry_run: bool = False,
) -> int:
    """Run a server until it ends, and pass signals on to it.

    Args:
        server: what to run.
        base_dir: directory of the numbered versions.
        name: name of the model.
        port: port of the gRPC interface.
        rest_port: port of the REST interface.
        configs: what the config files shall say.
        further: flags that are passed on.
        wait: seconds until the model must be AVAILABLE.
        on_ready: called with one line when it is.
        dry_run: whether to call ``on_ready`` with the command line, and not run it.

    Returns:
        The exit status of the server, 128 plus the signal's number if a signal ended it.

    Raises:
        ServeError: no version to serve, a port that is taken, or a model that does not become AVAILABLE.
        ValueError: labels or numbers that the server would refuse.
    """
    base = Path(base_dir).resolve()
    if not any(path.name.isdecimal() and (path / "saved_model.pb").exists() for path in base.glob("*")):
        raise ServeError(f"no version to serve: {base} must hold directories with numbers for names, each a SavedModel")
    if port == rest_port:
        raise ServeError(f"gRPC and REST must have ports of their own. Received: {port} twice")
    for one in () if dry_run else (port, rest_port):
        _require_free(one)
    flags, names = _flags(base, name, port, rest_port, configs)
    flags = [flag for flag in flags if not any(each.startswith(f"{flag.partition('=')[0]}=") for each in further)]
    directories = [base, configs.directory.resolve()]
    command = server.command([*flags, *further], [port, rest_port], directories)
    if dry_run:
        on_ready(shlex.join(command))
        return 0
    return _stay(command, names, port, rest_port, wait, on_ready)


def _flags(base: Path, name: str, port: int, rest_port: int, configs: Configs) -> tuple[list[str], list[str]]:
    """Write the config files, and return the flags of the server and the names of its models."""
    flags = [f"--port={port}", f"--rest_api_port={rest_port}"]
    models, batching, monitoring = (
        configs.directory.resolve() / f"{kind}.config" for kind in ("models", "batching", "monitoring")
    )
    names = [name]
    if models.exists():
        if configs.labels:
            raise ServeError(f"{models} is there already; symconv promote moves its labels")
        names = re.findall(r'\bname:\s*"([^"]*)"', models.read_text(encoding="utf-8")) or names
    elif configs.labels:
        write_config(models, model_config(ServedModel(base, name, configs.labels)))
    if models.exists():
        flags += [f"--model_config_file={models}", "--allow_version_labels_for_unavailable_models=true"]
    else:
        flags += [f"--model_name={name}", f"--model_base_path={base}"]
    if configs.batching is not None and not batching.exists():
        write_config(batching, batching_config(**configs.batching))
    if batching.exists():
        flags += ["--enable_batching=true", f"--batching_parameters_file={batching}"]
    if configs.batching is not None:
        # Each request keeps a thread until its batch is done: with fewer, batches do not fill.
        threads = 4 * max(os.cpu_count() or 1, configs.batching.get("max_batch_size", 1))
        flags += [f"--grpc_max_threads={threads}", f"--rest_api_num_threads={threads}"]
    if configs.monitoring and not monitoring.exists():
        write_config(monitoring, monitoring_config())
    if monitoring.exists():
        flags.append(f"--monitoring_config_file={monitoring}")
    return flags, names


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise ServeError(f"port {port} cannot be used: {error.strerror}") from error


def _stay(
    command: list[str],
    names: Sequence[str],
    port: int,
    rest_port: int,
    wait: float,
    on_ready: Callable[[str], None],
) -> int:
    with _signals_passed_on() as hand_over:
        try:
            # A session of its own: Ctrl-C comes once, from here.
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            raise ServeError(f"{command[0]} does not start: {error.strerror}") from error
        hand_over(process)
        try:
            news = _await(process, names, rest_port, wait)
            if news:
                on_ready(f"{news}: gRPC localhost:{port}, REST http://localhost:{rest_port}/v1/models/{names[0]}")
            process.wait()
        finally:
            _end(process)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


@contextlib.contextmanager
def _signals_passed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Give signals to the process that is handed over; those that came before it, too."""
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        early.append(number)
        for child in children:
            child.send_signal(number)

    def hand_over(process: subprocess.Popen[bytes]) -> None:
        missed = list(early)
        children.append(process)
        for number in missed:
            process.send_signal(number)

    numbers = [getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)]
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield hand_over
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _await(process: subprocess.Popen[bytes], names: Sequence[str], rest_port: int, wait: float) -> str:
    """Wait until all models are AVAILABLE and return the news; nothing if the process ends before."""
    end = time.monotonic() + wait
    ready: dict[str, list[int]] = {}
    last = "no answer"
    while time.monotonic() < end:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL)
            return ""
        for name in names:
            if name not in ready:
                versions, last = _available(name, rest_port)
                if not versions:
                    break
                ready[name] = versions
        if len(ready) == len(set(names)):
            return ", ".join(f"{name} is AVAILABLE, version {', '.join(map(str, ready[name]))}" for name in ready)
    missing = [name for name in names if name not in ready]
    raise ServeError(f"{missing[0]} is not AVAILABLE after {wait:g} s: {last}")


def _available(name: str, rest_port: int) -> tuple[list[int], str]:
    """Return the versions that are AVAILABLE, and what the server says where there are none."""
    url = f"http://127.0.0.1:{rest_port}/v1/models/{urllib.parse.quote(name, safe='')}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_ATTEMPT) as reply:
            states = json.load(reply)["model_version_status"]
    except urllib.error.HTTPError as error:
        return [], error.read(500).decode(errors="replace").strip() or str(error)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [], str(error)
    found = sorted(int(one["version"]) for one in states if one["state"] == "AVAILABLE")
    told = (f"version {one['version']} is {one['state']} {one['status'].get('error_message', '')}" for one in states)
    return found, ", ".join(told).strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
