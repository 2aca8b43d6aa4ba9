"""Write models as versions that TensorFlow Serving can load.

A version is a SavedModel directory whose name is a number. The graph behind each signature checks the shape of every
input first, so that a malformed request is refused instead of aborting the server. A version also holds example
requests with the outputs that the model itself computed; their format is told in ``tf_symconv.serving._examples``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from tf_symconv.serving import _examples
from tf_symconv.serving._core import make_core
from tf_symconv.serving._images import ImageBytes, ImageReader
from tf_symconv.serving._model import NamedModel, named_model
from tf_symconv.serving._report import Report
from tf_symconv.serving._saved_model import read
from tf_symconv.serving._signatures import (
    CLASSIFY,
    DEFAULT,
    IMAGE_BYTES,
    REGRESS,
    check_labels,
    endpoints,
)
from tf_symconv.serving._staging import check_version, staged, staged_version
from tf_symconv.serving._verify import verify
from tf_symconv.serving._warmup import check_warmup, save_warmup
from tf_symconv.serving._write import write_saved_model

__all__ = ["ExportError", "export", "write_version"]

_NAMES = (DEFAULT, CLASSIFY, REGRESS, IMAGE_BYTES)


class ExportError(Exception):
    """A version that was written and did not pass its verification; nothing of it remains.

    Attributes:
        report: what the verification found.
    """

    def __init__(self, report: Report):
        super().__init__(f"the export must pass its verification. Received: {'; '.join(report.problems)}")
        self.report = report


def export(
    model: Any,
    base_dir: str | Path,
    *,
    version: int | None = None,
    signatures: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None,
    kernels: str = "auto",
    freeze: bool | None = None,
    warmup: bool | int | Sequence[int] | None = None,
    examples: Any = None,
    labels: Iterable[str] | None = None,
    image_bytes: bool | ImageBytes = False,
    keep: int | None = None,
    tolerance: float | None = None,
) -> Path:
    """Export a model for TensorFlow Serving: verified, and whole or not at all.

    The version is written beside the names that the server watches, run by the C library of TensorFlow in another
    process (see :func:`verify`), and renamed into place. Whoever looks at ``base_dir`` at any moment, be it after a
    crash, sees versions that are complete.

    Batch normalisation and whatever else acts on each channel alone is multiplied into the convolution before it,
    unless ``kernels="trainable"``.

    Args:
        model: a functional, Sequential or subclassed Keras model, a tf.Module that is called with one input, or a TF1
            session or ``compat_v1.V1Graph``. Inputs are named as in Keras (those of a subclassed model or a module
            after the keys of its dict, or after the argument of its call), outputs after the layers that make them or
            the keys of the model's dict (a subclassed model or module without keys: after itself).
        base_dir: the directory that the server watches; made if it is missing.
        version: number of the version; None is the next one.
        signatures: names of those to write, of ``"serving_default"``, ``"classify"``, ``"regress"`` and
            ``"serving_bytes"``; by default the first, the second if there are labels, and the last if ``image_bytes``.
            ``classify`` and ``regress`` take serialised ``tf.Example`` protocol buffers whose features are named as the
            inputs; the model has one output. For a session, a dict of dicts with the keys ``inputs``, ``outputs`` and
            ``method``, by the names of the signatures, as :func:`compat_v1.export_saved_model` takes them.
        kernels: ``"auto"`` computes the kernels of all layers now, for the form in which each layer runs fastest on a
            server like this machine (:mod:`tf_symconv.libraries`), ``"dense"`` for plain convolutions; ``"trainable"``
            leaves variables and their free weights.
        freeze: whether weights become constants of the graph. None: where they fit into its 2 GB, as constants, else as
            variables; never with ``"trainable"``. (What a loop reads stays a variable.)
        warmup: whether to write requests that the server answers before it makes the version available: True, or the
            batch sizes of such requests.
        examples: input for a batch of at least one example, as the model takes it: an array of shape (batch, ...), or a
            list or dict of arrays (for a session, by the names of its inputs). It is recorded with the model's outputs,
            for the verification and the warm-up. None stands for random numbers, where the model tells the shapes of
            its inputs.
        labels: names of the classes, for ``classify``.
        image_bytes: whether to write ``serving_bytes``, which takes JPEG or PNG files; an :class:`ImageBytes` tells
            how they are scaled and resized.
        keep: how many versions remain; the oldest ones are removed. None removes none.
        tolerance: largest difference from the model's own outputs, as in :func:`verify`: relative, 1e-5 by default.

    Returns:
        The path of the version.

    Raises:
        ExportError: the version does not pass its verification.
        FileExistsError: the version exists.
        ValueError: arguments that no export can be made of, a layer that calls back to Python or demands XLA,
            constants beyond 2 GB.
        TypeError: no such model; sparse or ragged inputs or outputs; examples of another type than the input.

    Example:
        >>> import keras, tempfile
        >>> from tf_symconv import layers, serving
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 1), name="image"),
        ...     layers.SymmetricConv2D(4, 3, symmetry="d4"),
        ...     keras.layers.GlobalMaxPooling2D(name="features"),
        ... ])
        >>> with tempfile.TemporaryDirectory() as base_dir:
        ...     serving.export(model, base_dir).name, serving.export(model, base_dir, keep=1).name
        ('1', '2')
    """
    check_version(version)
    if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool) or keep < 1):
        raise ValueError(f"keep must be an integer above 0, or None. Received: keep={keep!r}")
    sizes = check_warmup(warmup)
    if _is_session(model):
        if labels is not None or image_bytes:
            raise ValueError("labels and image_bytes are for Keras models and tf.Modules. Received: a TF1 graph")
        from tf_symconv.serving._sessions import session_writer

        write: _Writer = session_writer(model, signatures, kernels, freeze, examples)
    else:
        write = _model_writer(model, signatures, kernels, freeze, examples, check_labels(labels), image_bytes)
    base = Path(base_dir)
    with staged(base, version, keep) as result:
        _fill(result.path, write, sizes, base.resolve().name)
        report = verify(result.path, tolerance=tolerance)
        if not report.ok:
            raise ExportError(report)
    if result.version_dir is None:
        raise AssertionError("a version that is published has a name")
    return result.version_dir


def write_version(model: keras.Model, version_dir: str | Path, examples: Any) -> Path:
    """Export a Keras model as it is, with its variables, and leave the verification to :func:`verify`.

    Args:
        model: as :func:`export` takes it.
        version_dir: the directory to make. Its name is the version, a number.
        examples: as :func:`export` takes them.

    Returns:
        The path of the version.

    Raises:
        FileExistsError: the version exists.
        ValueError: a name that is no number, and what :func:`export` refuses.
        TypeError: as :func:`export`.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model. Received: model={model!r}")
    with staged_version(version_dir) as temporary:
        _fill(temporary, _model_writer(model, None, "trainable", None, examples, None, False), (), "")
    return Path(version_dir)


