"""The directory of a training run."""

import json
import os
from pathlib import Path
from typing import Any

from tf_symconv.training._settings import ROLES, Settings
from tf_symconv.training._work_directory import RunDirectoryError, WorkDirectory

__all__ = ["RunDirectory", "RunDirectoryError"]


class RunDirectory(WorkDirectory):
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

    own = (
        *("checkpoints", "export", "logs", "plots", "metrics.json", "report.html"),
        *(f"{role}.keras" for role in ROLES),
    )
    writes_in = ("plots", "export")

    def __init__(self, path: str | os.PathLike[str], settings: Settings, overwrite: bool = False) -> None:
        self.settings = settings
        super().__init__(path, settings, overwrite)

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

    def products(self) -> list[Path]:
        """List what a finished run has left."""
        own = [path for role in ROLES for path in (self.model(role), self.kernels(role))]
        return [self.export, self.metrics, self.report, self.curves, *own]

    def read_metrics(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds.

        Raises:
            RunDirectoryError: if it is damaged.
        """
        try:
            return json.loads(self.metrics.read_text("utf-8"))
        except ValueError as error:
            raise RunDirectoryError(f"{self.metrics} is damaged ({error}); delete it to measure anew") from error
