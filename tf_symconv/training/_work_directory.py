"""A directory that a command works in: one set of settings, one process, whole files."""

import abc
import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

try:
    import fcntl
except ImportError:  # Windows: two processes in one directory are not told apart
    fcntl = None

TEMPORARY = ".tmp-"
_SETTINGS = "run.json"


class RunDirectoryError(Exception):
    """Why a directory cannot be used for a run, in one line."""


class DirectorySettings(Protocol):
    """What a directory keeps the settings of its run as."""

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        ...

    def differences(self, others: dict[str, Any]) -> list[str]:
        """Name the settings whose values differ from ``others`` such that both cannot share a directory."""
        ...


class WorkDirectory(abc.ABC):
    """A directory, held by this process from construction to :meth:`close`.

    Nothing in it changes before :meth:`begin`, but that it is made, and goes again if no run begins in it.

    Args:
        path: the directory.
        settings: those of the run.
        overwrite: start anew if the directory holds a finished run, or one with other settings.

    Raises:
        RunDirectoryError: if the directory cannot be written, is in use by another process, holds a run with other
            settings, or holds files that are no run's.
    """

    #: Names of the entries that a run makes, beside its settings.
    own: ClassVar[tuple[str, ...]]
    #: Directories in which whole files appear by renaming.
    writes_in: ClassVar[tuple[str, ...]]

    def __init__(self, path: str | os.PathLike[str], settings: DirectorySettings, overwrite: bool = False) -> None:
        self.path = Path(path)
        self._settings = settings
        self._anew = False
        try:
            self._made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise RunDirectoryError(f"--output_dir cannot be written: {self.path} ({error.strerror})") from error
        try:
            self._take(overwrite)
        except OSError as error:
            self.close()
            raise RunDirectoryError(f"--output_dir cannot be written: {self.path} ({error.strerror})") from error
        except BaseException:
            self.close()
            raise

    def _take(self, overwrite: bool) -> None:
        if fcntl is not None:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunDirectoryError(f"another process trains in {self.path}") from None
        for folder in (self.path, *(self.path / name for name in self.writes_in)):
            for abandoned in folder.glob(f"{TEMPORARY}*"):
                shutil.rmtree(abandoned) if abandoned.is_dir() else abandoned.unlink()
        with self.writing(self.path / _SETTINGS, keep=False) as temporary:
            temporary.touch()
        stored = self._stored_settings()
        if stored is None:
            foreign = sorted(entry.name for entry in self.path.iterdir())
            if foreign:
                raise RunDirectoryError(
                    f"--output_dir must be a new or empty directory, or that of a run: {self.path} holds {foreign[0]}"
                )
            self._anew = True
            return
        differences = self._settings.differences(stored)
        if differences and not overwrite:
            raise RunDirectoryError(
                f"{self.path} holds a run with other settings: {', '.join(differences)}; "
                "name another --output_dir, or add --overwrite to start anew"
            )
        self._anew = overwrite and (bool(differences) or self.finished)

    def begin(self) -> None:
        """Make the directory that of this run: clear what another one left, and note the settings."""
        if not self._anew:
            return
        for name in self.own:  # each entry goes at once, so that a stop leaves a run that can be resumed or cleared
            entry = self.path / name
            if entry.exists():
                condemned = self.path / f"{TEMPORARY}{uuid.uuid4().hex}"
                entry.rename(condemned)
                shutil.rmtree(condemned) if condemned.is_dir() else condemned.unlink()
        self.write_json(_SETTINGS, {"settings": self._settings.to_dict()})
        self._anew = False

    def _stored_settings(self) -> dict[str, Any] | None:
        file = self.path / _SETTINGS
        if not file.exists():
            return None
        try:
            return dict(json.loads(file.read_text("utf-8"))["settings"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunDirectoryError(f"{file} is damaged: {error}") from error

    def close(self) -> None:
        """Let go of the directory."""
        if self._made:
            with contextlib.suppress(OSError):
                self.path.rmdir()  # only an empty one goes
        os.close(self._handle)

    @property
    def finished(self) -> bool:
        """Whether nothing is missing."""
        return not self._anew and all(product.exists() for product in self.products())

    @abc.abstractmethod
    def products(self) -> list[Path]:
        """List what a finished run has left."""

    @contextlib.contextmanager
    def writing(self, path: Path, keep: bool = True) -> Iterator[Path]:
        """Give a temporary path with the suffix of ``path``, and rename it to ``path`` when the block ends well.

        Args:
            path: where the file is to appear.
            keep: False to try only whether it could be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}{path.suffix}")
        try:
            yield temporary
            if keep:
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the directory."""
        with self.writing(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")
