"""Layers of the TF1 era that held several variables where today's layers hold one."""

from collections.abc import Collection

import numpy as np

from tf_symconv.compat_v1._checkpoint_files import Checkpoint
from tf_symconv.kernels import import_cnn_symmetry

__all__ = ["MergedCheckpoint"]

_BLOCKS = ("kernel_sym_h", "kernel_sym_v", "kernel_sym_hv", "kernel_nonsym")
_BIASES = ("bias", "bias_h", "bias_v", "bias_hv", "bias_nonsym")


class MergedCheckpoint(Checkpoint):
    """A checkpoint in which each of those layers has one ``kernel`` and one ``bias``.

    These are the ``SymmetricConv2D`` of CNN-Symmetry, with one kernel for each kind of orbit, whose filters and biases
    become those of a flip bank; and its ``GlobalConv1D``, whose ``kernel`` (the centre) and ``surround`` become one.

    Args:
        prefix: As in :class:`Checkpoint`.
        held: The last parts of the names that the target has. Layers whose parts it holds one by one stay apart.

    Attributes:
        parts: For every merged name the names that the file has.
    """

    def __init__(self, prefix: str, held: Collection[str]):
        super().__init__(prefix)
        self.parts: dict[str, tuple[str, ...]] = {}
        self._merged: dict[str, np.ndarray] = {}
        names = set(self.shapes)
        for scope in sorted({name.rpartition("/")[0] for name in names}):
            lead = f"{scope}/" if scope else ""
            blocks = [lead + block for block in _BLOCKS if lead + block in names]
            if any("_sym_" in block for block in blocks) and not set(_BLOCKS).intersection(held):
                self._merge_flip_bank(lead, blocks, [lead + bias for bias in _BIASES if lead + bias in names])
            elif f"{lead}surround" in names and f"{lead}kernel" in names and "surround" not in held:
                both = (f"{lead}kernel", f"{lead}surround")
                self._merge(f"{lead}kernel", both, np.concatenate([self[name] for name in both]))

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the array of that name."""
        return self._merged[name] if name in self._merged else super().__getitem__(name)

    def _merge_flip_bank(self, lead: str, blocks: list[str], biases: list[str]) -> None:
        bank = import_cnn_symmetry({name: self[name] for name in (*blocks, *biases)}, "tensorflow")
        kernel = bank.latent
        self._merge(f"{lead}kernel", tuple(blocks), kernel)
        if bank.bias is not None:
            self._merge(f"{lead}bias", tuple(biases), bank.bias)

    def _merge(self, name: str, parts: tuple[str, ...], value: np.ndarray) -> None:
        for part in parts:
            del self.shapes[part]
        self.parts[name] = parts
        self._merged[name] = value
        self.shapes[name] = value.shape
        self.shapes = dict(sorted(self.shapes.items()))
