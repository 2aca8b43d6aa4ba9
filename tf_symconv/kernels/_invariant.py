"""Kernels that every element of a group leaves as they are."""

import abc
import dataclasses
from typing import final

from tf_symconv import groups
from tf_symconv.kernels._base import SpatialMap, Table


class Invariant(SpatialMap):
    """Kernels that equal their transform under each element of a group: one free weight per orbit of cells."""

    @property
    @abc.abstractmethod
    def group(self) -> str:
        """The name of the group in :mod:`tf_symconv.groups`."""

    def _table(self, spatial: tuple[int, ...]) -> Table:
        if len(spatial) < 2:
            raise ValueError(
                f"The symmetry {self.group!r} turns a plane: the kernel needs at least 2 spatial axes. "
                f"Received: spatial shape {spatial}"
            )
        group = groups.get(self.group, len(spatial))
        if not group.preserves(spatial):
            raise ValueError(
                f"The symmetry {self.group!r} needs a kernel of equal height and width. "
                f"Received: spatial shape {spatial}"
            )
        return Table.of_labels(group.orbits(spatial))


@final
@dataclasses.dataclass(frozen=True)
class Rotational(Invariant):
    """Kernels that rotations of the height-width plane leave as they are, and reflections too where asked.

    ``Rotational(2)`` is ``c2``, ``Rotational(4)`` is ``c4``, ``Rotational(4, reflect=True)`` is ``d4``. The latent has
    one weight per orbit of cells and channel pair: shape ``(orbits, input channels, output channels)``.

    Args:
        order: 2 (half turns) or 4 (quarter turns; needs a square kernel). Even and odd sizes work.
        reflect: Add the reflections of the rectangle (order 2) or of the square (order 4).

    Raises:
        ValueError: If the order is not 2 or 4; at use, if the kernel is not square though the order is 4.

    Example:
        >>> Rotational(4).latent_shape((3, 3, 8, 16))
        (3, 8, 16)
    """

    order: int = 4
    reflect: bool = False

    def __post_init__(self) -> None:
        if self.order not in (2, 4) or isinstance(self.order, bool):
            raise ValueError(f"order must be 2 or 4. Received: order={self.order!r}")
        if not isinstance(self.reflect, bool):
            raise ValueError(f"reflect must be True or False. Received: reflect={self.reflect!r}")

    @property
    def group(self) -> str:
        return {(2, False): "c2", (2, True): "hv", (4, False): "c4", (4, True): "d4"}[self.order, self.reflect]


@final
@dataclasses.dataclass(frozen=True)
class Diagonal(Invariant):
    """Square kernels that equal their own transpose (height and width exchanged).

    The latent has one weight per orbit of cells, per channel pair.

    Raises:
        ValueError: At use, if height and width differ.

    Example:
        >>> Diagonal().latent_shape((3, 3, 8, 16))
        (6, 8, 16)
    """

    @property
    def group(self) -> str:
        return "diag"
