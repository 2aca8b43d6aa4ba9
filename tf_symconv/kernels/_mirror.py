"""Kernels that equal their own reflection, or its negative."""

import dataclasses
import functools
from typing import final

import numpy as np

from tf_symconv import groups
from tf_symconv.kernels._base import SpatialMap, Table

LETTERS = "hvz"
PARITIES = ("even", "odd")


@final
@dataclasses.dataclass(frozen=True)
class Mirror(SpatialMap):
    """Kernels mirrored along axes: ``flip(kernel) == kernel`` (even) or ``flip(kernel) == -kernel`` (odd).

    The latent holds the first ``ceil(k / 2)`` rows or columns of each mirrored axis of size ``k``; ``floor(k / 2)``
    where the parity is odd, since the centre of an odd axis is then zero.

    Args:
        axes: Reflections as letters, for example ``"h"``, ``"hv"``, ``"hvz"``; any order.
        parity: ``"even"``, ``"odd"``, or a sequence with the parity of each letter of ``axes``.

    Raises:
        ValueError: If a letter or a parity is not known; at use, if the kernel has no such axis.

    Example:
        >>> import numpy as np
        >>> mirror = Mirror("h")
        >>> kernel = mirror.expand(np.array([1.0, 2.0]).reshape(1, 2, 1, 1), (1, 3, 1, 1))
        >>> kernel.numpy().ravel().tolist()
        [1.0, 2.0, 1.0]
    """

    axes: str
    parity: str | tuple[str, ...] = "even"

    def __post_init__(self) -> None:
        if not isinstance(self.axes, str) or not self.axes or len(set(self.axes) & set(LETTERS)) < len(self.axes):
            raise ValueError(f"axes must be distinct letters out of {LETTERS!r}. Received: axes={self.axes!r}")
        letters = "".join(sorted(self.axes, key=LETTERS.index))
        each = (self.parity,) * len(letters) if isinstance(self.parity, str) else self.parity
        if (
            not isinstance(each, tuple | list)
            or len(each) != len(letters)
            or any(parity not in PARITIES for parity in each)
        ):
            raise ValueError(
                "parity must be 'even', 'odd', or one of these for each letter of axes. "
                f"Received: parity={self.parity!r} with axes={self.axes!r}"
            )
        by_letter = tuple(dict(zip(self.axes, each, strict=True))[letter] for letter in letters)
        object.__setattr__(self, "axes", letters)
        object.__setattr__(self, "parity", by_letter[0] if len(set(by_letter)) == 1 else by_letter)

    def _signs(self, rank: int) -> dict[int, int]:
        """Return the sign of the reflection of each mirrored axis."""
        each = (self.parity,) * len(self.axes) if isinstance(self.parity, str) else self.parity
        return {
            groups.axis_of(letter, rank): 1 if parity == "even" else -1
            for letter, parity in zip(self.axes, each, strict=True)
        }

    def latent_spatial(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        sizes = list(spatial)
        for axis, sign in self._signs(len(spatial)).items():
            sizes[axis] = (sizes[axis] + (sign > 0)) // 2
        if 0 in sizes:
            raise ValueError(
                "A kernel of odd parity is zero along an axis of size 1: give that axis at least 2 cells. "
                f"Received: spatial shape {spatial} with {self}"
            )
        return tuple(sizes)

    def _table(self, spatial: tuple[int, ...]) -> Table:
        sizes = self.latent_spatial(spatial)
        places, weights = [], []
        signs = self._signs(len(spatial))
        for axis, (size, half) in enumerate(zip(spatial, sizes, strict=True)):
            cells = np.arange(size)
            reflected = size - 1 - cells
            sign = signs.get(axis, 0)
            in_first = (cells <= reflected) | (sign == 0)
            centre = (cells == reflected) & (sign < 0)
            places.append(np.where(centre, 0, np.where(in_first, cells, reflected)) % half)
            weights.append(np.where(centre, 0.0, np.where(in_first, 1.0, sign)))
        labels = np.ravel_multi_index(np.meshgrid(*places, indexing="ij"), sizes)
        weight = functools.reduce(np.multiply.outer, weights)
        return Table(labels.reshape(1, -1), weight.reshape(1, -1), int(np.prod(sizes)))
