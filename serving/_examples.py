"""Example requests and their right answers, kept within a version.

The file is ``assets.extra/symconv_examples.npz``, a NumPy archive (no pickles) with one member per tensor, named
``inputs/SIGNATURE/TENSOR`` or ``outputs/SIGNATURE/TENSOR``. A signature has one request, a batch of any size, and the
outputs that the Keras model computed for it. Two types that the ``.npy`` format lacks are stored so:

- strings as fixed-length bytes (kind ``S``), each followed by one byte 1, because NumPy drops trailing zero bytes;
- 16-bit and smaller floats other than float16 as their raw bits (kind ``V``); the signature tells the type.
"""

import dataclasses
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tf_symconv.serving._dtypes import STRING, numpy_dtype
from tf_symconv.serving._saved_model import SavedModelError, Signature, TensorSpec

__all__ = ["EXAMPLES_PATH", "Examples", "load", "save"]

EXAMPLES_PATH = Path("assets.extra") / "symconv_examples.npz"
_STRING_END = b"\x01"


@dataclasses.dataclass(frozen=True)
class Examples:
    """A request to one signature and its answer: arrays by tensor name."""

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


def save(version_dir: Path, examples: Mapping[str, Examples]) -> None:
    """Write the examples of each signature into a version.

    Raises:
        ValueError: a signature has a slash in its name.
    """
    members = {}
    for signature, example in examples.items():
        if "/" in signature:
            raise ValueError(f"a signature's name must have no slash. Received: {signature!r}")
        for kind, arrays in (("inputs", example.inputs), ("outputs", example.outputs)):
            members.update({f"{kind}/{signature}/{name}": _stored(array) for name, array in arrays.items()})
    file = version_dir / EXAMPLES_PATH
    file.parent.mkdir(exist_ok=True)
    np.savez_compressed(file, **members)


def load(version_dir: Path, signatures: Mapping[str, Signature]) -> dict[str, Examples]:
    """Read the examples of the signatures that have some.

    Raises:
        SavedModelError: the file is damaged, or does not fit the signatures.
    """
    file = version_dir / EXAMPLES_PATH
    if not file.exists():
        return {}
    try:
        with np.load(file, allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SavedModelError(f"{file} is damaged: {error}") from error
    found: dict[str, Examples] = {}
    for member, array in members.items():
        kind, _, rest = member.partition("/")
        name, _, tensor = rest.partition("/")
        specs = getattr(signatures.get(name), kind, None) if kind in ("inputs", "outputs") else None
        if specs is None or tensor not in specs:
            raise SavedModelError(f"{file} must hold tensors of the signatures only. Received: {member}")
        arrays = getattr(found.setdefault(name, Examples({}, {})), kind)
        arrays[tensor] = _restored(array, specs[tensor])
    for name, example in found.items():
        for kind in ("inputs", "outputs"):
            missing = set(getattr(signatures[name], kind)) - set(getattr(example, kind))
            if missing:
                raise SavedModelError(f"{file} lacks the {kind} {sorted(missing)} of signature {name!r}")
    return found


def _stored(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "OSU":
        encoded = [value.encode() if isinstance(value, str) else bytes(value) for value in array.ravel()]
        return np.array([value + _STRING_END for value in encoded], "S").reshape(array.shape)
    if array.dtype.kind == "V":  # bfloat16 and the other types of ml_dtypes
        return array.view(f"V{array.itemsize}")
    return array


def _restored(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    if spec.dtype == STRING and array.dtype.kind == "S":
        restored = np.empty(array.size, object)
        restored[:] = [value.removesuffix(_STRING_END) for value in array.ravel().tolist()]
        return restored.reshape(array.shape)
    if array.dtype.kind == "V":
        dtype = numpy_dtype(spec.dtype)
        return array.view(dtype) if dtype.itemsize == array.itemsize else array
    return array
