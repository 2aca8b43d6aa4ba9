"""Compare networks with and without symmetry on images that are turned at random.

Test accuracy against the number of training images, for a plain network, the same with augmentation, one with symmetric
kernels, one with flip banks, and group-equivariant ones (c4: quarter turns; d4: and mirrored), at equal numbers of
weights and at equal numbers of multiplications. Mean and standard deviation over several seeds land in --output_dir, as
a picture, a table in Markdown and JSON.

Without flags: the handwritten digits that ship with scikit-learn, 300 trials, about 20 minutes on two cores; no network
is needed. Every trial that is done is kept: a comparison that was stopped goes on when the same command is given again,
and one with more --seeds, other --sizes or other --methods adds to it. --quick tries everything in about a minute.
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
from tf_symconv.comparison import (
    METHODS,
    ComparisonDirectory,
    ComparisonSettings,
    RunDirectoryError,
    parse_group,
    parse_methods,
    parse_odd_kernel_size,
    parse_sizes,
)

if TYPE_CHECKING:
    from rich.console import Console

USAGE = ""
FLAGS = flags.FlagValues()
_EXTRAS = ("importlib_resources", "tensorflow_datasets", "sklearn", "matplotlib", "rich")
_DEFAULTS = ComparisonSettings()
_QUICK = {"sizes": "50,200", "seeds": 1, "steps": 100, "width": 8}

_SETTINGS = SettingsFlags(FLAGS, _DEFAULTS)

_SETTINGS.text(
    "dataset", "Data set: digits, or an image classification set of TensorFlow Datasets by name, such as mnist."
)
_SETTINGS.text(
    "group",
    "Group whose elements turn the images, and under which the symmetric kernels are invariant: c2, c4, d4, h, v, hv "
    "or diag.",
    parse_group,
)
_SETTINGS.text("methods", f"Networks to train, of {', '.join(METHODS)}.", parse_methods)
_SETTINGS.text("sizes", "Numbers of training images: positive integers and all.", parse_sizes)
_SETTINGS.number("seeds", "How often everything is repeated, with other images, turns and first weights.")
_SETTINGS.switch("any_angle", "Turn images by any angle too, in a panel of its own.")
_SETTINGS.number("width", "Channels of the plain network; the others are matched to it.")
_SETTINGS.text("kernel_size", "Size of the square kernels, an odd number.", parse_odd_kernel_size)
_SETTINGS.number("steps", "Training steps, whatever the number of images.")
_SETTINGS.number("batch_size", "Images per training step.")
_SETTINGS.positive("learning_rate", "Learning rate at the start; it falls to 0.")
_SETTINGS.number("padding", "Cells of zeros added on each side before images are turned.", 0)
_SETTINGS.number(
    "image_size", "Resize images to this height and width. Default: their own size, or 64 where sizes vary."
)
flags.DEFINE_boolean(
    "quick",
    False,
    f"Try everything in about a minute: {' '.join(f'--{name}={value}' for name, value in _QUICK.items())}, unless they "
    "are given.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "data_dir",
    None,
    "Directory of prepared data sets. Default: that of TensorFlow Datasets (TFDS_DATA_DIR or ~/tensorflow_datasets).",
    flag_values=FLAGS,
)
flags.DEFINE_string("output_dir", "symconv-compare", "Directory of the comparison.", flag_values=FLAGS)
flags.DEFINE_boolean(
    "overwrite",
    False,
    "Start anew if --output_dir holds a finished comparison or one with other settings.",
    flag_values=FLAGS,
)


def run(arguments: Sequence[str]) -> int:
    """Run the trials that are missing; print the tables and where everything lies."""
    if arguments:
        raise CommandError(f"symconv compare takes flags only. Received: {arguments[0]!r}")
    values: dict[str, Any] = {name: FLAGS[name].value for name in _DEFAULTS.to_dict()}
    if FLAGS.quick:
        values |= {name: value for name, value in _QUICK.items() if not FLAGS[name].present}
    settings = ComparisonSettings(**values)
    _import_extras()
    from rich.console import Console

    console = Console(highlight=False)
    try:
        with ComparisonDirectory(FLAGS.output_dir, settings, FLAGS.overwrite) as directory:
            results = _compare(directory, console)
    except KeyboardInterrupt:
        print("symconv: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except RunDirectoryError as error:
        raise CommandError(str(error)) from error
    _show(results, Path(FLAGS.output_dir), console)
    return 0


def _import_extras() -> None:
    """Import what the extra ``train`` brings, before anything is begun."""
    for name in _EXTRAS:
        try:
            with quiet_stderr():
                importlib.import_module(name)
        except ImportError as error:
            raise CommandError(
                f"symconv compare needs more packages ({error}): pip install 'tf_symconv[train]'"
            ) from error


def _compare(directory: ComparisonDirectory, console: "Console") -> dict[str, Any]:
    from rich import progress

    from tf_symconv import comparison

    with quiet_stderr():
        compare = comparison.compare  # imports TensorFlow
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    columns = (
        progress.BarColumn(bar_width=24),
        progress.TextColumn("{task.fields[done]}/{task.fields[trials]} trials"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.description}"),
    )
    bars = progress.Progress(*columns, console=console)
    tasks: list[progress.TaskID] = []

    def on_stage(text: str) -> None:
        console.print(f"{text} ...", style="dim")

    def on_progress(trial: Any, done: int, trials: int, part: float) -> None:
        if not tasks:
            if done:
                console.print(f"resuming after {done} of {trials} trials", style="dim")
            bars.start()
            # What was done before this call is not counted: the time left follows from what this call does.
            tasks.append(bars.add_task("", total=trials - done, done=done, trials=trials, before=done))
        task = bars.tasks[0]
        text = f"{trial.method.replace('_', ' ')}, {trial.size} images, seed {trial.seed}"
        now = done - task.fields["before"] + (part if part < 1 else 0.0)
        bars.update(tasks[0], completed=now, description=text, done=done, trials=trials)

    try:
        return compare(directory, data_dir=FLAGS.data_dir, on_stage=on_stage, on_progress=on_progress)
    except (ImportError, OSError, ValueError, comparison.ComparisonError) as error:
        raise CommandError(str(error)) from error
    finally:
        if tasks:
            bars.stop()


def _show(results: dict[str, Any], directory: Path, console: "Console") -> None:
    from rich.table import Table

    from tf_symconv.comparison._summary import name_of, rows, sizes, title

    for turns in dict.fromkeys(cell["turns"] for cell in results["cells"]):
        console.print(f"\nTest accuracy (%), images {title(turns, results)}", style="bold")
        found = rows(results, turns)
        for number, budget in enumerate(dict.fromkeys(row[1] for row in found)):
            if budget:
                console.print(budget, style="dim")
            table = Table(box=None, pad_edge=False, show_header=number == 0)
            table.add_column("network", min_width=9, no_wrap=True)
            for name in ("weights", "products", *map(str, sizes(results))):
                table.add_column(name, justify="right", min_width=max(7, len(name)), no_wrap=True)
            for method, _, weights, multiplications, texts in (row for row in found if row[1] == budget):
                numbers = [_short(weights), _short(multiplications), *(text.replace(" ", "") for text in texts)]
                table.add_row(name_of(method), *numbers)
            console.print(table)
    console.print("weights: trainable numbers; products: multiplications for one image\n", style="dim")
    places = (
        ("picture", "comparison.png"),
        ("table", "table.md"),
        ("figures", "results.json, trials"),
    )
    console.print(f"In {directory}:", markup=False, soft_wrap=True)
    for what, where in places:
        console.print(f"  {what:<8} {where}", markup=False)


def _short(number: int) -> str:
    """Return a number in three digits or so."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)
