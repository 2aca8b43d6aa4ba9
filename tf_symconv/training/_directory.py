"""The directory of a run: one run, one process, whole files."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tf_symconv.training._settings import ROLES, Settings

try:
    import fcntl
except ImportError:  # Windows: two processes in one directory are not told apart
    fcntl = None

_TEMPORARY = ".tmp-"
_SETTINGS = "run.json"
_OWN = ("checkpoints", "export", "logs", "plots", "metrics.json", "report.html", *(f"{role}.keras" for role in ROLES))


class RunDirectoryError(Exception):
    """Why a directory cannot be used for a run, in one line."""


class RunDirectory:
    """A run directory, held by this process from construction to :meth:`close`.

    Nothing in it changes before :meth:`begin`, but that it is made, and goes again if no run begins in it.

    Args:
        path: the directory.
        settings: those of the run.
        overwrite: start anew if the directory holds a finished run, or one with other settings.

    Raises:
        RunDirectoryError: if the directory cannot be written, is in use by another process, holds a run with other
            settings, or holds files that are no run's.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Settings, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.settings = settings
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
        for folder in (self.path, self.path / "plots", self.export.parent):
            for abandoned in folder.glob(f"{_TEMPORARY}*"):
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
        differences = self.settings.differences(stored)
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
        for name in _OWN:  # each entry goes at once, so that a stop leaves a run that can be resumed or cleared
            entry = self.path / name
            if entry.exists():
                condemned = self.path / f"{_TEMPORARY}{uuid.uuid4().hex}"
                entry.rename(condemned)
                shutil.rmtree(condemned) if condemned.is_dir() else condemned.unlink()
        self.write_json(_SETTINGS, {"settings": self.settings.to_dict()})
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

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def export(self) -> Path:
        """Path of the SavedModel version."""
        return self.path / "export" / "1"

    @property
    def metrics(self) -> Path:
        """Path of all figures, as JSON."""
        return self.path / "metrics.json"

    @property
    def report(self) -> Path:
        """Path of the report. It is written last: a run without it is not finished."""
        return self.path / "report.html"

    @property
    def curves(self) -> Path:
        """Path of the picture of the training curves."""
        return self.path / "plots" / "curves.png"

    def kernels(self, role: str) -> Path:
        """Return the path of the picture of a model's kernels, before and after training."""
        return self.path / "plots" / f"kernels_{role}.png"

    def model(self, role: str) -> Path:
        """Return the path of a trained model as a Keras file."""
        return self.path / f"{role}.keras"

    def checkpoints(self, role: str) -> Path:
        """Return the directory of the states that training resumes from."""
        return self.path / "checkpoints" / role

    def logs(self, role: str) -> Path:
        """Return the directory of a model's TensorBoard logs."""
        return self.path / "logs" / role

    @property
    def finished(self) -> bool:
        """Whether nothing is missing."""
        if self._anew:
            return False
        products = [self.export, self.metrics, self.report, self.curves]
        products += [path for role in ROLES for path in (self.model(role), self.kernels(role))]
        return all(product.exists() for product in products)

    @contextlib.contextmanager
    def writing(self, path: Path, keep: bool = True) -> Iterator[Path]:
        """Give a temporary path with the suffix of ``path``, and rename it to ``path`` when the block ends well.

        Args:
            path: where the file is to appear.
            keep: False to try only whether it could be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}{path.suffix}")
        try:
            yield temporary
            if keep:
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def read_metrics(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds.

        Raises:
            RunDirectoryError: if it is damaged.
        """
        try:
            return json.loads(self.metrics.read_text("utf-8"))
        except ValueError as error:
            raise RunDirectoryError(f"{self.metrics} is damaged ({error}); delete it to measure anew") from error

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the directory."""
        with self.writing(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")
