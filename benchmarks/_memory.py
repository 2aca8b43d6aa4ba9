"""Peak memory of a training step, measured in a process of its own. TensorFlow is imported in that process only."""

import ctypes
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_symconv.benchmarks._cases import Case

if TYPE_CHECKING:
    from tf_symconv.benchmarks._subjects import Options

_CLEAR = Path("/proc/self/clear_refs")
# Blocks from 64 KiB are given back to the system when they are freed, so that what is resident is what is in use.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_STEPS = 3


def available() -> bool:
    """Return whether this system can tell the peak of a process since a moment: Linux can."""
    return _CLEAR.exists()


def peak_memory(case: Case, implementation: str, options: "Options") -> dict[str, int]:
    """Return bytes at the peak of a step of our layer.

    Returns:
        ``step``: what the step adds to its inputs and weights; ``whole``: both together.

    Raises:
        ArithmeticError: If the process fails.
    """
    request = {"case": dataclasses.asdict(case), "options": {**dataclasses.asdict(options)}, "name": implementation}
    command = [sys.executable, "-m", "tf_symconv.benchmarks._memory", json.dumps(request)]
    done = subprocess.run(command, env={**os.environ, **_ALLOCATOR}, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ArithmeticError(f"{case.key}: the process that measures memory ended with {done.returncode}: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def _measured(case: Case, implementation: str, options: "Options") -> dict[str, int]:
    import tensorflow as tf

    from tf_symconv.benchmarks._subjects import function, structured_layer

    layer = structured_layer(case, implementation=implementation, use_bias=options.bias)
    layer.build(case.input_shape)
    inputs = tf.random.normal(case.input_shape)
    given = (inputs, tf.random.normal(layer.compute_output_shape(case.input_shape)))[
        : 2 if case.kind == "training" else 1
    ]
    step = function(layer, given, options)
    step()  # traces, compiles, and fills what is kept for good
    _trim()
    before = _status("VmRSS")
    peak = 0
    for _ in range(_STEPS):
        _CLEAR.write_text("5")  # the peak starts anew
        step()
        peak = max(peak, _status("VmHWM"))
    held = sum(4 * int(tf.size(array)) for array in (*given, *(v.value for v in layer.trainable_variables)))
    return {"step": max(peak - before, 0), "whole": held + max(peak - before, 0)}


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


def main(argument: str) -> int:
    """Measure what a JSON request names, and print the answer as JSON."""
    request: dict[str, Any] = json.loads(argument)
    from tf_symconv.benchmarks._subjects import Options

    options = Options(**{**request["options"], "implementations": tuple(request["options"]["implementations"])})
    print(json.dumps(_measured(Case(**request["case"]), request["name"], options)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
