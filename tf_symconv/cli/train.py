"""Train a small network with symmetric kernels and its twin with plain ones, then export, verify and report.

Without flags: the handwritten digits that ship with scikit-learn; no network is needed. Everything lands in
--output_dir. A run that was stopped, however it was stopped, goes on when the same command is given again, and ends
with the weights of a run that was not; a finished run is shown again.
Exit status 0 only if the exported model passes its verification.
"""

import importlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tf_symconv.cli import CommandError
from tf_symconv.cli._quiet import quiet_stderr
from tf_symconv.cli._settings_flags import SettingsFlags
from tf_symconv.training import (
    ROLES,
    RunDirectory,
    RunDirectoryError,
    Settings,
    parse_kernel_size,
    parse_parity,
    parse_symmetry,
)

if TYPE_CHECKING:
    from rich.console import Console

USAGE = ""
FLAGS = flags.FlagValues()
_EXTRAS = ("importlib_resources", "tensorflow_datasets", "sklearn", "matplotlib", "jinja2", "rich", "tensorboard")
_DEFAULTS = Settings()

_SETTINGS = SettingsFlags(FLAGS, _DEFAULTS)

_SETTINGS.text(
    "dataset", "Data set: digits, or an image classification set of TensorFlow Datasets by name, such as mnist."
)
_SETTINGS.text(
    "symmetry",
    "Symmetry of the kernels: h, v, hv (mirrored), c2, c4, d4 (rotated), diag, circular; or a mix with counts or "
    "percentages of the filters, the rest free: hv=50%,circular=4.",
    parse_symmetry,
)
_SETTINGS.text("parity", "even or odd (antisymmetric) kernels, or one of them per axis: even,odd.", parse_parity)
_SETTINGS.number("filters", "Filters of the convolutions in the first block; each further block has twice as many.")
_SETTINGS.text("kernel_size", "Kernel size: 5, or 3x5 (height x width).", parse_kernel_size)
_SETTINGS.number("epochs", "Passes over the training images.")
_SETTINGS.number("batch_size", "Images per training step.")
_SETTINGS.number("seed", "Seed of the first weights, the dropout and the order of the images.", 0, 2**32 - 1)
_SETTINGS.number(
    "image_size", "Resize images to this height and width. Default: their own size, or 64 where sizes vary."
)
_SETTINGS.positive("learning_rate", "Learning rate at the start; it falls to 0.")
_SETTINGS.switch("mixed_precision", "Compute in 16 bits (float16 on a GPU, bfloat16 elsewhere); weights stay in 32.")
_SETTINGS.switch("jit_compile", "Compile the training step with XLA.")
flags.DEFINE_string(
    "data_dir",
    None,
    "Directory of prepared data sets. Default: that of TensorFlow Datasets (TFDS_DATA_DIR or ~/tensorflow_datasets).",
    flag_values=FLAGS,
)
flags.DEFINE_string("output_dir", "symconv-run", "Directory of the run.", flag_values=FLAGS)
flags.DEFINE_boolean(
    "overwrite",
    False,
    "Start anew if --output_dir holds a finished run or one with other settings.",
    flag_values=FLAGS,
)


def run(arguments: Sequence[str]) -> int:
    """Train, export, verify and report; print a table and where everything lies."""
    if arguments:
        raise CommandError(f"symconv train takes flags only. Received: {arguments[0]!r}")
    values: dict[str, Any] = {name: FLAGS[name].value for name in _DEFAULTS.to_dict()}
    settings = Settings(**values)
    _import_extras()
    from rich.console import Console

    console = Console(highlight=False)
    try:
        with RunDirectory(FLAGS.output_dir, settings, FLAGS.overwrite) as directory:
            metrics = directory.read_metrics() if directory.finished else _train(directory, console)
    except KeyboardInterrupt:
        print("symconv: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except RunDirectoryError as error:
        raise CommandError(str(error)) from error
    _show(metrics, Path(FLAGS.output_dir), console)
    return 0 if metrics["verification"]["ok"] else 1


def _import_extras() -> None:
    """Import what the extra ``train`` brings, before anything is begun."""
    for name in _EXTRAS:
        try:
            with quiet_stderr():
                importlib.import_module(name)
        except ImportError as error:
            raise CommandError(
                f"symconv train needs more packages ({error}): pip install 'tf_symconv[train]'"
            ) from error


def _train(directory: RunDirectory, console: "Console") -> dict[str, Any]:
    from rich import progress

    from tf_symconv import training

    with quiet_stderr():
        train = training.train  # imports TensorFlow
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    columns = (
        progress.TextColumn("{task.description:<9}"),
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[figures]}"),
        progress.TimeElapsedColumn(),
    )
    bars = progress.Progress(*columns, console=console)
    tasks: dict[str, progress.TaskID] = {}

    def on_stage(text: str) -> None:
        console.print(f"{text} ...", style="dim")

    def on_progress(role: str, history: list[dict[str, float]], done: float) -> None:
        if role not in tasks:
            bars.start()
            tasks[role] = bars.add_task(role, total=directory.settings.epochs, figures="")
            if history:
                console.print(f"{role}: resuming after epoch {len(history)}", style="dim")
        last = history[-1] if history else {}
        figures = f"loss {last['loss']:.3f}  validation accuracy {last['val_accuracy']:.1%}" if last else ""
        bars.update(tasks[role], completed=done, figures=figures)

    try:
        return train(directory, data_dir=FLAGS.data_dir, on_stage=on_stage, on_progress=on_progress)
    except (ImportError, OSError, ValueError, training.TrainingError) as error:
        raise CommandError(str(error)) from error
    finally:
        if tasks:
            bars.stop()


def _show(metrics: dict[str, Any], directory: Path, console: "Console") -> None:
    from rich import box
    from rich.table import Table

    from tf_symconv.training._report import comparison

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for role in ROLES:
        table.add_column(role, justify="right")
    table.add_column("compared", justify="right")
    for title, values, compared in comparison(metrics):
        table.add_row(title, *values, compared)
    console.print(table)
    verification = metrics["verification"]
    if verification["ok"]:
        console.print(
            "Export verified without Python: largest difference "
            f"{verification['max_abs_difference']:.2g}, {len(verification['probes'])} malformed requests, no crash.",
            soft_wrap=True,
        )
    else:
        console.print("Export NOT verified:", style="bold red")
        for problem in verification["problems"]:
            console.print(f"  {problem}", markup=False, soft_wrap=True)
    places = (
        ("report", "report.html"),
        ("export", "export/1"),
        ("models", ", ".join(f"{role}.keras" for role in ROLES)),
        ("figures", "metrics.json, plots"),
        ("logs", "logs (tensorboard --logdir)"),
    )
    console.print(f"\nIn {directory}:", markup=False, soft_wrap=True)
    for what, where in places:
        console.print(f"  {what:<8} {where}", markup=False)
