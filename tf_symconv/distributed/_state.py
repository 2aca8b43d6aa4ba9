"""The state that a training resumes from: one file, written and read by the chief, told to the other workers.

So a checkpoint needs no file system that the workers share, and no half of one can be met.
"""

import dataclasses
import itertools
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.distributed._errors import DistributedTrainingError, first_line

try:
    import fcntl
except ImportError:  # Windows: two trainings in one directory are not told apart
    fcntl = None

_FILE = "checkpoint.npz"
_TEMPORARY = ".tmp-"
_CHUNK = 1 << 21  # int64 numbers that are told at a time: 16 MiB


@dataclasses.dataclass
class Progress:
    """How far a training has come.

    Attributes:
        history: figures of the epochs that are done.
        step: steps of the epoch that runs.
        totals: sums of the figures over those steps.
    """

    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    step: int = 0
    totals: list[float] = dataclasses.field(default_factory=list)


class Checkpoints:
    """The file of a directory that holds the last state, and the hold on that directory.

    Args:
        directory: made if it is missing.

    Raises:
        DistributedTrainingError: if it cannot be written, or another process holds it.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / _FILE
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(directory, os.O_RDONLY)
            if fcntl is not None:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for abandoned in directory.glob(f"{_TEMPORARY}*"):
                abandoned.unlink()
        except BlockingIOError as error:
            os.close(self._handle)
            raise DistributedTrainingError(f"another process trains in {directory}") from error
        except OSError as error:
            raise DistributedTrainingError(f"{directory} cannot be written ({error.strerror})") from error

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._handle)

    def save(self, progress: Progress, values: Sequence[np.ndarray]) -> None:
        """Replace the state.

        Raises:
            DistributedTrainingError: if it cannot be written.
        """
        types = [str(value.dtype) for value in values]
        text = json.dumps({"types": types, "progress": dataclasses.asdict(progress)})
        arrays = {f"value_{i}": _plain(value) for i, value in enumerate(values)}
        temporary = self._file.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}.npz")
        try:
            with temporary.open("wb") as file:
                np.savez(file, header=np.array(text), **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._file)
        except OSError as error:
            raise DistributedTrainingError(f"{self._file} cannot be written ({error.strerror})") from error
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, like: Sequence[np.ndarray]) -> tuple[Progress, list[np.ndarray]] | None:
        """Return the state, or None if there is none.

        Raises:
            DistributedTrainingError: if it is damaged, or of variables unlike those given.
        """
        if not self._file.exists():
            return None
        try:
            with self._file.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                header = json.loads(stored["header"].item())
                values = [stored[f"value_{i}"] for i in range(len(header["types"]))]
            progress = Progress(**header["progress"])
            types = header["types"]
        except Exception as error:
            raise DistributedTrainingError(
                f"{self._file} is damaged ({first_line(error)}); delete it to train anew"
            ) from error
        theirs = [f"{kind}{list(value.shape)}" for kind, value in zip(types, values, strict=True)]
        ours = [f"{value.dtype}{list(value.shape)}" for value in like]
        if theirs != ours:
            pairs = itertools.zip_longest(theirs, ours, fillvalue="none")
            place, (held, wanted) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
            raise DistributedTrainingError(
                f"{self._file} is of another model or optimizer (variable {place} is {held} there, and {wanted} here); "
                "name another directory, or delete the file to train anew"
            )
        return progress, [value.astype(own.dtype) for value, own in zip(values, like, strict=True)]


def _plain(value: np.ndarray) -> np.ndarray:
    """Return an array of a type that NumPy itself knows; no value changes."""
    return value if value.dtype.kind in "biufc" else value.astype(np.float32)


def tell(strategy: tf.distribute.Strategy, workers: int, is_chief: bool, content: bytes) -> bytes:
    """Return the chief's content, on all workers."""
    if workers == 1:
        return content
    length = int(_tell(strategy, is_chief, np.array([len(content)], np.int64), 1)[0])
    size = -(-length // 8)
    numbers = np.frombuffer(content.ljust(size * 8, b"\0"), np.int64) if is_chief else np.zeros(size, np.int64)
    parts = [
        _tell(strategy, is_chief, numbers[start : start + _CHUNK], min(_CHUNK, size - start))
        for start in range(0, size, _CHUNK)
    ]
    return b"".join(part.tobytes() for part in parts)[:length]


def _tell(strategy: tf.distribute.Strategy, is_chief: bool, numbers: np.ndarray, size: int) -> np.ndarray:
    """Return the chief's numbers: the sum of these and of everybody else's zeros."""

    def value(context: Any) -> tf.Tensor:
        mine = is_chief and context.replica_id_in_sync_group == 0
        return tf.constant(numbers if mine else np.zeros(size, np.int64))

    values = strategy.experimental_distribute_values_from_function(value)
    return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()
