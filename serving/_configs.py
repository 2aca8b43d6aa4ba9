"""The text files that TensorFlow Serving reads: which models, how to batch, what to tell Prometheus.

They are text protocol buffers: ``ModelServerConfig``, ``BatchingParameters`` and ``MonitoringConfig``. They are written
without TensorFlow, and replaced by renaming, so that a server that reads one meanwhile sees the old or the new.
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

__all__ = ["ServedModel", "batching_config", "model_config", "monitoring_config", "write_config"]

_NAME = re.compile(r"[^/:\s]+")  # what may stand between the slashes and colons of the REST interface
_ROOTED = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*://|[A-Za-z]:[\\/]")


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A model in the model config.

    Args:
        base_path: the directory of its numbered versions as the server sees it: an absolute path or a URL.
        name: the name that requests use.
        labels: names for versions, ``{"stable": 3, "canary": 4}``; requests may use them instead of numbers.
        versions: the versions to load: ``"all"``, ``"latest"``, a number of latest ones by ``("latest", n)``, or a
            list of versions. None loads the labelled versions, or the latest where there are no labels.

    Raises:
        ValueError: a relative path, names with a slash, a colon or a space, versions below 1, or a label for a
            version that is not loaded.

    Example:
        >>> from tf_symconv import serving
        >>> print(serving.model_config(serving.ServedModel("/models/digits", "digits", {"stable": 1})))
        model_config_list {
          config {
            name: "digits"
            base_path: "/models/digits"
            model_platform: "tensorflow"
            model_version_policy {
              specific {
                versions: 1
              }
            }
            version_labels {
              key: "stable"
              value: 1
            }
          }
        }
        <BLANKLINE>

    Source: ``model_server_config.proto`` and the serving configuration guide of TensorFlow Serving.
    """

    base_path: str | os.PathLike[str]
    name: str = "model"
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    versions: Literal["all", "latest"] | tuple[Literal["latest"], int] | Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check what the server would refuse."""
        path = os.fspath(self.base_path)
        if not _ROOTED.match(path):
            raise ValueError(f"base_path must be an absolute path or a URL. Received: base_path={path!r}")
        for kind, name in (("name", self.name), *(("label", label) for label in self.labels)):
            if not _NAME.fullmatch(name):
                raise ValueError(f"a {kind} must have no slash, colon or space. Received: {kind}={name!r}")
        listed = self._listed()
        given = dict.fromkeys([*self.labels.values(), *(listed or ())])
        wrong = [version for version in given if not _is_positive(version)]
        if wrong:
            raise ValueError(f"versions must be whole numbers from 1 up. Received: {wrong}")
        missing = sorted(set(self.labels.values()) - set(listed)) if listed is not None else []
        if missing:
            raise ValueError(f"labels must name versions that are loaded. Received: {missing}, versions={listed}")
        if listed == []:
            raise ValueError("versions must name a version. Received: versions=[]")

    def _listed(self) -> list[int] | None:
        """Return the versions by number, None where the server chooses."""
        if self.versions is None:
            return sorted(set(self.labels.values())) or None
        if isinstance(self.versions, str):
            if self.versions not in ("all", "latest"):
                raise ValueError(f"versions must be 'all', 'latest' or numbers. Received: versions={self.versions!r}")
            return None
        if len(self.versions) == 2 and self.versions[0] == "latest":
            if not _is_positive(self.versions[1]):
                raise ValueError(f"the latest versions must be 1 or more. Received: versions={self.versions!r}")
            return None
        numbers: list[Any] = [*self.versions]
        return numbers

    def _lines(self) -> Iterator[str]:
        yield f"name: {_quoted(self.name)}"
        yield f"base_path: {_quoted(os.fspath(self.base_path))}"
        yield 'model_platform: "tensorflow"'
        listed = self._listed()
        if self.versions == "all":
            yield from _block("model_version_policy", _block("all", []))
        elif listed is not None:
            yield from _block("model_version_policy", _block("specific", [f"versions: {n}" for n in listed]))
        elif self.versions is not None:
            count = self.versions[1] if not isinstance(self.versions, str) else 1
            yield from _block("model_version_policy", _block("latest", [f"num_versions: {count}"]))
        for label, version in sorted(self.labels.items()):
            yield from _block("version_labels", [f"key: {_quoted(label)}", f"value: {version}"])


def model_config(*models: ServedModel) -> str:
    """Return the text of a model config: which models and versions to load, and their labels.

    A server takes it as ``--model_config_file``. Labels that are there when the server starts need
    ``--allow_version_labels_for_unavailable_models=true`` besides; ``promote`` and ``rollback`` move them later.

    Args:
        *models: the models, at least one, each with a name of its own.

    Raises:
        ValueError: no model, or two of one name.

    Example:
        >>> from tf_symconv import serving
        >>> serving.model_config()
        Traceback (most recent call last):
        ValueError: a model config must have models of different names. Received: names=[]

    Source: ``model_server_config.proto`` of TensorFlow Serving.
    """
    names = [model.name for model in models]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"a model config must have models of different names. Received: names={names}")
    entries = [line for model in models for line in _block("config", model._lines())]
    return _text(_block("model_config_list", entries))


def batching_config(
    max_batch_size: int = 32,
    *,
    batch_timeout_micros: int = 1000,
    max_enqueued_batches: int = 1000,
    num_batch_threads: int | None = None,
    allowed_batch_sizes: Sequence[int] | None = None,
    pad_variable_length_inputs: bool = False,
) -> str:
    """Return the text of a batching config: how requests are joined into batches.

    A server takes it as ``--batching_parameters_file`` beside ``--enable_batching=true``.

    Args:
        max_batch_size: the largest batch; larger requests are refused.
        batch_timeout_micros: how long a request waits for others.
        max_enqueued_batches: batches that may wait; requests beyond get UNAVAILABLE.
        num_batch_threads: batches that run at once. None stands for the processors of this machine.
        allowed_batch_sizes: batches are filled up to the next of these sizes. They rise, and the last is
            ``max_batch_size``. None allows every size.
        pad_variable_length_inputs: fill up inputs of different shapes to the largest.

    Raises:
        ValueError: numbers below 1 (``batch_timeout_micros``: below 0), or sizes that do not rise to
            ``max_batch_size``.

    Example:
        >>> from tf_symconv import serving
        >>> print(serving.batching_config(8, num_batch_threads=2, allowed_batch_sizes=[1, 8]))
        max_batch_size { value: 8 }
        batch_timeout_micros { value: 1000 }
        max_enqueued_batches { value: 1000 }
        num_batch_threads { value: 2 }
        allowed_batch_sizes: 1
        allowed_batch_sizes: 8
        <BLANKLINE>

    Source: ``session_bundle_config.proto`` and the batching guide of TensorFlow Serving.
    """
    numbers = {
        "max_batch_size": max_batch_size,
        "batch_timeout_micros": batch_timeout_micros,
        "max_enqueued_batches": max_enqueued_batches,
        "num_batch_threads": (os.cpu_count() or 1) if num_batch_threads is None else num_batch_threads,
    }
    for name, number in numbers.items():
        if not _is_positive(number) and not (name == "batch_timeout_micros" and number == 0):
            raise ValueError(f"{name} must be a whole number from 1 up. Received: {name}={number!r}")
    sizes = list(allowed_batch_sizes or [])
    rising = all(_is_positive(size) for size in sizes) and sizes == sorted(set(sizes))
    if allowed_batch_sizes is not None and (not rising or sizes[-1:] != [max_batch_size]):
        raise ValueError(
            "allowed_batch_sizes must rise to max_batch_size. "
            f"Received: allowed_batch_sizes={sizes}, max_batch_size={max_batch_size}"
        )
    lines = [f"{name} {{ value: {number} }}" for name, number in numbers.items()]
    lines += [f"allowed_batch_sizes: {size}" for size in sizes]
    return _text([*lines, *(["pad_variable_length_inputs: true"] if pad_variable_length_inputs else [])])


def monitoring_config(path: str = "/monitoring/prometheus/metrics") -> str:
    """Return the text of a monitoring config: metrics for Prometheus at the REST port.

    A server takes it as ``--monitoring_config_file``.

    Args:
        path: where the metrics lie.

    Raises:
        ValueError: the path does not begin with a slash.

    Example:
        >>> from tf_symconv import serving
        >>> print(serving.monitoring_config())
        prometheus_config {
          enable: true
          path: "/monitoring/prometheus/metrics"
        }
        <BLANKLINE>

    Source: ``monitoring_config.proto`` of TensorFlow Serving.
    """
    if not path.startswith("/"):
        raise ValueError(f"path must begin with a slash. Received: path={path!r}")
    return _text(_block("prometheus_config", ["enable: true", f"path: {_quoted(path)}"]))


def write_config(path: str | os.PathLike[str], text: str) -> Path:
    """Write a config file whole or not at all.

    Args:
        path: the file; it is replaced if it exists, and keeps its permissions.
        text: what ``model_config``, ``batching_config`` or ``monitoring_config`` returned.

    Returns:
        The path of the file.

    Raises:
        OSError: the directory is missing, or cannot be written.

    Example:
        >>> import tempfile
        >>> from tf_symconv import serving
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     serving.write_config(f"{directory}/monitoring.config", serving.monitoring_config()).name
        'monitoring.config'
    """
    path = Path(path)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # The server may be another user.
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _is_positive(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _block(name: str, lines: Iterator[str] | Sequence[str]) -> list[str]:
    return [f"{name} {{", *(f"  {line}" for line in lines), "}"]


def _text(lines: Sequence[str]) -> str:
    return "\n".join([*lines, ""])
