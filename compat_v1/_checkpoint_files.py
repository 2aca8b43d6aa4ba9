"""Read and write name-based checkpoints: a name and an array for every variable."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["Checkpoint", "is_object_based", "write"]

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_INDEX = ".index"


class Checkpoint:
    """The arrays of a checkpoint by name, read when they are asked for.

    Args:
        prefix: What ``Saver.save`` was given and returned, or the directory of checkpoints, of which the latest counts.

    Raises:
        ValueError: If there is no checkpoint.
    """

    def __init__(self, prefix: str | os.PathLike[str]):
        self.prefix = _resolve(os.fspath(prefix))
        try:
            self._reader = tf.compat.v1.train.NewCheckpointReader(self.prefix)
        except (tf.errors.OpError, RuntimeError) as error:
            raise ValueError(f"The checkpoint cannot be read: {error}. Received: prefix={str(prefix)!r}") from None
        self.shapes: dict[str, tuple[int, ...]] = {
            name: tuple(shape) for name, shape in sorted(self._reader.get_variable_to_shape_map().items())
        }
        self.dtypes: dict[str, tf.DType] = {
            name: tf.as_dtype(dtype) for name, dtype in self._reader.get_variable_to_dtype_map().items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def __getitem__(self, name: str) -> Any:
        """Return the array of that name.

        Raises:
            ValueError: If the data are damaged.
        """
        try:
            return self._reader.get_tensor(name)
        except (tf.errors.OpError, RuntimeError) as error:
            raise ValueError(f"The variable {name!r} of {self.prefix} cannot be read: {error}") from None


def is_object_based(checkpoint: Checkpoint) -> bool:
    """Tell whether ``tf.train.Checkpoint`` wrote the checkpoint: its names are paths of Python attributes."""
    return _OBJECT_GRAPH in checkpoint


def write(prefix: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint that ``tf.train.Saver`` restores; it appears whole or not at all.

    Raises:
        ValueError: If there is nothing to write.
    """
    if not tensors:
        raise ValueError(f"A checkpoint has at least one variable. Received: tensors={dict(tensors)!r}")
    target = Path(prefix)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as directory:
        draft = Path(directory) / target.name
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            session.run(
                tf.raw_ops.SaveV2(
                    prefix=str(draft),
                    tensor_names=list(tensors),
                    shape_and_slices=[""] * len(tensors),
                    tensors=[tf.constant(value) for value in tensors.values()],
                )
            )
        # The index makes the data readable, so it comes last.
        for file in sorted(draft.parent.iterdir(), key=lambda file: file.suffix == _INDEX):
            file.replace(target.parent / file.name)


def _resolve(prefix: str) -> str:
    if Path(prefix).is_dir():
        latest = tf.train.latest_checkpoint(prefix)
        if latest is None:
            raise ValueError(f"The directory has no 'checkpoint' file that names one. Received: prefix={prefix!r}")
        return latest
    return prefix.removesuffix(_INDEX)
