"""Move the labels of versions: in the model config, and in the server that reads it.

TensorFlow Serving refuses a config that gives a label in use to a version that is not loaded, before it looks at the
versions to load. So a version is loaded first, by a config with the old labels, and gets its label then.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from tf_symconv.serving._answers import ServingError, VersionStatus
from tf_symconv.serving._api import protocol
from tf_symconv.serving._client import connect
from tf_symconv.serving._configs import write_config
from tf_symconv.serving._transport import ModelSpec, parse_target

try:
    import fcntl
except ImportError:  # Windows has no flock.
    fcntl = None

__all__ = ["LabelError", "Move", "promote", "rollback"]

_PREVIOUS = "previous-"
_POLL = 0.2  # seconds
_ATTEMPT = 30.0  # seconds for one call of the server


class LabelError(Exception):
    """A label that cannot be moved; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Move:
    """A label that has moved.

    Attributes:
        model: name of the model.
        label: the label.
        before: the version that had it; None if none.
        after: the version that has it.
        labels: all labels of the model now.
        reloaded: whether the server has taken over the new config.
    """

    model: str
    label: str
    before: int | None
    after: int
    labels: dict[str, int]
    reloaded: bool


def promote(
    config: str | os.PathLike[str],
    *,
    version: int | None = None,
    label: str = "stable",
    source: str = "canary",
    model: str | None = None,
    target: str | None = None,
    timeout: float = 300.0,
) -> Move:
    """Give a label to a version, by default ``stable`` to the version that is ``canary``.

    The version that had the label keeps ``previous-LABEL``, so that it stays loaded for ``rollback``. Where the config
    lists versions, the list follows the labels: versions get on it with a label, and leave it with their last one.
    A config that loads the latest versions becomes one that lists them. Comments behind the first lines are lost.

    Args:
        config: the model config, a file.
        version: the version. None stands for the one with the label ``source``.
        label: the label to move.
        source: the label of the version to promote, where ``version`` is None.
        model: name of the model. None stands for the only one in the config.
        target: gRPC address of the server, which loads the version if it is not loaded yet, and takes over the new
            labels. None leaves that to servers that poll the file (``--model_config_file_poll_wait_seconds``); the
            version must be loaded then.
        timeout: seconds until the version must be loaded.

    Returns:
        What has moved. If the server refuses, the config is as it was, in the file and in the server.

    Raises:
        LabelError: no such file, model, label or version; a config that is no model config; another promotion is at
            work; or the version has the label already.
        ServingError: the server gave no answer, could not load the version, or refuses the config.
        ValueError: a version or a timeout that is not above 0, or a target that is not gRPC.
        ImportError: what ``pip install 'tf_symconv[serving]'`` brings is missing.

    Example:
        >>> import tempfile
        >>> from tf_symconv import serving
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     digits = serving.ServedModel("/models/digits", "digits", {"stable": 1, "canary": 2})
        ...     config = serving.write_config(f"{directory}/models.config", serving.model_config(digits))
        ...     print(serving.promote(config).labels)
        ...     print(serving.rollback(config).labels)
        {'canary': 2, 'previous-stable': 1, 'stable': 2}
        {'canary': 2, 'stable': 1}

    Source: "Assigning string labels to model versions" in the serving configuration guide of TensorFlow Serving.
    """
    return _move(config, model, label, version, source, False, target, timeout)


def rollback(
    config: str | os.PathLike[str],
    *,
    version: int | None = None,
    label: str = "stable",
    model: str | None = None,
    target: str | None = None,
    timeout: float = 300.0,
) -> Move:
    """Give a label back to the version that had it before the last ``promote``.

    Args:
        config: the model config, a file.
        version: another version to go back to.
        label: the label to move.
        model: name of the model. None stands for the only one in the config.
        target: gRPC address of the server, as for ``promote``.
        timeout: seconds until the version must be loaded.

    Returns:
        What has moved. If the server refuses, the config is as it was, in the file and in the server.

    Raises:
        LabelError: as for ``promote``; or there is no earlier version.
        ServingError: the server gave no answer, could not load the version, or refuses the config.
        ValueError: a version or a timeout that is not above 0, or a target that is not gRPC.
        ImportError: what ``pip install 'tf_symconv[serving]'`` brings is missing.

    Example: see ``promote``.
    """
    return _move(config, model, label, version, f"{_PREVIOUS}{label}", True, target, timeout)


def _move(
    config: str | os.PathLike[str],
    model: str | None,
    label: str,
    version: int | None,
    source: str,
    back: bool,
    target: str | None,
    timeout: float,
) -> Move:
    if version is not None and version < 1:
        raise ValueError(f"version must be 1 or more. Received: version={version}")
    if not timeout > 0:
        raise ValueError(f"timeout must be above 0. Received: timeout={timeout}")
    path = Path(config)
    with _alone(path.parent):
        text = _text(path)
        servers = _parsed(path, text)
        entry = _entry(servers, path, model)
        labels = dict(entry.version_labels)
        before = labels.get(label)
        if version is None:
            version = labels.get(source)
            if version is None:
                what = "no earlier version to go back to" if back else f"no version with the label {source!r}"
                raise LabelError(f"model {entry.name!r} has {what} (give a version, or one of its labels: {labels})")
        if version == before:
            raise LabelError(f"version {version} of model {entry.name!r} has the label {label!r} already")
        new_labels = {**labels, label: version}
        previous = f"{_PREVIOUS}{label}"
        new_labels.pop(previous, None)
        if before is not None and not back:
            new_labels[previous] = before
        head = _head(text)
        if target is None:
            _require_loaded(entry, version)
            _apply(entry, new_labels, _listed(entry))
            write_config(path, head + _printed(servers))
        else:
            with _Server(target, entry.name) as server:
                _through(server, path, text, servers, entry, version, new_labels, timeout)
    return Move(entry.name, label, before, version, dict(sorted(new_labels.items())), target is not None)


