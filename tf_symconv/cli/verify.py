"""Check a SavedModel version with the TensorFlow C API alone.

The version runs in a process that has the C library of TensorFlow and never imports its Python package, as the server
does. Each signature answers its recorded examples, which must equal the recorded outputs; ops that are not stock
TensorFlow and functions that demand XLA are listed; malformed requests must each get an error and not a crash.
Exit status 0 only if all is well.
"""

import json
from collections.abc import Sequence

from absl import flags

from tf_symconv.cli import CommandError
from tf_symconv.serving import Report, SavedModelError, verify

USAGE = "VERSION_DIR"
FLAGS = flags.FlagValues()

flags.DEFINE_float(
    "tolerance",
    None,
    "Largest difference of an output, relative to its largest recorded magnitude. Default: 1e-5, or 8 roundings of "
    "the 16-bit type that the model computes with.",
    lower_bound=0.0,
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "timeout", 120.0, "Seconds to wait for the answer to one request.", lower_bound=0.001, flag_values=FLAGS
)
flags.DEFINE_boolean("json", False, "Print the whole report as JSON.", flag_values=FLAGS)


def run(arguments: Sequence[str]) -> int:
    """Verify the version in ``arguments[0]`` and print the report."""
    if len(arguments) != 1:
        raise CommandError(f"symconv verify takes one VERSION_DIR. Received: {len(arguments)} arguments")
    try:
        report = verify(arguments[0], tolerance=FLAGS.tolerance, timeout=FLAGS.timeout)
    except (SavedModelError, ValueError) as error:
        raise CommandError(str(error)) from error
    print(json.dumps(report.to_dict(), indent=2) if FLAGS.json else "\n".join(_lines(report)))
    return 0 if report.ok else 1


def _lines(report: Report) -> list[str]:
    lines = [
        f"{report.version_dir}: {', '.join(report.signatures) or 'no signature'}",
        f"run by the C library of TensorFlow {report.tensorflow_version}",
        "",
        *_table(
            ("RECORDED EXAMPLES", "output", "max abs difference", "allowed", "verdict"),
            [
                (
                    row.signature,
                    row.output or "-",
                    "-" if row.max_abs_difference is None else f"{row.max_abs_difference:.3g}",
                    f"{row.allowed:.3g}",
                    _verdict(row.ok),
                )
                for row in report.comparisons
            ],
        ),
        "",
        *_table(
            ("MALFORMED REQUESTS", "input", "sent", "outcome", "verdict"),
            [
                (
                    f"{row.signature}: {row.kind}",
                    row.input,
                    row.sent,
                    _outcome(row.outcome, row.detail),
                    _verdict(row.ok),
                )
                for row in report.probes
            ],
        ),
        "",
        f"ops that are not stock TensorFlow: {len(report.foreign_ops) or 'none'}",
        f"functions that demand XLA: {len(report.xla_demands) or 'none'}",
        "",
    ]
    if report.ok:
        return [*lines, "All is well."]
    count = len(report.problems)
    return [*lines, f"{count} problem{'s' * (count > 1)}:", *(f"  {problem}" for problem in report.problems)]


def _verdict(ok: bool) -> str:
    return "ok" if ok else "FAIL"


def _outcome(outcome: str, detail: str) -> str:
    text = f"{outcome} {detail}".strip()
    return text if len(text) <= 60 else f"{text[:59]}…"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
