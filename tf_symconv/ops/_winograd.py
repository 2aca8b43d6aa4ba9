"""Minimal filtering: pictures convolved with fewer multiplications than their kernels have cells, whatever the kernel.

A picture is cut into blocks of ``m`` columns. For each block, the inputs that a kernel of ``r`` columns meets there and
the kernel are polynomials in a shift; their values at ``m + r - 1`` points are multiplied, where the convolution takes
``m r`` products, and the outputs are interpolated: ``F(m, r)`` of Winograd (1980), constructed as by Toom and Cook.
Evaluation and interpolation are products with constant matrices, which hold blocks, padding and borders at once. The
rows are convolved as they are: along both axes the matrices would move, and round, more than they save.

Lavin and Gray (2016) introduced it to neural networks; Barabasz, Anderson, Soodhalter and Gregg (2020) say which points
round least. Outputs of float32 are 1e-6 of their norm off with eight points, with ten 2e-6 to 4e-6 (kernels of an odd
number of columns, 64 to 128 channels) or 4e-6 to 5e-6 (an even one), where the dense convolution is 0.4e-6 to 2e-6 off.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, cast, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.libraries import Op
from tf_symconv.ops._axes import LONGEST, matmul_along
from tf_symconv.ops._bilinear import pull_back
from tf_symconv.ops._convolved import Pads, dense_with_pads, half_turned, pads_back, pads_of
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import MANY, Dense, Form, Problem, Room, is_known
from tf_symconv.ops._layout import known_sizes, reshape_examples
from tf_symconv.ops._order import after_kernels, in_turn, join

#: Where the polynomials are evaluated, infinity being the last point of all: by the number of points.
_FINITE = {8: (0, 1, -1, 2, -2, 0.5, -0.5), 10: (0, 1, -1, 2.5, -2.5, 0.4, -0.4, 1.5, -0.75)}
#: So many points are taken along the columns: fewer round less, but leave fewer outputs to a block.
_POINTS = 10
#: The most columns of a kernel for which two of them are left.
_LONG = 9
#: Lots of examples that read and write so many numbers in the largest step: 4 MiB.
_LOT = 2**20
#: Two lots are under way at a time.
_AT_ONCE = 2


def has_minimal_filtering(problem: Problem, along: int = 1) -> bool:
    """Return whether minimal filtering along an axis can compute it: a picture of known size, without strides."""
    axes = problem.axes
    return (
        len(axes) == 2
        and is_known(problem)
        and not problem.depthwise
        and all(axis.stride == axis.dilation == 1 for axis in axes)
        and 3 <= axes[along].kernel <= _LONG
        and (axes[along].size or 0) <= 2 * LONGEST
        and problem.points > 0
    )


class Filtering(Form):
    """The convolution with the full kernel, by minimal filtering along one axis.

    Its gradient with respect to the inputs is computed in the same way.

    Args:
        problem: The convolution.
        along: The axis.
        points: The number of points.
    """

    implementation = "winograd"
    #: It takes lots of its own, as only some of its gradients profit from them.
    room = Room.unlimited()

    def __init__(self, problem: Problem, along: int, points: int) -> None:
        super().__init__(problem, [Ties.none(axis.kernel) for axis in problem.axes])
        self.along = along
        self.points = points
        self.tile = tile_of(problem.axes[along].kernel, points)

    @property
    def name(self) -> str:
        return f"winograd F({self.tile}, {self.problem.axes[self.along].kernel})"

    def steps_by(self, op: Op, kernel_gradient_by: Step, *, passes: int, crowded: bool = False) -> list[Step]:
        """Return the work for one example.

        Args:
            op: What its products with the kernel are.
            kernel_gradient_by: What makes the gradient with respect to the kernel.
            passes: So many times the transform of a kernel reads or writes it.
            crowded: Whether the values that one of these products is made of leave the first cache.
        """
        of = self.problem
        axis, other = of.axes[self.along], of.axes[1 - self.along]
        size, points = axis.size or 0, self.points
        products = points * blocks_of(axis.outputs(size), self.tile)
        outputs = of.points * of.filters
        read, written = of.inputs // (size or 1) * products, other.outputs(other.size or 0) * products * of.filters
        cells = other.kernel * of.channels // of.groups
        multiplications, kernel = written * cells, points * cells * of.filters
        filtering = Step(multiplications, read, written, op, of.channels // of.groups, kernel, crowded=crowded)
        return [
            Step(read * size, of.inputs, read, Op.PRODUCT),
            dataclasses.replace(filtering, kernel_gradient_by=kernel_gradient_by),
            Step(outputs * products, written, outputs, Op.PRODUCT),
            *[Step(0, 0, 0, channels=1, kernel=kernel)] * passes,
        ]


@final
class Winograd(Filtering):
    """Minimal filtering along the columns, by one convolution in groups.

    The gradient with respect to the kernel is that of the dense form, which takes no longer and needs less memory.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, 1, _POINTS)

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return minimal_filtering(inputs, kernel, pads_of(self.problem), self.problem.groups)

    def steps(self) -> list[Step]:
        (dense,) = Dense(self.problem).steps()
        crowded = self.problem.channels // self.problem.groups >= MANY
        # A product and a transposition, which reads and writes.
        return self.steps_by(Op.FILTERING, dense, passes=3, crowded=crowded)


