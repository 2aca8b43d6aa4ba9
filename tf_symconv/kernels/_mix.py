"""Kernels of several structures side by side, and how kernel maps are named."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from tf_symconv import groups
from tf_symconv.kernels._base import KernelMap, size_of, split_shape, static_shape
from tf_symconv.kernels._circular import Circular
from tf_symconv.kernels._counts import Count, check_count, filters_of, percentage
from tf_symconv.kernels._invariant import Diagonal, Rotational
from tf_symconv.kernels._mirror import LETTERS, PARITIES, Mirror

Symmetry = str | KernelMap | Mapping[Any, Count]


@final
@dataclasses.dataclass(frozen=True)
class Free(KernelMap):
    """The kernel without structure: the latent is the kernel."""

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        spatial, channels = split_shape(kernel_shape)
        return spatial + channels

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        return tf.reshape(latent, kernel_shape)

    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        return tf.convert_to_tensor(kernel)

    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        return tf.convert_to_tensor(kernel)


@final
@dataclasses.dataclass(frozen=True)
class Mix(KernelMap):
    """Kernels of several structures, side by side over the output channels.

    Output channels are ordered as the parts are; those that no part claims are free and come last. The latent is one
    vector: the flattened latents of the parts, then the free filters.

    Args:
        parts: ``{symmetry: count}`` or pairs of these. A symmetry is whatever :func:`get` takes. A count is a number of
            output channels, or a percentage of them such as ``"25%"``, rounded down.

    Raises:
        ValueError: If a count is negative or percentages exceed 100 in all; at use, if the counts exceed the output
            channels.

    Example:
        >>> Mix({"hv": "50%", "circular": 4}).counts(16)
        (8, 4, 4)
    """

    parts: Any

    def __post_init__(self) -> None:
        pairs = list(self.parts.items()) if isinstance(self.parts, Mapping) else self.parts
        if (
            not isinstance(pairs, list | tuple)
            or not pairs
            or any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs)
        ):
            raise ValueError(
                f"parts must be a dict {{symmetry: count}} with at least one entry. Received: parts={self.parts!r}"
            )
        parts = tuple((get(symmetry), check_count(count)) for symmetry, count in pairs)
        if sum(percentage(count) for _, count in parts) > 100:
            raise ValueError(f"Percentages must not exceed 100 in all. Received: parts={self.parts!r}")
        object.__setattr__(self, "parts", parts)

    def counts(self, filters: int) -> tuple[int, ...]:
        """Return how many of ``filters`` output channels each part has, and last the number of free ones.

        Raises:
            ValueError: If the parts claim more than there are.
        """
        counts = tuple(filters_of(count, filters) for _, count in self.parts)
        if sum(counts) > filters:
            raise ValueError(
                f"The counts of a mix must not exceed the number of filters, {filters}. "
                f"Received: {dict(self.parts)}, which is {' + '.join(map(str, counts))} = {sum(counts)} filters"
            )
        return (*counts, filters - sum(counts))

    def _split(self, kernel_shape: Sequence[int]) -> list[tuple[KernelMap, tuple[int, ...]]]:
        """Return the map and the kernel shape of every part that has output channels."""
        spatial, (inputs, outputs) = split_shape(kernel_shape)
        maps = [*(part for part, _ in self.parts), Free()]
        counts = self.counts(outputs)
        return [(part, (*spatial, inputs, count)) for part, count in zip(maps, counts, strict=True) if count]

    def latent_shape(self, kernel_shape: Sequence[int]) -> tuple[int, ...]:
        return (sum(size_of(part.latent_shape(shape)) for part, shape in self._split(kernel_shape)),)

    def expand(self, latent: tf.Tensor, kernel_shape: Sequence[int]) -> tf.Tensor:
        split = self._split(kernel_shape)
        shapes = [part.latent_shape(shape) for part, shape in split]
        pieces = tf.split(latent, [size_of(shape) for shape in shapes])
        return tf.concat(
            [
                part.expand(tf.reshape(piece, latent_shape), shape)
                for (part, shape), latent_shape, piece in zip(split, shapes, pieces, strict=True)
            ],
            axis=-1,
        )

    def select(self, kernel: tf.Tensor) -> tf.Tensor:
        return self._gather(kernel, "select")

    def project(self, kernel: tf.Tensor) -> tf.Tensor:
        return self._gather(kernel, "project")

    def _gather(self, kernel: tf.Tensor, method: str) -> tf.Tensor:
        kernel = tf.convert_to_tensor(kernel)
        split = self._split(static_shape(kernel))
        pieces = tf.split(kernel, [shape[-1] for _, shape in split], axis=-1)
        latents = [getattr(part, method)(piece) for (part, _), piece in zip(split, pieces, strict=True)]
        return tf.concat([tf.reshape(latent, (-1,)) for latent in latents], axis=0)

    def per_weight(self, kernel_shape: Sequence[int], rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        numbers = [
            np.broadcast_to(part.per_weight(shape, rule), part.latent_shape(shape))
            for part, shape in self._split(kernel_shape)
        ]
        return np.concatenate([each.ravel() for each in numbers])

    def get_config(self) -> dict[str, Any]:
        return {"parts": [[serialize(part), count] for part, count in self.parts]}


_NAMED = {
    "c2": Rotational(2),
    "c4": Rotational(4),
    "d4": Rotational(4, reflect=True),
    "diag": Diagonal(),
    "circular": Circular(),
    "free": Free(),
}


def get(identifier: Symmetry, parity: str | Sequence[str] = "even") -> KernelMap:
    """Return a kernel map.

    Args:
        identifier: A :class:`KernelMap`; a name: ``"h"``, ``"v"``, ``"z"`` and their products (:class:`Mirror`),
            ``"c2"``, ``"c4"``, ``"d4"``, ``"diag"``, ``"circular"``, ``"free"``; a dict ``{symmetry: count}``
            (:class:`Mix`); or what :func:`serialize` returned.
        parity: The parity of the mirrors given by name; maps that are given as such have their own.

    Raises:
        ValueError: If there is no such map, or a name that has no parity meets one that is not even.
        TypeError: If the identifier is of another type.

    Example:
        >>> get("hv")
        Mirror(axes='hv', parity='even')
    """
    if isinstance(identifier, KernelMap):
        _check_parity(parity)
        return identifier
    if isinstance(identifier, str):
        return _named(identifier, parity)
    if isinstance(identifier, Mapping) and set(identifier) == {"class_name", "config"}:
        _check_parity(parity)
        classes, name = _classes(), identifier["class_name"]
        if name not in classes:
            raise ValueError(f"class_name must be one of {', '.join(classes)}. Received: class_name={name!r}")
        return classes[name].from_config(dict(identifier["config"]))  # pyright: ignore
    if isinstance(identifier, Mapping):
        return Mix([(get(symmetry, parity), count) for symmetry, count in identifier.items()])
    raise TypeError(
        "A symmetry is a name, a KernelMap or a dict {symmetry: count}. "
        f"Received: {identifier!r} of type {type(identifier).__name__}"
    )


def _classes(base: type[KernelMap] = KernelMap) -> dict[str, type[KernelMap]]:
    """Return the concrete kernel maps that exist, a user's own included, by name."""
    found = {} if inspect.isabstract(base) else {base.__name__: base}
    for child in base.__subclasses__():
        found |= _classes(child)
    return found


def _check_parity(parity: str | Sequence[str]) -> None:
    each = [parity] if isinstance(parity, str) or not isinstance(parity, Sequence) else parity
    if any(one not in PARITIES for one in each):
        raise ValueError(f"parity must be 'even', 'odd', or one of these for each mirrored axis. Received: {parity!r}")


def _named(name: str, parity: str | Sequence[str]) -> KernelMap:
    _check_parity(parity)
    if name in _NAMED:
        if parity != "even":
            raise ValueError(
                f"Only mirror symmetries have a parity; {name!r} is always even. Received: parity={parity!r}"
            )
        return _NAMED[name]
    if not name or len(set(name) & set(LETTERS)) < len(name):
        mirrors = [one for one in groups.names(3) if one not in _NAMED]
        raise ValueError(f"symmetry must be one of {', '.join([*mirrors, *_NAMED])}. Received: symmetry={name!r}")
    return Mirror(name, parity if isinstance(parity, str) else tuple(parity))


def serialize(kernel_map: KernelMap) -> dict[str, Any]:
    """Return a description of a kernel map, ready for JSON, that :func:`get` takes."""
    return {"class_name": type(kernel_map).__name__, "config": kernel_map.get_config()}
