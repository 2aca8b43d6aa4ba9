"""Finite groups of the square and the cube, and their action on arrays.

An element moves the cells of a square or cube: it permutes the spatial axes and reverses some of them. Everything that
the library knows about a group (its order, its composition, which cells it ties) follows from the elements listed in
one list.

Spatial axes are named from the last one: ``h`` reverses the width (the only axis in 1-D), ``v`` the height, ``z`` the
depth. Rotations turn the height-width plane counter-clockwise, as ``np.rot90`` turns an image.

Example:
    >>> from tf_symconv import groups
    >>> d4 = groups.get("d4")
    >>> d4.order
    8
    >>> rotation = d4.elements[1]
    >>> (rotation * rotation.inverse).is_identity
    True
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import final

import numpy as np

__all__ = ["Element", "Group", "axis_of", "get", "names"]

_LETTERS = "hvz"


@final
@dataclasses.dataclass(frozen=True)
class Element:
    """A signed permutation of the spatial axes: transpose first, then reverse.

    Args:
        permutation: Axis ``i`` of the result is axis ``permutation[i]`` of the argument.
        reversal: Whether axis ``i`` of the result is then reversed.
    """

    permutation: tuple[int, ...]
    reversal: tuple[bool, ...]

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.permutation)

    @property
    def is_identity(self) -> bool:
        """Whether the element leaves every array as it is."""
        return self.permutation == tuple(range(self.rank)) and not any(self.reversal)

    def __call__(self, array: np.ndarray, axes: Sequence[int] | None = None) -> np.ndarray:
        """Return ``array`` with its spatial ``axes`` (the leading ones by default) transformed."""
        axes = tuple(range(self.rank)) if axes is None else tuple(axis % array.ndim for axis in axes)
        order = list(range(array.ndim))
        for target, source in zip(axes, self.permutation, strict=True):
            order[target] = axes[source]
        flips = tuple(axis for axis, flip in zip(axes, self.reversal, strict=True) if flip)
        return np.flip(np.transpose(array, order), flips)

    def __mul__(self, other: "Element") -> "Element":
        """Return the composition: ``(g * k)(array) == g(k(array))``."""
        return Element(
            tuple(other.permutation[i] for i in self.permutation),
            tuple(flip != other.reversal[i] for i, flip in zip(self.permutation, self.reversal, strict=True)),
        )

    @property
    def inverse(self) -> "Element":
        """The element that undoes this one."""
        order = sorted(range(self.rank), key=self.permutation.__getitem__)
        return Element(tuple(order), tuple(self.reversal[i] for i in order))


@final
@dataclasses.dataclass(frozen=True)
class Group:
    """A group of :class:`Element`; the first one is the identity.

    Reflection groups list their elements in the order identity, h, v, z, hv, hz, vz, hvz; rotation groups by
    growing angle, and ``d4`` lists the rotations, then the rotations followed by ``v``.
    """

    name: str
    elements: tuple[Element, ...]

    @property
    def order(self) -> int:
        """The number of elements."""
        return len(self.elements)

    @property
    def rank(self) -> int:
        """The number of spatial axes that the group acts on."""
        return self.elements[0].rank

    @functools.cached_property
    def multiplication_table(self) -> np.ndarray:
        """Integers of shape ``(order, order)``: ``elements[i] * elements[j] == elements[table[i, j]]``."""
        index = {element: i for i, element in enumerate(self.elements)}
        return np.array([[index[g * k] for k in self.elements] for g in self.elements])

    @functools.cached_property
    def inverses(self) -> np.ndarray:
        """Integers of shape ``(order,)``: ``elements[i].inverse == elements[inverses[i]]``."""
        index = {element: i for i, element in enumerate(self.elements)}
        return np.array([index[g.inverse] for g in self.elements])

    def preserves(self, shape: Sequence[int]) -> bool:
        """Whether every element maps arrays of this spatial ``shape`` to arrays of the same shape."""
        shape = tuple(shape)
        return all(tuple(shape[i] for i in g.permutation) == shape for g in self.elements)

    def orbits(self, shape: Sequence[int]) -> np.ndarray:
        """Label the cells of an array by their orbit.

        Args:
            shape: Spatial shape, one size per axis.

        Returns:
            Integers of that shape: cells that the group maps to each other share a label. Labels count up in the
            order in which the orbits appear.

        Raises:
            ValueError: If the group does not map arrays of this shape to themselves.
        """
        if not self.preserves(shape):
            raise ValueError(
                f"The group {self.name!r} exchanges axes, so these need equal sizes. Received: shape={tuple(shape)}"
            )
        cells = np.arange(int(np.prod(shape))).reshape(shape)
        first = np.min([g(cells) for g in self.elements], axis=0)
        return np.unique(first, return_inverse=True)[1].reshape(shape)


def axis_of(letter: str, rank: int) -> int:
    """Return the non-negative spatial axis that the reflection ``letter`` (h, v or z) reverses.

    Raises:
        ValueError: If there is no such reflection in this rank.
    """
    place = _LETTERS.find(letter)
    if len(letter) != 1 or place < 0 or place >= rank:
        raise ValueError(
            f"In {rank}-D the reflections are {', '.join(repr(c) for c in _LETTERS[:rank])}. Received: {letter!r}"
        )
    return rank - 1 - place


def _reflection(letters: str, rank: int) -> Element:
    axes = {axis_of(letter, rank) for letter in letters}
    return Element(tuple(range(rank)), tuple(axis in axes for axis in range(rank)))


def _plane(swap: bool, flip_v: bool, flip_h: bool, rank: int) -> Element:
    """Return a symmetry of the height-width plane, the last two axes."""
    lead = tuple(range(rank - 2))
    plane = (rank - 1, rank - 2) if swap else (rank - 2, rank - 1)
    return Element(lead + plane, (False,) * (rank - 2) + (flip_v, flip_h))


def _rotations(order: int, rank: int) -> list[Element]:
    quarter = [(False, False, False), (True, True, False), (False, True, True), (True, False, True)]
    return [_plane(*turn, rank) for turn in quarter[:: 4 // order]]


_PLANE_GROUPS = {
    "c2": lambda rank: _rotations(2, rank),
    "c4": lambda rank: _rotations(4, rank),
    "d4": lambda rank: _rotations(4, rank) + [_reflection("v", rank) * turn for turn in _rotations(4, rank)],
    "diag": lambda rank: [_plane(False, False, False, rank), _plane(True, False, False, rank)],
}


def names(rank: int = 2) -> tuple[str, ...]:
    """Return the names of the groups that act on ``rank`` spatial axes."""
    letters = _LETTERS[:rank]
    reflections = ["".join(c) for n in range(1, rank + 1) for c in itertools.combinations(letters, n)]
    return (*reflections, *(_PLANE_GROUPS if rank >= 2 else ()))


@functools.cache
def get(name: str, rank: int = 2) -> Group:
    """Return a group by name.

    Args:
        name: Reflections as letters (``"h"``, ``"hv"``, ``"hvz"``: the group that they generate), or ``"c2"``,
            ``"c4"`` (rotations), ``"d4"`` (rotations and reflections), ``"diag"`` (transposition), which act on the
            last two axes.
        rank: The number of spatial axes, 1 to 3.

    Raises:
        ValueError: If there is no such group in this rank.
    """
    if rank not in (1, 2, 3):
        raise ValueError(f"rank must be 1, 2 or 3. Received: rank={rank!r}")
    if name in _PLANE_GROUPS and rank >= 2:
        return Group(name, tuple(_PLANE_GROUPS[name](rank)))
    if not isinstance(name, str) or not name or set(name) - set(_LETTERS[:rank]) or len(set(name)) < len(name):
        raise ValueError(f"In {rank}-D a group is one of {', '.join(names(rank))}. Received: {name!r}")
    letters = sorted(name, key=_LETTERS.index)
    products = ("".join(c) for n in range(len(letters) + 1) for c in itertools.combinations(letters, n))
    return Group("".join(letters), tuple(_reflection(product, rank) for product in products))
