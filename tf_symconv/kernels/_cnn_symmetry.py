"""Import of the weights of the CNN-Symmetry layers, which pair filters by flips as :class:`FlipBank` does."""

import dataclasses
from collections.abc import Mapping
from typing import Any, final

import numpy as np

from tf_symconv import groups
from tf_symconv.kernels._flip_bank import FlipBank

LAYOUTS = ("tensorflow", "pytorch")
_TF_KERNELS = {"h": "kernel_sym_h", "v": "kernel_sym_v", "hv": "kernel_sym_hv", "free": "kernel_nonsym"}
_TF_BIASES = {"v": "bias_v", "h": "bias_h", "hv": "bias_hv", "free": "bias_nonsym"}
#: The order in which the PyTorch layers append the images of a block.
_TORCH_FLIPS = ("h", "v", "z", "vz", "hz", "hv", "hvz")


@final
@dataclasses.dataclass(frozen=True, eq=False)
class ImportedFlipBank:
    """The arguments and weights of a flip bank layer that computes what a CNN-Symmetry layer computes.

    Attributes:
        filters: The number of output filters.
        symmetry: The counts, for :class:`FlipBank`.
        share_bias: Whether the biases agree within every orbit, so that they can be shared.
        latent: The unique filters, shape ``(*spatial, input channels, unique)``.
        bias: One entry per unique filter with ``share_bias``, else one per filter; None without biases.
        permutation: Integers of shape ``(filters,)``: our output channel ``i`` is their channel ``permutation[i]``, so
            ``theirs[..., permutation] == ours`` and ``ours[..., np.argsort(permutation)] == theirs``.
    """

    filters: int
    symmetry: dict[str, int]
    share_bias: bool
    latent: np.ndarray
    bias: np.ndarray | None
    permutation: np.ndarray

    @property
    def weights(self) -> list[np.ndarray]:
        """What ``layer.set_weights`` takes."""
        return [self.latent] if self.bias is None else [self.latent, self.bias]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the layer that these weights determine."""
        return {
            "filters": self.filters,
            "kernel_size": self.latent.shape[:-2],
            "use_bias": self.bias is not None,
            "symmetry": self.symmetry,
            "share_bias": self.share_bias,
        }


def import_cnn_symmetry(
    arrays: Mapping[str, Any], layout: str, symmetry: Mapping[str, int] | None = None
) -> ImportedFlipBank:
    """Convert the arrays of a symmetric convolution of CNN-Symmetry; its transposed layers are not flip banks.

    Args:
        arrays: The layer's arrays by name; what precedes the last ``/`` or ``.``, and a suffix ``:0``, do not count.
            ``"tensorflow"``: ``kernel_sym_h``, ``kernel_sym_v``, ``kernel_sym_hv``, ``kernel_nonsym`` (one array per
            block, those that exist) and ``bias``, or ``bias_v``, ``bias_h``, ``bias_hv``, ``bias_nonsym`` where it
            shares biases. ``"pytorch"``: ``weight`` (unique filters first) and ``bias``, if there is one.
        layout: ``"tensorflow"`` or ``"pytorch"``.
        symmetry: The counts that the PyTorch layer was made with; its weights do not tell. The TensorFlow arrays do.

    Returns:
        What to make and to set, and the permutation of the output channels. The TensorFlow layers list shared biases in
        the order v, h, hv but their filters in the order h, v, hv: such biases belong to other filters than those of
        their orbit, so ``share_bias`` is False unless they happen to agree.

    Raises:
        ValueError: If an array is missing, not known or of the wrong shape.

    Reference:
        Treder, CNN-Symmetry, https://github.com/treder/CNN-Symmetry.

    Example:
        >>> bank = import_cnn_symmetry({"weight": np.ones((3, 2, 5, 5)), "bias": np.arange(5.0)}, "pytorch", {"h": 4})
        >>> bank.permutation.tolist(), bank.latent.shape, bank.bias.tolist()
        ([0, 1, 3, 4, 2], (5, 5, 2, 3), [0.0, 1.0, 3.0, 4.0, 2.0])
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}. Received: layout={layout!r}")
    named = {name.replace("/", ".").split(".")[-1].split(":")[0]: np.asarray(array) for name, array in arrays.items()}
    if len(named) < len(arrays):
        raise ValueError(f"arrays must be those of one layer. Received: {sorted(arrays)}")
    if layout == "tensorflow":
        return _from_tensorflow(named)
    if symmetry is None:
        raise ValueError("The PyTorch layout needs the counts of the layer. Received: symmetry=None")
    return _from_pytorch(named, symmetry)