_Recorded = dict[str, tuple[str, _examples.Examples]]
_Writer = Callable[[Path], _Recorded]


def _fill(directory: Path, write: _Writer, batch_sizes: Sequence[int], name: str) -> None:
    """Write a SavedModel and what belongs to it; ``write`` returns the method and the examples of each signature."""
    recorded = write(directory)
    _examples.save(directory, {signature: examples for signature, (_, examples) in recorded.items()})
    _examples.load(directory, read(directory).signatures)  # Names and types are those of the signatures.
    if batch_sizes:
        requests = {signature: (method, examples.inputs) for signature, (method, examples) in recorded.items()}
        save_warmup(directory, name, requests, batch_sizes)


def _model_writer(
    model: Any,
    signatures: Any,
    kernels: str,
    freeze: bool | None,
    examples: Any,
    labels: list[str] | None,
    image_bytes: bool | ImageBytes,
) -> _Writer:
    names = _signature_names(signatures, labels, bool(image_bytes))
    named = named_model(model, examples)
    reader = _reader(named, image_bytes) if IMAGE_BYTES in names else None
    core = make_core(named, kernels, freeze)
    made = endpoints(names, named, core, labels, reader)

    def write(directory: Path) -> _Recorded:
        write_saved_model(directory, core, made)
        return {name: (endpoint.method, endpoint.examples) for name, endpoint in made.items()}

    return write


def _signature_names(signatures: Any, labels: list[str] | None, image_bytes: bool) -> list[str]:
    if signatures is None:
        wanted = {DEFAULT: True, CLASSIFY: labels is not None, IMAGE_BYTES: image_bytes}
        return [name for name, is_wanted in wanted.items() if is_wanted]
    names = [] if isinstance(signatures, str | Mapping) else list(dict.fromkeys(signatures))
    if not names or not set(names) <= set(_NAMES):
        raise ValueError(f"signatures must be some of {', '.join(map(repr, _NAMES))}. Received: {signatures!r}")
    if labels is not None and CLASSIFY not in names:
        raise ValueError(f"labels are for the signature 'classify'. Received: signatures={names}")
    if image_bytes and IMAGE_BYTES not in names:
        raise ValueError(f"image_bytes is for the signature 'serving_bytes'. Received: signatures={names}")
    return names


def _reader(named: NamedModel, image_bytes: bool | ImageBytes) -> ImageReader:
    if len(named.specs) != 1:
        raise ValueError(f"image_bytes needs a model with one input. Received: inputs={[*named.specs]}")
    options = image_bytes if isinstance(image_bytes, ImageBytes) else ImageBytes()
    return ImageReader(named.model, next(iter(named.specs.values())), options)


def _is_session(model: Any) -> bool:
    from tf_symconv.compat_v1 import V1Graph

    return isinstance(model, V1Graph) or (hasattr(model, "graph") and hasattr(model, "run"))
