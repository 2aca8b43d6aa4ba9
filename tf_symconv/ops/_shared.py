"""The form of pictures in which slices of the kernel that are tied alike share the sums of their inputs."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.libraries import Op
from tf_symconv.ops._bilinear import folded_product
from tf_symconv.ops._convolved import convolved, has_convolved_gradients
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import Form, Problem, convolution_step
from tf_symconv.ops._layout import cut, extend, known_sizes
from tf_symconv.ops._sums import window_sum


@final
@dataclasses.dataclass(frozen=True)
class Alike:
    """Slices of the smaller kernel that meet the same sums of inputs, some places apart.

    Args:
        slices: Those slices.
        window: The signs of the inputs in a sum.
        first: Where the first slice meets its inputs, in cells of the full kernel.
        apart: How many cells lie between the places of two of them.
    """

    slices: tuple[int, ...]
    window: tuple[float, ...]
    first: int
    apart: int

    @property
    def extent(self) -> int:
        """How many cells they and their windows span."""
        return (len(self.slices) - 1) * self.apart + len(self.window)


def alike(ties: Ties) -> list[Alike]:
    """Return the slices of the smaller kernel, those together whose windows are the same and equally far apart."""
    places: dict[tuple[float, ...], list[tuple[int, int]]] = {}
    for column, signs in enumerate(ties.matrix.T):
        used = np.flatnonzero(signs)
        window = tuple(signs[used[0] : used[-1] + 1].tolist())
        places.setdefault(window, []).append((int(used[0]), column))
    found = []
    for window, some in places.items():
        some.sort()
        steps = {after - before for (before, _), (after, _) in itertools.pairwise(some)}
        for group in [some] if len(steps) < 2 else [[one] for one in some]:
            apart = group[1][0] - group[0][0] if len(group) > 1 else 1
            found.append(Alike(tuple(column for _, column in group), window, group[0][0], apart))
    return found


def has_shared_sums(problem: Problem, ties: Sequence[Ties], folded: Sequence[int]) -> bool:
    """Return whether a convolution has the form: all its ties fold, and some slices share sums."""
    return (
        has_convolved_gradients(problem)
        and all(one.is_free or axis in folded for axis, one in enumerate(ties))
        and any(len(some.slices) > 1 and len(some.window) > 1 for one in ties for some in alike(one))
    )


@final
class SharedSums(Form):
    """Each sum of inputs is made once and meets all cells of the smaller kernel that it belongs to.

    These are the cells of a kernel that is dilated by how far they lie apart; the convolutions are added up.
    """

    # Not measured there.
    for_xla = False

    def __init__(self, problem: Problem, ties: Sequence[Ties]) -> None:
        super().__init__(problem, ties)
        self.sums = list(itertools.product(*(alike(one) for one in self.ties)))

    @property
    def name(self) -> str:
        return "summed, shared"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        rows = tf.split(kernel, self.ties[0].reduced, 0)
        cells = [tf.split(row, self.ties[1].reduced, 1) for row in rows]
        kernels = [
            tf.concat([tf.concat([cells[i][j] for j in across.slices], 1) for i in down.slices], 0)
            for down, across in self.sums
        ]
        count = self._lots(known_sizes(inputs)[0])
        return folded_product(self._folded, self._product, inputs, kernels, count)

    def _folded(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        return [self._sum(inputs, pair) for pair in self.sums]

    def _sum(self, inputs: tf.Tensor, pair: tuple[Alike, ...]) -> tf.Tensor:
        """Return the sums that some slices of rows and columns share."""
        pads = []
        for axis, (of, some) in enumerate(zip(self.problem.axes, pair, strict=True), 1):
            size = known_sizes(inputs)[axis]
            before = of.before(size) - some.first
            after = of.outputs(size) - 1 + some.extent - size - before
            start = max(-before, 0)
            inputs = cut(inputs, axis, start, size - start - max(-after, 0))
            pads.append((max(before, 0), max(after, 0)))
        down, across = (np.array(some.window, np.float32) for some in pair)
        window = np.outer(down, across)
        if window.size > 1:
            return window_sum(inputs, window, pads)
        for axis, (before, after) in enumerate(pads, 1):
            inputs = extend(inputs, axis, before, after)
        return inputs if window[0, 0] > 0 else -inputs

    def _product(self, sums: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        apart = [
            max(1, (size - of.outputs(of.size)) // max(1, cells - 1))
            for of, size, cells in zip(self.problem.axes, known_sizes(sums)[1:3], known_sizes(kernel)[:2], strict=True)
        ]
        return convolved(sums, kernel, [(0, 0), (0, 0)], apart)

    def steps(self) -> list[Step]:
        of = self.problem
        summing, products = [], []
        for pair in self.sums:
            made = math.prod(
                axis.outputs(axis.size or 0) + some.extent - len(some.window)
                for axis, some in zip(of.axes, pair, strict=True)
            )
            cells = math.prod(len(some.slices) for some in pair)
            window = math.prod(len(some.window) for some in pair)
            numbers = made * of.channels
            if window > 1:
                summing.append(Step(numbers * window, of.inputs, numbers, Op.SUM, moved_lanes=of.channels))
            product = convolution_step(of, numbers, cells, [1, 1], Op.OF_SHARED)
            products.append(dataclasses.replace(product, by_convolution=True))
        outputs = products[0].written
        adding = [Step(0, len(products) * outputs, outputs, Op.SUM)] if len(products) > 1 else []
        return [*summing, *products, *adding]
