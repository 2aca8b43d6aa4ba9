"""Send images and arrays to a server, and show what its model makes of them.

TARGET is http://HOST:PORT (REST) or HOST:PORT (gRPC). An INPUT is an image, a .npy file with one example or a batch, or
a directory of both. Images go to the signature serving_bytes where the model has it; else their pixels, resized, go to
serving_default. Inputs that cannot be read or are refused get one line each on the standard error, and exit status 1.
"""

import collections
import importlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent import futures
from pathlib import Path

import numpy as np
from absl import flags

from tf_symconv.cli import CommandError
from tf_symconv.cli._quiet import quiet_stderr
from tf_symconv.cli._rows import FORMATS, Writer, writer
from tf_symconv.serving import Client, ServingError
from tf_symconv.serving._inputs import Batch, InputError, Reader, Row, find_files

USAGE = "TARGET INPUT..."
FLAGS = flags.FlagValues()
_REFUSALS = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION", "UNIMPLEMENTED", "INTERNAL")

flags.DEFINE_string("name", None, "Name of the model. Default: that in TARGET, or model.", flag_values=FLAGS)
flags.DEFINE_integer("version", None, "Version of the model. Default: the latest.", 1, flag_values=FLAGS)
flags.DEFINE_string("label", None, "Label of the version, such as stable.", flag_values=FLAGS)
flags.DEFINE_string("signature", None, "Signature to call.", flag_values=FLAGS)
flags.DEFINE_enum("format", "table", FORMATS, "table, json (a line per example) or npy (files).", flag_values=FLAGS)
flags.DEFINE_string(
    "output", None, "File for the result, a directory for npy. Default: the standard output.", flag_values=FLAGS
)
flags.DEFINE_list("classes", None, "Names of the classes for the table, in order: a,b,c.", flag_values=FLAGS)
flags.DEFINE_integer("top", 1, "Classes to show in the table.", 1, flag_values=FLAGS)
flags.DEFINE_integer("batch_size", 32, "Examples per request.", 1, flag_values=FLAGS)
flags.DEFINE_integer("workers", 4, "Requests at a time.", 1, flag_values=FLAGS)
flags.DEFINE_float("timeout", 30.0, "Seconds until a request gives up.", 0.001, flag_values=FLAGS)
flags.DEFINE_float(
    "scale", 1 / 255, "Factor for the pixels of images that are decoded here, for float inputs.", flag_values=FLAGS
)


def run(arguments: Sequence[str]) -> int:
    """Predict for the inputs behind ``arguments[0]``."""
    if len(arguments) < 2:
        raise CommandError(f"symconv predict takes a TARGET and INPUTs. Received: {len(arguments)} arguments")
    target, *paths = arguments
    try:
        from rich.console import Console
        from rich.progress import Progress

        files = find_files(paths)
        with quiet_stderr():
            client = Client(target, model=FLAGS.name, version=FLAGS.version, label=FLAGS.label, timeout=FLAGS.timeout)
        console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        bar = Progress(*_columns(), console=console, disable=not any(Path(path).is_dir() for path in paths))
        with client, writer(FLAGS.format, FLAGS.output, FLAGS.classes or [], FLAGS.top) as rows:
            reader = Reader(dict(client.metadata().signatures), FLAGS.signature, FLAGS.batch_size, FLAGS.scale)
            if reader.decodes(files):
                with quiet_stderr():
                    importlib.import_module("tensorflow")
            failures = 0
            with bar:
                task = bar.add_task("predict", total=len(files))
                for batch, answer in _answers(client, reader.batches(files), FLAGS.workers):
                    for row, error in _told(batch, answer, rows):
                        console.print(f"symconv: {row}: {error}")
                        failures += 1
                    bar.advance(task, batch.files)
            rows.finish()
    except (ImportError, InputError, OSError, ServingError, TypeError, ValueError) as error:
        raise CommandError(str(error)) from error
    return 1 if failures else 0


_Answer = list[dict[str, np.ndarray] | str]


def _answers(client: Client, batches: Iterable[Batch], workers: int) -> Iterator[tuple[Batch, _Answer]]:
    """Answer the batches in their order, some at a time."""
    with futures.ThreadPoolExecutor(workers) as pool:
        under_way: collections.deque[tuple[Batch, futures.Future[_Answer]]] = collections.deque()
        try:
            for batch in batches:
                under_way.append((batch, pool.submit(_answer, client, batch)))
                if len(under_way) > 2 * workers:
                    first, future = under_way.popleft()
                    yield first, future.result()
            while under_way:
                first, future = under_way.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _answer(client: Client, batch: Batch) -> _Answer:
    """Return the outputs, or what is wrong, of every example; one that is refused does not spoil the others."""
    if batch.error:
        return [batch.error]
    try:
        found = client.predict(batch.array, signature=batch.signature)
    except TypeError as error:
        return [str(error)] * len(batch.rows)
    except ServingError as error:
        if error.code not in _REFUSALS:
            raise
        if len(batch.rows) == 1:
            return [str(error)]
        halves = [slice(None, len(batch.rows) // 2), slice(len(batch.rows) // 2, None)]
        parts = [_part(batch, half) for half in halves]
        return [answer for part in parts for answer in _answer(client, part)]
    short = sorted(name for name, array in found.items() if array.shape[:1] != (len(batch.rows),))
    if short:
        return [f"the outputs {short} are not one for each example"] * len(batch.rows)
    return [
        {name: np.asarray(array[index], array.dtype) for name, array in found.items()}
        for index in range(len(batch.rows))
    ]


def _part(batch: Batch, part: slice) -> Batch:
    return Batch(batch.rows[part], batch.signature, batch.array[part], 0)


def _told(batch: Batch, answer: _Answer, rows: Writer) -> Iterator[tuple[Row, str]]:
    """Write the answers, and yield what failed."""
    for row, found in zip(batch.rows, answer, strict=True):
        if isinstance(found, str):
            rows.fail(row, found)
            yield row, found
        else:
            rows.add(row, found)


def _columns() -> list:
    from rich import progress

    return [
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    ]
