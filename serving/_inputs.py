"""Files as batches of examples: images and .npy arrays, alone or in directories."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_symconv.serving._dtypes import STRING, numpy_dtype
from tf_symconv.serving._saved_model import Signature, TensorSpec

__all__ = ["Batch", "InputError", "Reader", "Row", "find_files"]

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
ARRAYS = (".npy",)


class InputError(Exception):
    """A file that is no example; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One example.

    Attributes:
        file: where it comes from.
        index: its place in an array of many; None for an image.
    """

    file: Path
    index: int | None = None

    def __str__(self) -> str:
        return str(self.file) if self.index is None else f"{self.file}[{self.index}]"


@dataclasses.dataclass(frozen=True)
class Batch:
    """Examples for one request, or what is wrong with a file.

    Attributes:
        rows: where the examples come from.
        signature: the signature to send them to.
        array: the examples.
        files: how many files end with this batch.
        error: why the only row has no example; then ``array`` is empty.
    """

    rows: tuple[Row, ...]
    signature: str
    array: np.ndarray
    files: int
    error: str = ""


def find_files(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the files in order; those in a directory are its images and arrays, at any depth, sorted.

    Raises:
        InputError: no such file, a file of another kind, or a directory without any.
    """
    known = (*IMAGES, *ARRAYS)
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in known and file.is_file())
            if not found:
                raise InputError(f"{path} holds no image and no array ({', '.join(known)})")
            files += found
        elif not path.is_file():
            raise InputError(f"no such file: {path}")
        elif path.suffix.lower() not in known:
            raise InputError(f"an input must be an image or an array ({', '.join(known)}). Received: {path}")
        else:
            files.append(path)
    return files


class Reader:
    """Reads files as the signatures of a model want them.

    Images go as they are to a signature whose only input is a string (``serving_bytes``, where there is one). Other
    signatures get the decoded pixels: resized to the height and width of the input, with as many channels, multiplied
    with ``scale`` where the input is a float.

    Args:
        signatures: the signatures of the model.
        signature: the one to use. None chooses ``serving_bytes`` for images and ``serving_default`` for the rest.
        batch_size: examples per request.
        scale: factor for pixels.

    Raises:
        InputError: no such signature, or one with many inputs.
    """

    def __init__(
        self,
        signatures: dict[str, Signature],
        signature: str | None = None,
        batch_size: int = 32,
        scale: float = 1 / 255,
    ):
        self._batch_size, self._scale = batch_size, scale
        default = signature or "serving_default"
        by_bytes = "serving_bytes" if signature is None and "serving_bytes" in signatures else default
        self._array_target = _target(signatures, default)
        self._image_target = _target(signatures, by_bytes)

    def decodes(self, files: Iterable[Path]) -> bool:
        """Whether some of the files are images that are decoded here, by TensorFlow."""
        return self._image_target[2].dtype != STRING and any(map(_is_image, files))

    def batches(self, files: Iterable[Path]) -> Iterator[Batch]:
        """Read the files and yield batches in their order."""
        waiting: list[tuple[Row, np.ndarray]] = []
        for file in files:
            is_image = _is_image(file)
            try:
                found = self._image(file) if is_image else None
                arrays = None if is_image else self._array(file)
            except (InputError, OSError, ValueError) as error:
                yield from self._flush(waiting)
                yield Batch((Row(file),), "", np.zeros(0), 1, " ".join(str(error).split()))
                continue
            if found is not None:
                if waiting and (waiting[0][1].shape != found.shape or len(waiting) == self._batch_size):
                    yield from self._flush(waiting)
                waiting.append((Row(file), found))
            elif arrays is not None:
                yield from self._flush(waiting)
                yield from self._chunks(file, arrays)
        yield from self._flush(waiting)

    def _flush(self, waiting: list[tuple[Row, np.ndarray]]) -> Iterator[Batch]:
        if waiting:
            rows, images = zip(*waiting, strict=True)
            waiting.clear()
            yield Batch(rows, self._image_target[0], np.stack(images), len(rows))

    def _chunks(self, file: Path, array: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(array), self._batch_size):
            chunk = array[start : start + self._batch_size]
            rows = tuple(Row(file, start + offset) for offset in range(len(chunk)))
            yield Batch(rows, self._array_target[0], chunk, int(start + len(chunk) == len(array)))

    def _image(self, file: Path) -> np.ndarray:
        _, name, spec = self._image_target
        encoded = file.read_bytes()
        if spec.dtype == STRING:
            return np.array(encoded, object)
        return _decoded(encoded, name, spec, self._scale)

    def _array(self, file: Path) -> np.ndarray:
        _, name, spec = self._array_target
        array = np.load(file, allow_pickle=False)
        rank = array.ndim if spec.shape is None else len(spec.shape)
        if array.ndim == rank - 1:  # a single example
            array = array[None]
        if array.ndim != rank or rank == 0:
            raise InputError(f"input {name!r} takes shape {_shown(spec)}. Received: shape={array.shape}")
        if not len(array):
            raise InputError("the array holds no example")
        return array


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGES


def _target(signatures: dict[str, Signature], name: str) -> tuple[str, str, TensorSpec]:
    """Return the signature, its only input, and the spec of that."""
    if name not in signatures:
        raise InputError(f"the model has the signatures {sorted(signatures)}. Received: signature={name!r}")
    inputs = signatures[name].inputs
    if len(inputs) != 1:
        raise InputError(f"signature {name!r} takes {len(inputs)} inputs, {sorted(inputs)}: files hold one each")
    [(key, spec)] = inputs.items()
    return name, key, spec


def _shown(spec: TensorSpec) -> Sequence[Any] | str:
    return "of any rank" if spec.shape is None else spec.shape


def _decoded(encoded: bytes, name: str, spec: TensorSpec, scale: float) -> np.ndarray:
    import tensorflow as tf

    shape = spec.shape
    if shape is None or len(shape) != 4:
        raise InputError(f"an image needs an input of rank 4; {name!r} takes shape {_shown(spec)}")
    _, height, width, channels = shape
    if channels not in (None, 1, 3, 4):
        raise InputError(f"an image has 1, 3 or 4 channels; {name!r} takes shape {_shown(spec)}")
    try:
        with tf.device("CPU:0"):
            image: Any = tf.io.decode_image(encoded, channels=channels or 0, expand_animations=False)
            size = (height or image.shape[0], width or image.shape[1])
            if size != tuple(image.shape[:2]):
                image = tf.image.resize(image, size)
            pixels = image.numpy()
    except tf.errors.InvalidArgumentError as error:
        raise InputError(f"no image that can be decoded: {error.message.splitlines()[0]}") from error
    wanted = numpy_dtype(spec.dtype)
    if wanted.kind in "iu":
        return np.rint(pixels).astype(wanted)
    return (pixels.astype(np.float32) * np.float32(scale)).astype(wanted)
