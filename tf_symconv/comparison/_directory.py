"""The directory of a comparison: one record for each trial, and what is made of them."""

import json
import math
import os
from pathlib import Path

from tf_symconv.comparison._settings import ComparisonSettings, Trial
from tf_symconv.training import RunDirectoryError
from tf_symconv.training._work_directory import WorkDirectory

_RECORDS = "trials"


class ComparisonDirectory(WorkDirectory):
    """The directory of a comparison, held by this process from construction to :meth:`close`.

    A trial counts from the moment its record is whole. More sizes, seeds or methods add further
    records.

    Args:
        path: the directory.
        settings: those of the comparison.
        overwrite: start anew if the directory holds a finished comparison, or one with other settings.

    Raises:
        RunDirectoryError: as :class:`~tf_symconv.training.RunDirectory` does.
    """

    own = (_RECORDS, "results.json", "table.md", "comparison.png")
    writes_in = (_RECORDS,)

    def __init__(self, path: str | os.PathLike[str], settings: ComparisonSettings, overwrite: bool = False) -> None:
        self.settings = settings
        super().__init__(path, settings, overwrite)

    def __enter__(self) -> "ComparisonDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def results(self) -> Path:
        """Path of all figures, as JSON."""
        return self.path / "results.json"

    @property
    def table(self) -> Path:
        """Path of the table, in Markdown."""
        return self.path / "table.md"

    @property
    def picture(self) -> Path:
        """Path of the picture."""
        return self.path / "comparison.png"

    def products(self) -> list[Path]:
        """List what a finished comparison has left."""
        return [self.results, self.table, self.picture]

    def read(self, trial: Trial) -> dict[str, float] | None:
        """Return the record of a trial, or None if it has not been run.

        Raises:
            RunDirectoryError: if the record is damaged.
        """
        file = self._record(trial)
        if not file.exists():
            return None
        try:
            record = {name: float(value) for name, value in json.loads(file.read_text("utf-8"))["figures"].items()}
            if not all(math.isfinite(record[name]) for name in ("accuracy", "loss", "training_loss", "seconds")):
                raise ValueError("a figure is not finite")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunDirectoryError(f"{file} is damaged ({error!r}); delete it to run the trial anew") from error
        return record

    def write(self, trial: Trial, figures: dict[str, float]) -> None:
        """Write the record of a trial."""
        self.write_json(str(self._record(trial).relative_to(self.path)), {"trial": vars(trial), "figures": figures})

    def _record(self, trial: Trial) -> Path:
        return self.path / _RECORDS / f"{trial.name}.json"
