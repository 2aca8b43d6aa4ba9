"""Turning images at random: by the elements of a group, or by any angle."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tf_symconv import groups
from tf_symconv.comparison._settings import ANY


def onto_canvas(images: np.ndarray, padding: int) -> np.ndarray:
    """Centre images on a square of zeros, ``padding`` cells larger on each side than their longer side.

    Args:
        images: shape (images, height, width, channels).
        padding: at least 0.
    """
    height, width = images.shape[1:3]
    size = max(height, width) + 2 * padding
    rows, columns = size - height, size - width
    return np.pad(images, ((0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)))


def turn_by_angles(images: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Turn every image counter-clockwise about its centre, by an angle of its own; bilinear, zeros from outside.

    Args:
        images: shape (images, size, size, channels).
        degrees: shape (images,).
    """
    count, size = images.shape[:2]
    middle = (size - 1) / 2
    radians = np.deg2rad(degrees)[:, None, None]
    y, x = np.meshgrid(middle - np.arange(size), np.arange(size) - middle, indexing="ij")
    # Where each cell of the result comes from; rows run downwards, y upwards.
    columns = x * np.cos(radians) + y * np.sin(radians) + middle
    rows = middle - (y * np.cos(radians) - x * np.sin(radians))
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    row, column = (np.clip(np.floor(at), -1, size - 1).astype(int) for at in (rows, columns))
    down, right = (np.clip(at - first, 0, 1)[..., None] for at, first in ((rows, row), (columns, column)))
    outside = ((rows <= -1) | (rows >= size) | (columns <= -1) | (columns >= size))[..., None]
    index = np.arange(count)[:, None, None]
    top, bottom = (
        padded[index, row + 1 + step, column + 1] * (1 - right) + padded[index, row + 1 + step, column + 2] * right
        for step in (0, 1)
    )
    return np.where(outside, 0, top * (1 - down) + bottom * down).astype(images.dtype)


class Turning(NamedTuple):
    """A way to turn images at random.

    Attributes:
        draw: takes a generator and a number of images, and returns one turn for each.
        turn: takes images and their turns, and returns the images turned.
    """

    draw: Callable[[np.random.Generator, int], np.ndarray]
    turn: Callable[[np.ndarray, np.ndarray], np.ndarray]


def turning(turns: str, group: str) -> Turning:
    """Return the way to turn images that is called ``"group"`` or ``"any"``."""
    if turns == ANY:
        return Turning(lambda rng, count: rng.uniform(0.0, 360.0, count), turn_by_angles)
    elements = groups.get(group, 2).elements

    def turn(images: np.ndarray, which: np.ndarray) -> np.ndarray:
        turned = np.empty_like(images)
        for number, element in enumerate(elements):
            turned[which == number] = element(images[which == number], axes=(1, 2))
        return turned

    return Turning(lambda rng, count: rng.integers(len(elements), size=count), turn)
