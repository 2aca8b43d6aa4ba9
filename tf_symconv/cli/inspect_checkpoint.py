"""List what a name-based checkpoint holds: names, shapes, types, and which of them are optimiser state.

PREFIX is what tf.train.Saver was given, or the directory of checkpoints, of which the latest counts. Unnamed scalars of
one scope, which spectral layers of the TF1 era have by the hundred, share a line unless --all is given.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from absl import flags

from tf_symconv.cli import CommandError
from tf_symconv.cli._quiet import quiet_stderr

USAGE = "PREFIX"
FLAGS = flags.FlagValues()

flags.DEFINE_string("pattern", "", "Show only names in which this regular expression is found.", flag_values=FLAGS)
flags.DEFINE_boolean("values", False, "Read the arrays and show their range, mean and norm.", flag_values=FLAGS)
flags.DEFINE_boolean("all", False, "Show every unnamed scalar on its own line.", flag_values=FLAGS)
flags.DEFINE_boolean("json", False, "Print everything as JSON.", flag_values=FLAGS)

_SLOT = re.compile(r"(?P<owner>.+)/(Adadelta|Adagrad|Adam|Ftrl|Momentum|RMSProp|ExponentialMovingAverage)(_\d+)?")
_COUNTERS = re.compile(r"(.*/)?(global_step|beta[12]_power(_\d+)?)")
_UNNAMED = re.compile(r"(?P<stem>(.*/)?Variable)(_(?P<number>\d+))?(?P<slot>/.*)?")

_STATISTICS = ("min", "mean", "max", "norm")


def run(arguments: Sequence[str]) -> int:
    """List the checkpoint in ``arguments[0]``."""
    if len(arguments) != 1:
        raise CommandError(f"symconv inspect-checkpoint takes one PREFIX. Received: {len(arguments)} arguments")
    with quiet_stderr():
        from tf_symconv.compat_v1 import _checkpoint_files

    try:
        pattern = re.compile(FLAGS.pattern)
    except re.error as error:
        raise CommandError(f"--pattern is a regular expression ({error}). Received: {FLAGS.pattern!r}") from None
    try:
        checkpoint = _checkpoint_files.Checkpoint(arguments[0])
        rows = [_row(checkpoint, name) for name in checkpoint.shapes if pattern.search(name)]
    except ValueError as error:
        raise CommandError(str(error)) from error
    if FLAGS.json:
        print(json.dumps({"prefix": checkpoint.prefix, "variables": rows}, indent=2))
        return 0
    print(checkpoint.prefix)
    if _checkpoint_files.is_object_based(checkpoint):
        print("written by tf.train.Checkpoint: the names are paths of attributes, and that class restores them")
    print("\n".join(_table(rows if FLAGS.all else _fold(rows))))
    plain = [row for row in rows if row["kind"] == "variable"]
    print(
        f"{len(plain)} variables with {sum(row['size'] for row in plain):,} numbers; "
        f"{len(rows)} entries with {sum(row['bytes'] for row in rows):,} bytes in all"
    )
    return 0


def _row(checkpoint: Any, name: str) -> dict[str, Any]:
    shape, dtype = checkpoint.shapes[name], checkpoint.dtypes[name]
    slot = _SLOT.fullmatch(name)
    kind = "variable"
    if slot is not None and slot["owner"] in checkpoint:
        kind = f"slot of {slot['owner']}"
    elif _COUNTERS.fullmatch(name):
        kind = "counter"
    size = math.prod(shape)
    row = {
        "name": name,
        "shape": list(shape),
        "dtype": dtype.name,
        "size": size,
        "bytes": size * dtype.size if dtype.size else 0,
        "kind": kind,
    }
    return {**row, **_statistics(checkpoint[name])} if FLAGS.values else row


def _statistics(array: Any) -> dict[str, float]:
    import numpy as np

    if not np.issubdtype(np.asarray(array).dtype, np.number) or not np.size(array):
        return {}
    magnitude = np.abs(array) if np.iscomplexobj(array) else np.asarray(array)
    return {
        "min": float(np.min(magnitude)),
        "mean": float(np.mean(magnitude)),
        "max": float(np.max(magnitude)),
        "norm": float(np.linalg.norm(np.asarray(array).ravel())),
    }


def _fold(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the unnamed scalars of each scope into one row."""
    folded: dict[Any, dict[str, Any]] = {}
    for row in rows:
        unnamed = _UNNAMED.fullmatch(row["name"]) if not row["shape"] else None
        if unnamed is None:
            folded[row["name"]] = row
            continue
        key = (unnamed["stem"], unnamed["slot"])
        first = folded.setdefault(key, {**row, "size": 0, "bytes": 0, "count": 0})
        for field, amount in (("size", row["size"]), ("bytes", row["bytes"]), ("count", 1)):
            first[field] += amount
        if first["count"] > 1:
            slot = unnamed["slot"] or ""
            first["name"] = f"{unnamed['stem']}*{slot} ({first['count']} scalars)"
            first["kind"] = f"slots of {unnamed['stem']}*" if row["kind"].startswith("slot") else row["kind"]
            for statistic in _STATISTICS:
                first.pop(statistic, None)
    return list(folded.values())


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines: list[tuple[str, ...]] = [
        ("NAME", "SHAPE", "TYPE", "KIND", *(map(str.upper, _STATISTICS) if FLAGS.values else ()))
    ]
    for row in rows:
        shape = "x".join(map(str, row["shape"])) or "scalar"
        numbers = [f"{row[key]:.4g}" if key in row else "-" for key in _STATISTICS]
        lines.append((row["name"], shape, row["dtype"], row["kind"], *(numbers if FLAGS.values else [])))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