def _from_tensorflow(arrays: dict[str, np.ndarray]) -> ImportedFlipBank:
    known = {*_TF_KERNELS.values(), *_TF_BIASES.values(), "bias"}
    blocks = {name: arrays[key] for name, key in _TF_KERNELS.items() if key in arrays}
    if not blocks or set(arrays) - known or len({block.shape[:-1] for block in blocks.values()}) != 1:
        raise ValueError(
            f"The TensorFlow layout has arrays {', '.join(sorted(known))}, among them at least one kernel, and kernels "
            f"that differ in their last axis only. Received: {_shapes(arrays)}"
        )
    images = {name: 1 if name == "free" else 2 ** len(name) for name in _TF_KERNELS}
    counts = {name: block.shape[-1] * images[name] for name, block in blocks.items()}
    filters, latent = sum(counts.values()), np.concatenate(list(blocks.values()), axis=-1)
    shared = {name: arrays[key] for name, key in _TF_BIASES.items() if key in arrays}
    if shared and {name: each.shape for name, each in shared.items()} != {n: b.shape[-1:] for n, b in blocks.items()}:
        raise ValueError(
            f"Shared biases need one entry for each unique filter of each block. Received: {_shapes(arrays)}"
        )
    bias = np.concatenate([np.tile(each, images[name]) for name, each in shared.items()]) if shared else None
    counts.pop("free", None)
    return _imported(counts, latent, arrays.get("bias", bias), np.arange(filters), shares=bool(shared))


def _from_pytorch(arrays: dict[str, np.ndarray], symmetry: Mapping[str, int]) -> ImportedFlipBank:
    weight = arrays.get("weight")
    if weight is None or set(arrays) - {"weight", "bias"} or weight.ndim not in (4, 5):
        raise ValueError(
            "The PyTorch layout has a weight of shape (unique filters, input channels, *spatial) with 2 or 3 spatial "
            f"axes, and perhaps a bias. Received: {_shapes(arrays)}"
        )
    counts: dict[str, Any] = dict(FlipBank(symmetry).symmetry) if symmetry else {}
    if any(not isinstance(count, int) for count in counts.values()):
        raise ValueError(f"The counts of a PyTorch layer are numbers of filters. Received: symmetry={symmetry!r}")
    unique = {name: count // 2 ** len(name) for name, count in counts.items()}
    free = len(weight) - sum(unique.values())
    if free < 0:
        raise ValueError(
            f"The weight must hold at least the {sum(unique.values())} unique filters of symmetry={dict(symmetry)}. "
            f"Received: weight of shape {weight.shape}"
        )
    theirs = [(filter_, "") for filter_ in range(len(weight))]
    ours, start = [], 0
    for name, number in unique.items():
        places = range(start, start + number)
        theirs += [(place, flip) for flip in _TORCH_FLIPS if set(flip) <= set(name) for place in places]
        ours += [(place, flip) for flip in ("", *groups.names(3)) if set(flip) <= set(name) for place in places]
        start += number
    ours += [(filter_, "") for filter_ in range(start, len(weight))]
    permutation = np.array([theirs.index(each) for each in ours])
    latent = np.transpose(weight, (*range(2, weight.ndim), 1, 0))
    return _imported(counts, latent, arrays.get("bias"), permutation, shares=False)


def _imported(
    counts: dict[str, int], latent: np.ndarray, bias: np.ndarray | None, permutation: np.ndarray, shares: bool
) -> ImportedFlipBank:
    """Return the result, with the biases (one per filter of theirs) in our order."""
    symmetry, filters = counts or {"h": 0}, len(permutation)
    if bias is not None:
        if bias.shape != (filters,):
            raise ValueError(f"The layer has {filters} filters and needs as many biases. Received: {bias.size} biases")
        bias = bias[permutation]
        orbits = FlipBank(symmetry).orbits(filters)
        unique = bias[np.unique(orbits, return_index=True)[1]]
        shares = shares and np.array_equal(unique[orbits], bias)
        bias = unique if shares else bias
    return ImportedFlipBank(filters, symmetry, shares or bias is None, latent, bias, permutation)


def _shapes(arrays: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}