def _through(
    server: "_Server",
    path: Path,
    text: str,
    servers: Any,
    entry: Any,
    version: int,
    new_labels: dict[str, int],
    timeout: float,
) -> None:
    """Load the version, then move the label; put everything back if the server refuses."""
    head, old = _head(text), _parsed(path, text)
    try:
        states = server.states()
        loaded = {state.version for state in states if state.available}
        if version not in loaded or not _lists(entry, version):
            listed = _listed(entry)
            if not entry.model_version_policy.HasField("all"):
                _list(entry, {*(loaded if listed is None else listed), version})
            server.take(path, head + _printed(servers), servers)
            server.wait(version, timeout)
        _apply(entry, new_labels, _listed(entry))
        server.take(path, head + _printed(servers), servers)
    except BaseException:
        write_config(path, text)
        with contextlib.suppress(ServingError):
            server.reload(old)
        raise


class _Server:
    """The server at ``target``."""

    def __init__(self, target: str, model: str):
        parsed = parse_target(target)
        if parsed.rest:
            raise ValueError(f"a server takes a config by gRPC only; give HOST:PORT. Received: target={target!r}")
        self._transport: Any = connect(parsed, {}, None)
        self._spec = ModelSpec(model)

    def states(self) -> list[VersionStatus]:
        try:
            return self._transport.status(self._spec, _ATTEMPT)
        except ServingError as error:
            if error.code == "NOT_FOUND":  # The server does not serve this model yet.
                return []
            raise

    def take(self, path: Path, text: str, servers: Any) -> None:
        write_config(path, text)
        self.reload(servers)

    def reload(self, servers: Any) -> None:
        self._transport.reload(servers, _ATTEMPT)

    def wait(self, version: int, timeout: float) -> None:
        end = time.monotonic() + timeout
        while True:
            found = [state for state in self.states() if state.version == version]
            if any(state.available for state in found):
                return
            if any(state.failed for state in found):
                raise ServingError(found[0].error_code, f"version {version} failed to load: {found[0].error_message}")
            if time.monotonic() > end:
                state = found[0].state if found else "unknown to the server"
                raise ServingError("DEADLINE_EXCEEDED", f"version {version} is {state} after {timeout:g} s")
            time.sleep(_POLL)

    def __enter__(self) -> "_Server":
        return self

    def __exit__(self, *error: object) -> None:
        self._transport.close()


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other promotions out."""
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise LabelError(f"no directory {directory}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LabelError(f"another promotion or rollback is at work in {directory}") from error
        yield
    finally:
        os.close(descriptor)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"no model config in {path}: {error}") from error


def _parsed(path: Path, text: str) -> Any:
    try:
        messages = protocol("config.model_server_config_pb2")
    except ImportError as error:
        raise ImportError(f"labels need more packages ({error}): pip install 'tf_symconv[serving]'") from error
    try:
        return text_format.Parse(text, messages.ModelServerConfig())
    except text_format.ParseError as error:
        raise LabelError(f"{path} is no model config: {error}") from error


def _printed(servers: Any) -> str:
    return text_format.MessageToString(servers, as_utf8=True)


def _head(text: str) -> str:
    """Return the comments that a config begins with."""
    lines = text.splitlines(keepends=True)
    count = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[:count])


def _entry(servers: Any, path: Path, model: str | None) -> Any:
    entries = {entry.name: entry for entry in servers.model_config_list.config}
    if model is None and len(entries) == 1:
        return next(iter(entries.values()))
    if model not in entries:
        raise LabelError(f"{path} has the models {sorted(entries)}; give one of them. Received: model={model!r}")
    return entries[model]


def _listed(entry: Any) -> set[int] | None:
    """Return the versions that the config lists; None where it lists none."""
    policy = entry.model_version_policy
    return set(policy.specific.versions) if policy.HasField("specific") else None


def _lists(entry: Any, version: int) -> bool:
    """Whether the config keeps the version loaded."""
    return entry.model_version_policy.HasField("all") or version in (_listed(entry) or ())


def _require_loaded(entry: Any, version: int) -> None:
    if not _lists(entry, version):
        raise LabelError(
            f"the config of model {entry.name!r} does not load version {version}; give the server's target, so that it "
            "is loaded before it gets the label"
        )


def _apply(entry: Any, labels: dict[str, int], listed: set[int] | None) -> None:
    """Set the labels; a list of versions follows them."""
    lost = set(entry.version_labels.values()) - set(labels.values())
    entry.version_labels.clear()
    for label, version in labels.items():
        entry.version_labels[label] = version
    if not entry.model_version_policy.HasField("all"):
        _list(entry, ((listed or set()) - lost) | set(labels.values()))


def _list(entry: Any, versions: set[int]) -> None:
    del entry.model_version_policy.specific.versions[:]
    entry.model_version_policy.specific.versions.extend(sorted(versions))
