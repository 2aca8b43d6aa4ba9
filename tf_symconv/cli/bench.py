"""Time layers beside the layers they replace: inference, training steps, memory and construction.

Plain Keras layers, ours with implementation="dense" and ours with "auto" take turns in one process. Each ratio is the
median over rounds, and rounds go on until its 95 % interval is narrow or --case_seconds are over. Results, pictures and
tables land in --output_dir. What is measured stays: a run that was stopped goes on when the same command is given
again, and further shapes add to it.

Profiles: quick, every layer once, in less than two minutes; bars, the shapes for which limits are set, with the
verdict; growth, cost against kernel size; full, the whole grid of layers, kernels, channels, sizes and batches (many
hours).

Exit status 1 if a bar is missed, with --profile=bars.
"""

import functools
import importlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tf_symconv import benchmarks
from tf_symconv.benchmarks import Case, Patience, Store, Work
from tf_symconv.cli import CommandError
from tf_symconv.cli._quiet import quiet_stderr

if TYPE_CHECKING:
    from rich.console import Console

USAGE = ""
FLAGS = flags.FlagValues()
_EXTRAS = ("matplotlib", "rich")
_PROFILES = ("quick", "bars", "growth", "full")
_SECONDS = {"quick": 0.5, "bars": 6.0, "growth": 3.0, "full": 2.0}
_BUDGETS = {"quick": 100.0}


def _text(name: str, default: str | None, text: str, parse: Callable[[str], Any] | None = None) -> None:
    flags.DEFINE_string(name, default, text, flag_values=FLAGS)
    if parse is not None:
        flags.register_validator(name, functools.partial(_valid, parse), flag_values=FLAGS)


def _valid(parse: Callable[[str], Any], value: str | None) -> bool:
    try:
        if value is not None:
            parse(value)
    except ValueError as error:
        raise flags.ValidationError(str(error)) from None
    return True


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise ValueError("must be whole numbers from 1, separated by commas: 3,5,7")
    return numbers


def _odd(text: str) -> list[int]:
    numbers = _numbers(text)
    if any(number % 2 == 0 for number in numbers):
        raise ValueError("must be odd numbers, separated by commas: 3,5,7")
    return numbers


def _channels(text: str) -> list[tuple[int, int]]:
    pairs = []
    for part in text.split(","):
        try:
            given, _, taken = part.partition("-")
            pairs.append((int(given), int(taken or given)))
        except ValueError:
            pairs.append((0, 0))
    if min(min(pair) for pair in pairs) < 1:
        raise ValueError("must be numbers of channels, or pairs of them, separated by commas: 3-64,64")
    return pairs


def _kinds(text: str) -> list[str]:
    kinds = text.split(",")
    if not set(kinds) <= set(benchmarks.KINDS):
        raise ValueError(f"must be out of {', '.join(benchmarks.KINDS)}")
    return kinds


def _only(text: str) -> list[str]:
    return benchmarks.matching(text.split(","))


