"""Write predictions: a table for people, JSON lines or .npy files for programs."""

import base64
import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from tf_symconv.cli import CommandError
from tf_symconv.serving._inputs import Row

__all__ = ["FORMATS", "Writer", "writer"]


class Writer(Protocol):
    """Takes the outputs of the examples, one after another."""

    def add(self, row: Row, outputs: Mapping[str, np.ndarray]) -> None:
        """Take the outputs of one example, without the batch."""

    def fail(self, row: Row, error: str) -> None:
        """Take what is wrong with an example."""

    def finish(self) -> None:
        """Write what is left."""


class _Table:
    def __init__(self, classes: Sequence[str], top: int, file: IO[str]):
        self._classes, self._top, self._file = classes, top, file
        self._rows: list[tuple[str, dict[str, str]]] = []

    def add(self, row: Row, outputs: Mapping[str, np.ndarray]) -> None:
        cells: dict[str, str] = {}
        for name, value in outputs.items():
            cells[name] = self._cell(value)
        self._rows.append((str(row), cells))

    def fail(self, row: Row, error: str) -> None:
        """Errors go to the standard error only."""

    def finish(self) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        names = list(dict.fromkeys(name for _, cells in self._rows for name in cells))
        if not names:
            return
        table = Table("input", *names, box=box.SIMPLE_HEAD, pad_edge=False)
        for row, cells in self._rows:
            table.add_row(*([row] + [cells.get(name, "") for name in names]))
        width = None if self._file.isatty() else 100_000  # Nothing is cut off in a file.
        Console(file=self._file, highlight=False, markup=False, width=width).print(table)

    def _cell(self, value: np.ndarray) -> str:
        if value.dtype.kind == "O":
            return ", ".join(one.decode(errors="replace") for one in value.ravel().tolist()) if value.size <= 8 else ""
        if value.ndim == 1 and value.size > 1 and value.dtype.kind == "f":
            best = np.argsort(-value.astype(np.float64), kind="stable")[: self._top]
            return ", ".join(f"{self._class(int(index))} {float(value[index]):.4g}" for index in best)
        if value.size == 1:
            return f"{value.item():.6g}"
        if value.dtype.kind == "b" or not value.size:
            return f"shape {value.shape}"
        return f"shape {value.shape}, {value.min():.4g} to {value.max():.4g}"

    def _class(self, index: int) -> str:
        return self._classes[index] if index < len(self._classes) else str(index)


class _Json:
    def __init__(self, file: IO[str]):
        self._file = file

    def add(self, row: Row, outputs: Mapping[str, np.ndarray]) -> None:
        self._write(row, {"outputs": {name: _plain(value.tolist()) for name, value in outputs.items()}})

    def fail(self, row: Row, error: str) -> None:
        self._write(row, {"error": error})

    def finish(self) -> None:
        self._file.flush()

    def _write(self, row: Row, found: dict[str, Any]) -> None:
        self._file.write(json.dumps({**_named(row), **found}, allow_nan=False) + "\n")


class _Npy:
    def __init__(self, directory: Path):
        self._directory = directory
        self._rows: list[Row] = []
        self._outputs: dict[str, list[np.ndarray]] = {}

    def add(self, row: Row, outputs: Mapping[str, np.ndarray]) -> None:
        self._rows.append(row)
        for name, value in outputs.items():
            self._outputs.setdefault(name, []).append(value)

    def fail(self, row: Row, error: str) -> None:
        """Errors go to the standard error only."""

    def finish(self) -> None:
        for name, values in self._outputs.items():
            if len(values) != len(self._rows) or len({value.shape for value in values}) > 1:
                raise CommandError(f"--format=npy needs outputs of one shape; {name!r} has many: take --format=json")
        self._directory.mkdir(parents=True, exist_ok=True)
        for name, values in self._outputs.items():
            array = np.stack(values)
            np.save(self._directory / f"{name}.npy", array.astype("S") if array.dtype.kind == "O" else array)
        rows = "".join(f"{json.dumps(_named(row))}\n" for row in self._rows)
        (self._directory / "rows.jsonl").write_text(rows, encoding="utf-8")


FORMATS = ("table", "json", "npy")


@contextlib.contextmanager
def writer(form: str, output: str | None, classes: Sequence[str], top: int) -> Iterator[Writer]:
    """Make the writer for one of ``FORMATS``; ``output`` is a file, or the directory for npy.

    Raises:
        CommandError: the file cannot be written, or ``output`` is missing for npy.
    """
    if form == "npy":
        if output is None:
            raise CommandError("--format=npy needs a directory: --output=DIRECTORY")
        yield _Npy(Path(output))
        return
    with contextlib.ExitStack() as stack:
        file: IO[str] = sys.stdout
        if output is not None:
            file = stack.enter_context(Path(output).open("w", encoding="utf-8"))
        yield _Json(file) if form == "json" else _Table(classes, top, file)


def _named(row: Row) -> dict[str, Any]:
    return {"input": str(row.file)} if row.index is None else {"input": str(row.file), "index": row.index}


def _plain(value: Any) -> Any:
    """Return values that JSON has; numbers that it lacks become the strings that protocol buffers use."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)
