"""Requests that the server answers before a version becomes available, so that the first client does not wait.

They lie in ``assets.extra/tf_serving_warmup_requests``, a TFRecord of ``PredictionLog`` protocol buffers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_symconv.serving import _protos

__all__ = ["WARMUP_PATH", "check_warmup", "save_warmup"]

WARMUP_PATH = Path("assets.extra") / "tf_serving_warmup_requests"
_MOST = 1000  # records, by the documentation of the server
_BATCH_SIZES = (1, 8)
_EXAMPLES = {"tensorflow/serving/classify": "classify_log", "tensorflow/serving/regress": "regress_log"}


def check_warmup(warmup: bool | int | Sequence[int] | None) -> tuple[int, ...]:
    """Return the batch sizes to warm up with.

    Raises:
        ValueError: they are no positive numbers.
    """
    if warmup is None or isinstance(warmup, bool):
        return _BATCH_SIZES if warmup else ()
    sizes = (warmup,) if isinstance(warmup, int) else tuple(warmup)
    if not sizes or not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes):
        raise ValueError(f"warmup must be True, False or batch sizes above 0. Received: warmup={warmup!r}")
    return sizes


def save_warmup(
    version_dir: Path,
    model_name: str,
    requests: Mapping[str, tuple[str, Mapping[str, np.ndarray]]],
    batch_sizes: Sequence[int],
) -> None:
    """Write one request for each signature and batch size into a version.

    Args:
        version_dir: the version.
        model_name: the name of the model in the requests.
        requests: by signature, its method and arrays for its inputs; their rows are repeated to fill a batch.
        batch_sizes: how many examples the requests hold.

    Raises:
        ValueError: they are more records than the server takes.
    """
    count = len(requests) * len(batch_sizes)
    if count > _MOST:
        raise ValueError(f"the server takes at most {_MOST} warm-up records. Received: {count}")
    file = version_dir / WARMUP_PATH
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for size in batch_sizes:
            for signature, (method, inputs) in requests.items():
                batch = {name: _repeated(array, size) for name, array in inputs.items()}
                writer.write(_record(model_name, signature, method, batch))


def _repeated(array: np.ndarray, size: int) -> np.ndarray:
    return array[np.arange(size) % len(array)] if array.ndim else array


def _record(model_name: str, signature: str, method: str, batch: Mapping[str, np.ndarray]) -> bytes:
    log = _protos.new("PredictionLog")
    request = getattr(log, _EXAMPLES.get(method, "predict_log")).request
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    if method in _EXAMPLES:
        request.input.example_list.examples.extend(next(iter(batch.values())).tolist())
    else:
        for name, array in batch.items():
            request.inputs.add(key=name, value=tf.make_tensor_proto(array).SerializeToString())
    return log.SerializeToString()
