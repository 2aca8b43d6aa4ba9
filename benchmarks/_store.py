"""The directory of results: one process at a time, whole files, what is measured stays measured. Free of TensorFlow."""

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tf_symconv
from tf_symconv import libraries
from tf_symconv.training._work_directory import RunDirectoryError, WorkDirectory

RESULTS = "results.json"
#: What a results file may hold beside the settings: kinds of measurements, each by the key of the case.
SECTIONS = ("cases", "memory", "construction", "peers")
PICTURES = ("bars.png", "ratios.png", "growth.png")
TABLES = "tables.md"


class StoreError(RunDirectoryError):
    """Why results cannot be read or kept, in one line."""


class Conditions(dict[str, Any]):
    """What results must share to be compared."""

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict."""
        return dict(self)

    def differences(self, others: dict[str, Any]) -> list[str]:
        """Name the conditions that differ."""
        return sorted(name for name in {*self, *others} if self.get(name, ...) != others.get(name, ...))


class Store(WorkDirectory):
    """Results in a directory, held by this process from construction to :meth:`close`.

    Args:
        path: The directory; it is made if it is not there.
        conditions: What results must share.
        overwrite: Start anew if the directory holds results under other conditions.

    Raises:
        RunDirectoryError: If the directory cannot be written, is in use, or holds other results or other files.
    """

    own = (RESULTS, TABLES, *PICTURES)
    writes_in = ()

    def __init__(self, path: str | os.PathLike[str], conditions: Mapping[str, Any], overwrite: bool = False) -> None:
        super().__init__(path, Conditions(conditions), overwrite)
        try:
            file = self.path / RESULTS
            kept = {} if self._anew or not file.exists() else read_results(file)
            self.results: dict[str, Any] = {"settings": dict(conditions), **{name: {} for name in SECTIONS}, **kept}
        except BaseException:
            self.close()
            raise

    @property
    def finished(self) -> bool:
        """Never: there is always more to measure."""
        return False

    def products(self) -> list[Path]:
        """List what there is once something is measured."""
        return [self.path / RESULTS]

    def has(self, section: str, key: str) -> bool:
        """Return whether this is measured."""
        return key in self.results[section]

    def forget(self, section: str, key: str) -> None:
        """Drop a measurement, so that it is made again; the file keeps it until the next one is put."""
        self.results[section].pop(key, None)

    def put(self, section: str, key: str, value: Any) -> None:
        """Keep a measurement, on disk before this returns."""
        self.begin()
        self.results[section][key] = value
        self.write_json(RESULTS, self.results)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_results(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a results file holds.

    Raises:
        StoreError: If it cannot be read, or is no results file.
    """
    try:
        results = json.loads(Path(file).read_text("utf-8"))
    except OSError as error:
        raise StoreError(f"{file} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise StoreError(f"{file} is damaged ({error})") from error
    known = isinstance(results, dict) and isinstance(results.get("settings"), dict)
    if not known or not all(isinstance(results.get(name, {}), dict) for name in SECTIONS):
        raise StoreError(f"{file} is no results file")
    return {**{name: {} for name in SECTIONS}, **results}


def machine() -> dict[str, Any]:
    """Return what the figures depend on: the processor, the cores that this process may use, and the library."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": count, "library": libraries.current().title}


def code_version() -> str:
    """Return a mark of the sources that decide the figures; it changes when they do."""
    digest = hashlib.sha256()
    package = Path(str(tf_symconv.__file__)).parent
    for folder in ("kernels", "layers", "modules", "ops"):
        for file in sorted((package / folder).glob("*.py")):
            digest.update(file.name.encode() + file.read_bytes())
    digest.update((package / "libraries.py").read_bytes())
    return digest.hexdigest()[:12]
