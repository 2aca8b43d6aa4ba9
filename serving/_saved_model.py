"""Read a SavedModel's signatures and graph without TensorFlow's Python package."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tf_symconv.serving import _protos
from tf_symconv.serving._dtypes import dtype_name, dtype_number
from tf_symconv.serving._graph import Graph

__all__ = ["SERVE", "SavedModel", "SavedModelError", "Signature", "TensorSpec", "read"]

SERVE = "serve"
_INTERNAL = "__saved_model_"  # Signatures of the loader itself: initialisation and training ops.


class SavedModelError(Exception):
    """A directory that holds no SavedModel that can be loaded; the message is one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """What a signature declares of one tensor.

    Attributes:
        tensor: its name in the graph (``"serving_default_x:0"``).
        dtype: name of its element type.
        shape: its dimensions, None where any size goes; None as a whole where any rank goes.
    """

    tensor: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def admits(self, array: np.ndarray) -> bool:
        """Whether ``array`` has this type and shape."""
        if dtype_name(dtype_number(array)) != self.dtype:
            return False
        if self.shape is None:
            return True
        sizes = zip(self.shape, array.shape, strict=False)
        return array.ndim == len(self.shape) and all(want in (None, got) for want, got in sizes)


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature: its method and its tensors by name."""

    method: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """The graph for serving of a SavedModel and its signatures by name."""

    path: Path
    signatures: Mapping[str, Signature]
    graph: Graph


def read(path: str | Path) -> SavedModel:
    """Read ``saved_model.pb`` in the directory ``path``.

    Raises:
        SavedModelError: there is none, it is damaged, or it has no graph for serving.
    """
    path = Path(path)
    if not path.is_dir():
        raise SavedModelError(f"no such directory: {path}")
    file = path / "saved_model.pb"
    try:
        serialized = file.read_bytes()
    except OSError as error:
        raise SavedModelError(f"no SavedModel in {path}: {error.strerror} ({file.name})") from error
    proto = _protos.new("SavedModel")
    try:
        proto.ParseFromString(serialized)
    except _protos.DecodeError as error:
        raise SavedModelError(f"{file} is damaged: it is no SavedModel protocol buffer") from error
    graphs = [graph for graph in proto.meta_graphs if set(graph.meta_info_def.tags) == {SERVE}]
    if not graphs:
        found = [list(graph.meta_info_def.tags) for graph in proto.meta_graphs]
        raise SavedModelError(f"{file} must have a graph with the tag {SERVE!r}. Received: tags={found}")
    signatures = {
        entry.key: Signature(entry.value.method_name, _specs(entry.value.inputs), _specs(entry.value.outputs))
        for entry in graphs[0].signature_def
        if not entry.key.startswith(_INTERNAL)
    }
    return SavedModel(path, dict(sorted(signatures.items())), Graph(graphs[0].graph_def))


def _specs(entries: _protos.Message) -> dict[str, TensorSpec]:
    specs = {}
    for entry in sorted(entries, key=lambda entry: entry.key):
        shape = entry.value.tensor_shape
        sizes = tuple(dim.size if dim.size >= 0 else None for dim in shape.dim)
        known = entry.value.HasField("tensor_shape") and not shape.unknown_rank
        specs[entry.key] = TensorSpec(entry.value.name, dtype_name(entry.value.dtype), sizes if known else None)
    return specs
