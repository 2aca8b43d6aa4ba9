"""Peak memory of a training step, measured in a process of its own. TensorFlow is imported in that process only."""

import ctypes
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_symconv.benchmarks._cases import Case

if TYPE_CHECKING:
    from tf_symconv.benchmarks._subjects import Options

_CLEAR = Path("/proc/self/clear_refs")
# Blocks from 64 KiB are given back to the system when they are freed, so that what is resident is what is in use.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_STEPS = 3
_REPORTS = "*memory-usage-report.txt"


def peak_memory(case: Case, options: "Options") -> dict[str, dict[str, Any]]:
    """Return bytes at the peak of a step of our layer, for every implementation of the options.

    XLA tells what it sets aside, where it compiles the step. Else TensorFlow's allocator tells, where it keeps
    statistics (on a GPU, and on a CPU with oneDNN); else, on Linux, the largest resident size.

    Returns:
        By implementation: ``step``: what the step adds to its inputs and weights; ``whole``: both together; ``source``:
        who tells.

    Raises:
        ArithmeticError: If the process fails, or nobody can tell.
    """
    request = {"case": dataclasses.asdict(case), "options": dataclasses.asdict(options)}
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, **_ALLOCATOR}
        if options.jit_compile:
            wanted = f"--xla_dump_to={directory} --xla_dump_hlo_as_text"
            environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {wanted}".strip()
        command = [sys.executable, "-m", "tf_symconv.benchmarks._memory", json.dumps(request), directory]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ArithmeticError(f"{case.key}: the process that measures memory ended with {done.returncode}: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def _measured(case: Case, implementation: str, options: "Options", directory: Path) -> dict[str, Any]:
    import tensorflow as tf

    from tf_symconv.benchmarks._subjects import arguments, function, structured_layer

    with tf.device(options.device or None):
        layer = structured_layer(case, implementation=implementation, **options.of_layers())
        layer.build(case.input_shape)
        given = arguments(layer, case)
        step = function(layer, given, options)
    told = set(directory.glob(_REPORTS))
    step()  # traces, compiles, and fills what is kept for good
    arrays = [*given, *(variable.value for variable in layer.trainable_variables)]
    held = sum(array.dtype.size * int(tf.size(array)) for array in arrays)
    planned = [_total(report) for report in set(directory.glob(_REPORTS)) - told]
    if planned:
        return {"step": max(planned) - held, "whole": max(planned), "source": "xla"}
    try:
        added = max(_by_allocator(step, options.device or "CPU:0") for _ in range(_STEPS))
        source = "allocator"
    except ValueError:  # this allocator keeps no statistics
        _trim()
        added, source = max(_by_resident_size(step) for _ in range(_STEPS)), "resident"
    return {"step": added, "whole": held + added, "source": source}


def _total(report: Path) -> int:
    """Return what XLA says of all memory of a program: its arguments, its results and what it needs on the way."""
    found = re.search(r"Total bytes used: (\d+)", report.read_text("utf-8"))
    return int(found[1]) if found else 0


def _by_allocator(step: Callable[[], Any], device: str) -> int:
    import tensorflow as tf

    memory = tf.config.experimental
    memory.reset_memory_stats(device)
    before = memory.get_memory_info(device)["current"]
    step()
    return max(memory.get_memory_info(device)["peak"] - before, 0)


def _by_resident_size(step: Callable[[], Any]) -> int:
    before = _status("VmRSS")
    _CLEAR.write_text("5")  # the peak starts anew
    step()
    return max(_status("VmHWM") - before, 0)


def _trim() -> None:
    """Give free memory back to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(name: str) -> int:
    """Return a figure of this process, in bytes."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status lacks {name}")


def main(argument: str, directory: str) -> int:
    """Measure what a JSON request names, and print the answer as JSON; XLA leaves its reports in the directory."""
    request: dict[str, Any] = json.loads(argument)
    from tf_symconv.benchmarks._subjects import Options

    options = Options(**{**request["options"], "implementations": tuple(request["options"]["implementations"])})
    case = Case(**request["case"])
    reports = Path(directory)
    print(json.dumps({name: _measured(case, name, options, reports) for name in options.implementations}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
