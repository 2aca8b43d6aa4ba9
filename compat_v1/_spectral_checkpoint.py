"""Checkpoints of the original spectral layers, in the form that the layers here read.

The original has two forms of a layer. In the careful one every free number of the spectrum is a variable, unnamed, so
that the checkpoint holds ``conv1/Variable``, ``conv1/Variable_1``, ... in the order in which they were made: cell by
cell, the imaginary part before the real one, and the bias last. In the fast one ``conv1/real`` and ``conv1/imag`` hold
the whole spectrum, and ``conv1/Variable`` the bias.
"""

import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tf_symconv.compat_v1 import _checkpoint_files, _spectrum

__all__ = ["convert_spectral_checkpoint"]


def convert_spectral_checkpoint(
    prefix: str | os.PathLike[str],
    output_prefix: str | os.PathLike[str],
    filter_sizes: Mapping[str, Sequence[int]],
) -> dict[str, tuple[str, ...]]:
    """Rewrite the spectral layers of a checkpoint as one ``spectrum`` and one ``bias`` each.

    Optimiser slots are rewritten in the same way, so that training continues with the same steps. The slots of the
    form with ``real`` and ``imag`` have no counterpart (each free number had its gradient in two cells) and are left
    out. Everything else is copied.

    Args:
        prefix: The old checkpoint.
        output_prefix: The new one; it appears whole or not at all.
        filter_sizes: Height and width of the filters, by the variable scope of their layer.

    Returns:
        For every variable of the new checkpoint, the variables of the old one that it comes from.

    Raises:
        ValueError: If a scope has no such layer or its numbers do not fit the size.
    """
    checkpoint = _checkpoint_files.Checkpoint(prefix)
    tensors: dict[str, np.ndarray] = {}
    sources: dict[str, tuple[str, ...]] = {}
    used: set[str] = set()
    for scope, size in filter_sizes.items():
        convert = _convert_pair if f"{scope}/real" in checkpoint else _convert_cells
        convert(checkpoint, scope, tuple(size), tensors, sources)
        used.update(name for name in checkpoint.shapes if name.startswith(f"{scope}/"))
    for name in checkpoint.shapes:
        if name not in used:
            tensors[name], sources[name] = checkpoint[name], (name,)
    _checkpoint_files.write(output_prefix, tensors)
    return sources


def _convert_cells(
    checkpoint: _checkpoint_files.Checkpoint,
    scope: str,
    size: tuple[int, ...],
    tensors: dict[str, np.ndarray],
    sources: dict[str, tuple[str, ...]],
) -> None:
    variables = _unnamed(checkpoint, scope)
    *cells, bias = variables or [""]
    if not cells or len(checkpoint.shapes[bias]) != 1 or any(checkpoint.shapes[name] for name in cells):
        raise ValueError(
            "A spectral layer of the original has unnamed scalars and then a bias. "
            f"Received: filter_sizes[{scope!r}]={size}, where the checkpoint has {variables or 'no such variables'}"
        )
    filters = checkpoint.shapes[bias][0]
    channels, rest = divmod(len(cells), filters * int(np.prod(size)))
    if len(size) != 2 or rest:
        raise ValueError(
            f"The scope {scope!r} has {len(cells)} numbers for {filters} filters, which is no multiple of the cells "
            f"of a filter. Received: filter_sizes[{scope!r}]={size}"
        )
    places = _creation_order(*size)
    for slot in _slots(checkpoint, cells[0]):
        values = np.array([checkpoint[name + slot] for name in cells]).reshape(channels, filters, -1)
        packed = np.empty_like(values)
        packed[..., places] = values
        tensors[f"{scope}/spectrum{slot}"] = packed.reshape(channels, filters, *size)
        sources[f"{scope}/spectrum{slot}"] = tuple(name + slot for name in cells)
    for slot in _slots(checkpoint, bias):
        tensors[f"{scope}/bias{slot}"], sources[f"{scope}/bias{slot}"] = checkpoint[bias + slot], (bias + slot,)


def _convert_pair(
    checkpoint: _checkpoint_files.Checkpoint,
    scope: str,
    size: tuple[int, ...],
    tensors: dict[str, np.ndarray],
    sources: dict[str, tuple[str, ...]],
) -> None:
    real, imaginary = f"{scope}/real", f"{scope}/imag"
    biases = _unnamed(checkpoint, scope)
    if checkpoint.shapes[real][-2:] != size or checkpoint.shapes.get(imaginary) != checkpoint.shapes[real]:
        raise ValueError(
            f"{real!r} and {imaginary!r} have the shape (channels, filters, height, width). Received: "
            f"filter_sizes[{scope!r}]={size}, where {real!r} has the shape {checkpoint.shapes[real]}"
        )
    spectrum = checkpoint[real] + 1j * checkpoint[imaginary]
    # Only the part with conjugate symmetry reaches the real filter.
    mirrored = np.conj(np.roll(spectrum[..., ::-1, ::-1], (1, 1), (-2, -1)))
    tensors[f"{scope}/spectrum"] = _spectrum.pack((spectrum + mirrored) / 2).astype(checkpoint[real].dtype)
    sources[f"{scope}/spectrum"] = (real, imaginary)
    if biases:
        tensors[f"{scope}/bias"], sources[f"{scope}/bias"] = checkpoint[biases[-1]], (biases[-1],)


def _unnamed(checkpoint: _checkpoint_files.Checkpoint, scope: str) -> list[str]:
    """Return the names of the unnamed variables of a scope, oldest first."""
    pattern = re.compile(re.escape(scope) + r"/Variable(?:_(\d+))?")
    found = [match for name in checkpoint.shapes if (match := pattern.fullmatch(name))]
    return [match.string for match in sorted(found, key=lambda match: int(match[1] or 0))]


def _slots(checkpoint: _checkpoint_files.Checkpoint, name: str) -> list[str]:
    """Return the suffixes of the variable itself and of its optimiser slots."""
    return [other.removeprefix(name) for other in checkpoint.shapes if other == name or other.startswith(f"{name}/")]


def _creation_order(height: int, width: int) -> np.ndarray:
    """Return the packed cell of each variable of a filter, in the order in which the original makes them."""
    first, own = _spectrum.partners(height, width)
    places = []
    for row, column in np.argwhere(first):
        if not own[row, column]:
            places.append(-row % height * width + -column % width)
        places.append(row * width + column)
    return np.array(places)