flags.DEFINE_enum("profile", "quick", _PROFILES, "What to measure: " + ", ".join(_PROFILES) + ".", flag_values=FLAGS)
_text("only", None, "Layers: names, their beginnings, or with *: mirror-v,tile. Default: all.", _only)
_text("kernels", None, "Kernel sizes, in the place of the profile's: 3,5,7.", _odd)
_text("channels", None, "Channels in and out, in the place of the profile's: 3-64,64.", _channels)
_text("sizes", None, "Heights (and widths) of the input, in the place of the profile's: 32,56.", _numbers)
_text("batches", None, "Batch sizes, in the place of the profile's: 1,8,16,32.", _numbers)
_text("kinds", None, "inference, training or both. Default: those of the profile.", _kinds)
flags.DEFINE_boolean(
    "only_folded", False, "Leave out what auto computes densely: both sides would run the same ops.", flag_values=FLAGS
)
_text("implementations", "dense,auto", "Forms of our layers that take part: dense,auto,folded.")
flags.DEFINE_boolean("jit_compile", False, "Compile with XLA.", flag_values=FLAGS)
flags.DEFINE_boolean("bias", False, "Give the layers a bias.", flag_values=FLAGS)
_text("dtype", "float32", "Keras dtype policy of the layers, such as mixed_bfloat16 or float64.")
_text("device", "", "TensorFlow device, such as CPU:0 or GPU:0. Default: what TensorFlow chooses.")
flags.DEFINE_integer("threads", 0, "Threads of an operation. Default: one per core.", lower_bound=0, flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Seed of weights, inputs and order.", 0, 2**32 - 1, flag_values=FLAGS)
flags.DEFINE_float(
    "precision", 0.02, "Stop when ratios are known to this share of themselves.", lower_bound=0.0, flag_values=FLAGS
)
flags.DEFINE_float(
    "case_seconds", None, "Seconds for each case at most. Default: by profile.", lower_bound=0.0, flag_values=FLAGS
)
flags.DEFINE_float(
    "budget",
    None,
    "Seconds after which nothing new is begun; give the command again to go on. Default: 100 for quick, else none.",
    lower_bound=0.0,
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    "memory",
    None,
    "Measure the peak memory of the training steps, each in a process of its own. Default: with --profile=bars.",
    flag_values=FLAGS,
)
_text("peers", None, "A Python interpreter with torch and e2cnn: time its group convolutions too.")
_text("gpu", None, "Results of time_stablehlo.py, to be shown beside ours.")
_text("lower", None, "Write the selected cases as StableHLO into this directory, and time nothing.")
_text("output_dir", "symconv-bench", "Directory of the results.")
flags.DEFINE_boolean(
    "overwrite",
    False,
    "Measure the selected cases again; start anew if --output_dir holds results under other conditions.",
    flag_values=FLAGS,
)


def run(arguments: Sequence[str]) -> int:
    """Measure, keep and show."""
    if arguments:
        raise CommandError(f"symconv bench takes flags only. Received: {arguments[0]!r}")
    cases = _selection()
    gpu = None
    for flag in ("lower", "peers", "gpu"):
        if FLAGS.dtype != "float32" and getattr(FLAGS, flag):
            raise CommandError(f"--{flag} works with float32 only. Received: --dtype={FLAGS.dtype}")
    if FLAGS.gpu is not None:
        try:
            gpu = benchmarks.read_timed(FLAGS.gpu)
        except benchmarks.RunDirectoryError as error:
            raise CommandError(str(error)) from error
    if FLAGS.peers is not None and shutil.which(FLAGS.peers) is None:
        raise CommandError(f"--peers must be a Python interpreter. Received: {FLAGS.peers!r}")
    _import_extras()
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=180)
    options = _options()
    if FLAGS.only_folded:
        cases = _folded(cases, options, console)
    try:
        if FLAGS.lower is not None:
            return _lower(cases, options, console)
        with Store(FLAGS.output_dir, _conditions(options), FLAGS.overwrite) as store:
            return _measure(cases, options, store, gpu, console)
    except (benchmarks.RunDirectoryError, ArithmeticError, benchmarks.PeerError) as error:
        raise CommandError(str(error)) from error


def _selection() -> list[Case]:
    """Return the cases of the profile that the flags leave, or those that they name in their place."""
    only = _only(FLAGS.only) if FLAGS.only is not None else list(benchmarks.LAYERS)
    axes: dict[str, Any] = {
        name: parse(str(FLAGS[name].value))
        for name, parse in (
            ("kernels", _odd),
            ("channels", _channels),
            ("sizes", _numbers),
            ("batches", _numbers),
            ("kinds", _kinds),
        )
        if FLAGS[name].value is not None
    }
    if FLAGS.profile == "full":
        cases = benchmarks.grid(only, **axes)
    else:
        cases = [case for case in benchmarks.PROFILES[FLAGS.profile]() if case.layer in only]
        fields = {"kernels": "kernel", "sizes": "size", "batches": "batch", "kinds": "kind"}
        for name, allowed in axes.items():
            if name == "channels":
                cases = [case for case in cases if (case.channels_in, case.channels_out) in allowed]
            else:
                cases = [case for case in cases if getattr(case, fields[name]) in allowed]
    if not cases:
        raise CommandError(f"--profile={FLAGS.profile} has no such case; --profile=full has the whole grid")
    return cases


def _folded(cases: Sequence[Case], options: Any, console: "Console") -> list[Case]:
    from rich.progress import track

    chosen = track(cases, "planning", console=console, transient=True)
    folded = [case for case in chosen if benchmarks.folds(case, options)]
    if not folded:
        raise CommandError("--only_folded leaves no case: auto computes all of them densely")
    return folded


def _import_extras() -> None:
    for name in _EXTRAS:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise CommandError(
                f"symconv bench needs more packages ({error}): pip install 'tf_symconv[bench]'"
            ) from error