def minimal_filtering(inputs: tf.Tensor, kernel: tf.Tensor, pads: Pads, groups: int = 1) -> tf.Tensor:
    """Convolve pictures by minimal filtering along their columns.

    Args:
        inputs: Shape ``(batch, rows, columns, channels)``, float32 or wider, all known but the batch.
        kernel: Shape ``(height, width, channels / groups, filters)``; 3 to 9 columns.
        pads: How many zeros stand before and after the rows, and before and after the columns: fewer than the kernel
            has cells there.
        groups: The number of channel groups.

    Returns:
        Shape ``(batch, new rows, new columns, filters)``.
    """
    width = known_sizes(kernel)[1]

    @tf.custom_gradient
    def run(inputs: tf.Tensor, kernel: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            (of_kernel,) = pull_back(lambda kernel: dense_with_pads(inputs, kernel, pads, groups), [kernel], dy)
            dy = after_kernels(dy, of_kernel)
            return minimal_filtering(dy, half_turned(kernel, groups), pads_back(kernel, pads), groups), of_kernel

        taps = _taps(kernel)
        return in_lots(lambda some: _filtered(some, taps, width, pads), inputs, kernel, 1, _POINTS), gradient

    return cast(Any, run)(inputs, kernel)


def tile_of(width: int, points: int) -> int:
    """Return how many outputs are computed at once."""
    return points + 1 - width


def blocks_of(outputs: int, tile: int) -> int:
    return -(-outputs // tile)


def in_lots(
    filtered: Callable[[tf.Tensor], tf.Tensor], inputs: tf.Tensor, kernel: tf.Tensor, along: int, points: int
) -> tf.Tensor:
    """Return what is made of the inputs, taken in lots of examples; in one, where the batch is not known."""
    batch, *sizes, channels = known_sizes(inputs)
    width, filters = known_sizes(kernel)[along], known_sizes(kernel)[-1]
    moved = sizes[1 - along] * blocks_of(sizes[along], tile_of(width, points)) * points * (channels + filters)
    count = -(-batch // max(1, _LOT // moved)) if batch else 1
    return join([outputs for (outputs,) in in_turn(lambda some: [filtered(some)], count, _AT_ONCE, inputs)])


def _filtered(inputs: tf.Tensor, taps: tf.Tensor, width: int, pads: Pads) -> tf.Tensor:
    """Return the convolution of inputs with a kernel of so many columns that is transformed already."""
    _, rows, columns, channels = known_sizes(inputs)
    (above, below), (before, after) = pads
    height = known_sizes(taps)[1]
    outputs = columns + before + after - width + 1
    into, out_of = matrices(width, _POINTS, columns, before, outputs)
    blocks, points, _ = into.shape
    # A step of one row is a step over all of its blocks: a row as long as the picture keeps a processor busier than
    # many short ones.
    values = reshape_examples(matmul_along(inputs, 2, into.reshape(-1, columns)), [1, rows * blocks, points * channels])
    padding = "SAME" if above == below == (height - 1) / 2 else "VALID"
    if padding == "VALID" and above + below:
        values = tf.pad(values, [[0, 0], [0, 0], [above * blocks, below * blocks], [0, 0]])
    products = tf.nn.conv2d(values, taps, 1, padding, dilations=[1, blocks])
    filters = known_sizes(taps)[-1] // points
    new_rows = rows + above + below - height + 1
    # TensorFlow does not infer how wide a dilated convolution is where the batch is not known.
    products.set_shape([None, 1, new_rows * blocks, points * filters])
    return matmul_along(
        reshape_examples(products, [new_rows, blocks * points, filters]), 2, out_of.reshape(outputs, -1)
    )


def _taps(kernel: tf.Tensor) -> tf.Tensor:
    """Return the values of a kernel at the points, as the kernel of a convolution in as many groups.

    Returns:
        Shape ``(1, height, channels / groups, points * filters)``.
    """
    height, width, channels, filters = known_sizes(kernel)
    _, of_kernel, _ = evaluation(width, _POINTS)
    values = tf.matmul(tf.constant(of_kernel, kernel.dtype), tf.reshape(kernel, [height, width, channels * filters]))
    values = tf.reshape(values, [height, len(of_kernel), channels, filters])
    return tf.reshape(tf.transpose(values, [0, 2, 1, 3]), [1, height, channels, -1])


@functools.lru_cache(maxsize=256)
def matrices(width: int, points: int, size: int, before: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what an axis is multiplied by before its products with the kernel, and what they are multiplied by.

    Args:
        width: The number of cells of the kernel along the axis.
        points: The number of points.
        size: The number of inputs.
        before: How many zeros stand before them.
        outputs: The number of outputs.

    Returns:
        Shapes ``(blocks, points, size)`` and ``(outputs, blocks, points)``.
    """
    of_outputs, _, of_inputs = evaluation(width, points)
    tile = tile_of(width, points)
    blocks = blocks_of(outputs, tile)
    into, out_of = np.zeros((blocks, points, size)), np.zeros((outputs + tile, blocks, points))
    for block in range(blocks):
        places = block * tile - before + np.arange(points)
        inside = (places >= 0) & (places < size)
        into[block][:, places[inside]] = of_inputs[inside].T
        out_of[block * tile : (block + 1) * tile, block] = of_outputs.T
    return into, out_of[:outputs]


@functools.lru_cache(maxsize=16)
def evaluation(width: int, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the matrices of minimal filtering with kernels of so many cells, at so many points.

    Outputs are ``of_outputs.T @ ((of_kernel @ kernel) * (of_inputs.T @ inputs))``.

    Returns:
        ``of_outputs`` of shape ``(points, tile)``, ``of_kernel`` of shape ``(points, width)`` and ``of_inputs`` of
        shape ``(points, points)``. What they make of a point is of one size, so that none rounds more than need be.
    """
    tile = tile_of(width, points)
    finite = np.array(_FINITE[points], float)[:, None]

    def powers(count: int) -> np.ndarray:
        return np.concatenate([finite ** np.arange(count), np.eye(count)[-1:]])

    of_outputs, of_kernel, of_inputs = powers(tile), powers(width), np.linalg.inv(powers(points))
    sizes = [np.linalg.norm(of_outputs, axis=1), np.linalg.norm(of_kernel, axis=1), np.linalg.norm(of_inputs, axis=0)]
    mean = np.prod(sizes, axis=0) ** (1 / 3)
    return (
        of_outputs * (mean / sizes[0])[:, None],
        of_kernel * (mean / sizes[1])[:, None],
        of_inputs * (mean / sizes[2]),
    )
