"""Kernels whose weights depend on the distance from the centre only."""

import dataclasses
from typing import final

import numpy as np

from tf_symconv.kernels._base import SpatialMap, Table

INTERPOLATIONS = ("nearest", "linear", "exact")


@final
@dataclasses.dataclass(frozen=True)
class Circular(SpatialMap):
    """Kernels whose weights depend on the distance from the kernel's centre only.

    The distance is Euclidean, in cells, for 1-D, 2-D (circles) and 3-D (spheres), square or not; the centre of an even
    axis lies between its two middle cells. The latent has one weight per radius and channel pair.

    Args:
        interpolation: ``"nearest"`` ties the cells whose distances round to the same integer (halves round up);
            ``"exact"`` ties the cells of equal distance; ``"linear"`` blends the two neighbouring radii, which are
            distances that occur, at least one cell apart (and the largest distance), so that no free weight is idle.

    Raises:
        ValueError: If the interpolation is not known.

    Example:
        >>> Circular().latent_shape((5, 5, 8, 16))
        (4, 8, 16)
    """

    interpolation: str = "nearest"

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation must be one of {', '.join(INTERPOLATIONS)}. "
                f"Received: interpolation={self.interpolation!r}"
            )

    def _table(self, spatial: tuple[int, ...]) -> Table:
        # Four times the squared distance is an integer, so equal distances compare equal.
        offsets = np.meshgrid(*[2 * np.arange(n) - (n - 1) for n in spatial], indexing="ij")
        squares = np.sum(np.square(offsets), axis=0)
        if self.interpolation == "exact":
            return Table.of_labels(_compact(squares))
        radii = np.sqrt(squares) / 2
        if self.interpolation == "nearest":
            return Table.of_labels(_compact(np.floor(radii + 0.5)))
        knots = _knots(np.unique(radii))
        upper = np.clip(np.searchsorted(knots, radii.ravel()), min(1, len(knots) - 1), None)
        lower = np.maximum(upper - 1, 0)
        gap = np.where(upper > lower, knots[upper] - knots[lower], 1.0)
        share = (radii.ravel() - knots[lower]) / gap
        return Table(np.stack([lower, upper]), np.stack([1.0 - share, share]), len(knots))


def _compact(values: np.ndarray) -> np.ndarray:
    """Replace values by their rank among the distinct values."""
    return np.unique(values, return_inverse=True)[1].reshape(values.shape)


def _knots(radii: np.ndarray) -> np.ndarray:
    """Thin sorted radii to a spacing of at least one cell, and keep the largest."""
    knots = [radii[0]]
    for radius in radii[1:]:
        if radius - knots[-1] >= 1.0:
            knots.append(radius)
    if knots[-1] != radii[-1]:
        knots.append(radii[-1])
    return np.array(knots)