def _options() -> Any:
    """Start TensorFlow as the flags say, and return what the functions are made with."""
    with quiet_stderr():
        import tensorflow as tf

        from tf_symconv import ops
        from tf_symconv.benchmarks import Options
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    implementations = tuple(dict.fromkeys(FLAGS.implementations.split(",")))
    for name in implementations:
        try:
            ops.check_implementation(name)
        except ValueError as error:
            raise CommandError(f"--implementations: {error}") from error
    if FLAGS.threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
        except RuntimeError as error:
            raise CommandError(f"--threads cannot be set: {error}") from error
    with quiet_stderr():
        known = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()]
        tf.config.list_logical_devices()
    if FLAGS.device and FLAGS.device.upper() not in known:
        raise CommandError(f"--device must be one of {', '.join(known)}. Received: {FLAGS.device!r}")
    return Options(implementations, FLAGS.jit_compile, FLAGS.bias, _dtype(), FLAGS.device, FLAGS.seed)


def _dtype() -> str:
    """Return the dtype policy that was asked for, checked."""
    import keras

    try:
        floats = keras.backend.is_float_dtype(keras.DTypePolicy(FLAGS.dtype).compute_dtype)
    except (TypeError, ValueError):
        floats = False
    if not floats:
        raise CommandError(f"--dtype must be a Keras dtype policy of floats. Received: {FLAGS.dtype!r}")
    return FLAGS.dtype


def _conditions(options: Any) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    return {
        "implementations": list(options.implementations),
        "jit_compile": options.jit_compile,
        "bias": options.bias,
        "dtype": options.dtype,
        "device": options.device or "default",
        "threads": FLAGS.threads,
        "seed": options.seed,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        **benchmarks.machine(),
    }


def _work(cases: Sequence[Case]) -> Work:
    bars = FLAGS.profile == "bars"
    wanted = FLAGS.memory if FLAGS.memory is not None else bars
    memory = [case for case in cases if case.kind == "training" and not case.layer.startswith("group-")]
    groups = [case for case in cases if case.layer.startswith("group-")]
    return Work(
        cases=cases,
        memory=memory if wanted else [],
        construction=[case for case in groups if case.kind == "training"] if bars else [],
        peers=groups if FLAGS.peers else [],
        interpreter=FLAGS.peers,
        threads=FLAGS.threads,
    )


def _measure(cases: Sequence[Case], options: Any, store: Store, gpu: Any, console: "Console") -> int:
    from rich import progress

    work = _work(cases)
    if FLAGS.overwrite:
        for section, case in work.items():
            store.forget(section, case.key)
    seconds = _SECONDS[FLAGS.profile] if FLAGS.case_seconds is None else FLAGS.case_seconds
    patience = Patience(precision=FLAGS.precision, seconds=seconds)
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    interrupted = False
    with progress.Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=len(work.items()))

        def on_progress(section: str, case: Case, done: int, total: int) -> None:
            bars.update(task, completed=done, total=total, description=f"{section}: {case.key}")

        budget = FLAGS.budget if FLAGS.budget is not None else _BUDGETS.get(FLAGS.profile)
        try:
            left = benchmarks.execute(work, store, options, patience, budget, on_progress)
        except KeyboardInterrupt:
            left = sum(not store.has(section, case.key) for section, case in work.items())
            interrupted = True
    return _show(work, store, left, interrupted, gpu, console)


def _show(work: Work, store: Store, left: int, interrupted: bool, gpu: Any, console: "Console") -> int:
    show_bars = FLAGS.profile == "bars"
    sheets = benchmarks.sheets(store.results, work.cases, show_bars=show_bars, memory_cases=work.memory, gpu=gpu)
    for sheet in sheets:
        console.print(sheet)
    if sheets:
        with store.writing(store.path / benchmarks.TABLES) as temporary:
            temporary.write_text("\n\n".join(sheet.markdown() for sheet in sheets) + "\n", "utf-8")
    written = benchmarks.draw(store, work.cases, show_bars)
    names = ", ".join((benchmarks.RESULTS, benchmarks.TABLES, *written))
    console.print(f"In {FLAGS.output_dir}: {names}", markup=False, soft_wrap=True)
    stale = benchmarks.stale(store.results, work.cases, benchmarks.code_version())
    if stale:
        console.print(f"{stale} results stem from other code; --overwrite measures them again.", soft_wrap=True)
    if left:
        console.print(f"{left} of {len(work.items())} left; the same command goes on from here.", soft_wrap=True)
    if interrupted:
        return 130
    return int(show_bars and benchmarks.missed(store.results, work.cases, work.memory) > 0)


def _lower(cases: Sequence[Case], options: Any, console: "Console") -> int:
    from rich.progress import track

    target = Path(FLAGS.lower)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for case in track(cases, "lowering", console=console, transient=True):
            benchmarks.lower(case, target, options)
    except OSError as error:
        raise CommandError(f"--lower cannot be written: {target} ({error.strerror})") from error
    console.print(f"{len(cases)} cases in {target}; where JAX is: python time_stablehlo.py {target.name}", markup=False)
    return 0
