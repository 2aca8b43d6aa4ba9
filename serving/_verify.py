"""Verify a SavedModel version as the server would run it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tf_symconv.serving._c_api import StatusError
from tf_symconv.serving._dtypes import is_float, rounding
from tf_symconv.serving._examples import Examples, load
from tf_symconv.serving._probes import Probe, blank_request, probes
from tf_symconv.serving._report import Comparison, ProbeResult, Report
from tf_symconv.serving._saved_model import SavedModel, SavedModelError, Signature, read
from tf_symconv.serving._worker import Crash, Hang, Worker

__all__ = ["verify"]

_TOLERANCE = 1e-5
_ROUNDINGS = 8  # a graph that computes in 16 bits may be off by so many roundings


def verify(version_dir: str | Path, *, tolerance: float | None = None, timeout: float = 120.0) -> Report:
    """Check that stock TensorFlow runs a SavedModel, gives the recorded answers, and survives malformed requests.

    Every signature runs on the CPU, in another process that has the C library of TensorFlow and never imports its
    Python package. The recorded examples (see ``write_version``) are compared with the recorded outputs. Requests of
    a wrong rank, shape or type, and an empty batch, must each get an error; an answer is right too where the signature
    admits what was sent (a free dimension of size 0), a crash never.

    Args:
        version_dir: directory of the SavedModel.
        tolerance: largest difference of a floating output, relative to its largest finite recorded magnitude (to 1
            if that is zero). None stands for 1e-5, or for 8 roundings of the coarsest type that the graph computes with
            if that is more (float16, bfloat16). Other outputs must be equal.
        timeout: seconds to wait for the answer to one request.

    Returns:
        The report; ``report.ok`` tells whether all is well.

    Raises:
        SavedModelError: the directory is missing or damaged, or the SavedModel does not load.
        ValueError: a tolerance below zero, or a timeout that is not above zero.
    """
    if tolerance is not None and not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance must be a finite number from 0 up. Received: tolerance={tolerance}")
    if not timeout > 0:
        raise ValueError(f"timeout must be above 0. Received: timeout={timeout}")
    model = read(version_dir)
    examples = load(model.path, model.signatures)
    relative = _tolerance(model) if tolerance is None else tolerance
    with Worker(model.path, timeout) as worker:
        try:
            version, registered = worker.describe()
        except (Crash, Hang, ImportError) as error:
            raise SavedModelError(f"the C library of TensorFlow does not start: {error}") from error
        foreign = tuple(map(str, model.graph.foreign_ops(registered)))
        faults = [] if model.signatures else ["it has no signature"]
        comparisons: list[Comparison] = []
        results: list[ProbeResult] = []
        try:
            worker.load()
        except (Crash, Hang, StatusError) as error:
            if not foreign:
                raise SavedModelError(f"{model.path} does not load: {error}") from error
            faults.append(f"it does not load: {error}")
        else:
            for name, signature in model.signatures.items():
                example = examples.get(name)
                if example is None:
                    faults.append(f"signature {name}: no recorded examples")
                else:
                    comparisons += _compare(worker, name, signature, example, relative)
                request = blank_request(signature) if example is None else example.inputs
                results += (_send(worker, name, signature, probe) for probe in probes(signature, request))
    return Report(
        version_dir=str(model.path),
        tensorflow_version=version,
        signatures=tuple(model.signatures),
        comparisons=tuple(comparisons),
        probes=tuple(results),
        foreign_ops=foreign,
        xla_demands=tuple(map(str, model.graph.xla_demands())),
        faults=tuple(" ".join(fault.split()) for fault in faults),
    )


def _tolerance(model: SavedModel) -> float:
    coarsest = max((rounding(dtype) for dtype in model.graph.dtypes), default=0.0)
    return max(_TOLERANCE, _ROUNDINGS * coarsest) if coarsest > rounding("float32") else _TOLERANCE


def _run(worker: Worker, signature: Signature, request: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    feeds = {spec.tensor: request[name] for name, spec in signature.inputs.items()}
    answer = worker.run(feeds, [spec.tensor for spec in signature.outputs.values()])
    return dict(zip(signature.outputs, answer, strict=True))


def _compare(
    worker: Worker, name: str, signature: Signature, example: Examples, relative: float
) -> Iterator[Comparison]:
    try:
        answer = _run(worker, signature, example.inputs)
    except (Crash, Hang, StatusError, TypeError) as error:
        text = " ".join(str(error).split())
        yield Comparison(name, "", None, 0.0, f"the recorded examples got no answer: {text}")
        return
    for output, want in example.outputs.items():
        yield _comparison(name, output, answer[output], want, relative)


def _comparison(name: str, output: str, got: np.ndarray, want: np.ndarray, relative: float) -> Comparison:
    if (got.dtype, got.shape) != (want.dtype, want.shape):
        error = f"{got.dtype} {got.shape} instead of the recorded {want.dtype} {want.shape}"
        return Comparison(name, output, None, 0.0, error)
    if want.dtype == object:
        wrong = int(np.sum(got != want))
        error = f"{wrong} of {want.size} strings differ from the recorded ones" if wrong else ""
        return Comparison(name, output, None if wrong else 0.0, 0.0, error)
    if not is_float(want.dtype.name):
        gap = np.abs(got.astype(np.float64) - want.astype(np.float64))
        gap = np.maximum(gap, got != want)  # Large integers may differ and round to the same float.
        return Comparison(name, output, float(gap.max(initial=0.0)), 0.0)
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    got, want = got.astype(wide), want.astype(wide)
    finite = np.isfinite(want)
    allowed = relative * (float(np.abs(want[finite]).max(initial=0.0)) or 1.0)
    if not np.array_equal(got[~finite], want[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        error = "infinite or undefined values where the recorded output has others"
        return Comparison(name, output, None, allowed, error)
    return Comparison(name, output, float(np.abs(got[finite] - want[finite]).max(initial=0.0)), allowed)


def _send(worker: Worker, name: str, signature: Signature, probe: Probe) -> ProbeResult:
    outcome, detail = "answer", ""
    try:
        _run(worker, signature, probe.feeds)
    except StatusError as error:
        outcome, detail = "error", error.code
    except Crash as error:
        outcome, detail = "crash", str(error)
    except Hang as error:
        outcome, detail = "hang", str(error)
    ok = outcome == "error" or (outcome == "answer" and probe.allowed)
    return ProbeResult(name, probe.input, probe.kind, probe.sent, outcome, detail, ok)
