"""Minimal filtering by one convolution for each point.

Eigen convolves in groups at a fraction of its usual speed. So what is made of each point is a convolution of its own
here, along the columns; the points are taken along the rows, which then lie together: where rows are the first axis of
all, both transforms are a single product with a matrix, and what belongs to a point is one piece of memory.
"""

from collections.abc import Sequence
from typing import Any, cast, final

import numpy as np
import tensorflow as tf

from tf_symconv.libraries import Op
from tf_symconv.ops._convolved import Convolved, Pads, dense_with_pads, half_turned, kernel_gradient, pads_back, pads_of
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import Problem
from tf_symconv.ops._layout import known_sizes, sizes_of
from tf_symconv.ops._order import after_kernels
from tf_symconv.ops._winograd import Filtering, evaluation, has_minimal_filtering, in_lots, matrices

#: The most rows of a kernel for which eight points are enough.
_SHORT = 5


def has_filtering_by_point(problem: Problem) -> bool:
    """Return whether minimal filtering along the rows can compute it: a picture of known size, without strides.

    Kernels of nine rows would be off by more than 4e-6 of the norm of the outputs.
    """
    return has_minimal_filtering(problem, 0) and problem.groups == 1 and problem.axes[0].kernel < 9


@final
class WinogradByPoint(Filtering):
    """Minimal filtering along the rows, by one convolution for each point.

    The gradient with respect to the kernel is a convolution.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, 0, _points(problem.axes[0].kernel))

    @property
    def name(self) -> str:
        return f"{super().name}, point by point"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return filtering_by_point(inputs, kernel, pads_of(self.problem))

    def steps(self) -> list[Step]:
        (convolved,) = Convolved(self.problem).steps()
        return self.steps_by(Op.BY_POINT, convolved, passes=1)


def filtering_by_point(inputs: tf.Tensor, kernel: tf.Tensor, pads: Pads) -> tf.Tensor:
    """Convolve pictures by minimal filtering along their rows.

    Args:
        inputs: Shape ``(batch, rows, columns, channels)``, float32 or wider, all known but the batch.
        kernel: Shape ``(height, width, channels, filters)``; 3 to 8 rows.
        pads: How many zeros stand before and after the rows, and before and after the columns: fewer than the kernel
            has cells there.

    Returns:
        Shape ``(batch, new rows, new columns, filters)``.
    """

    @tf.custom_gradient
    def run(inputs: tf.Tensor, kernel: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            of_kernel = kernel_gradient(inputs, dy, pads)
            dy = after_kernels(dy, of_kernel)
            return filtering_by_point(dy, half_turned(kernel), pads_back(kernel, pads)), of_kernel

        taps = _taps(kernel)
        height = known_sizes(kernel)[0]
        lots = in_lots(lambda some: _filtered(some, taps, height, pads), inputs, kernel, 0, _points(height))
        return lots, gradient

    return cast(Any, run)(inputs, kernel)


def _points(height: int) -> int:
    """Return how many points are taken: each costs a convolution, so eight where they leave outputs enough."""
    return 8 if height <= _SHORT else 10


def _taps(kernel: tf.Tensor) -> list[tf.Tensor]:
    """Return the values of a kernel at each point, as a kernel of one row."""
    height, width, channels, filters = known_sizes(kernel)
    _, of_kernel, _ = evaluation(height, _points(height))
    values = tf.matmul(tf.constant(of_kernel, kernel.dtype), tf.reshape(kernel, [height, width * channels * filters]))
    return tf.unstack(tf.reshape(values, [len(of_kernel), 1, width, channels, filters]))


def _filtered(inputs: tf.Tensor, taps: list[tf.Tensor], height: int, pads: Pads) -> tf.Tensor:
    """Return the convolution of inputs with a kernel of so many rows that is transformed already."""
    batch, rows, columns, channels = sizes_of(inputs)
    (above, below), across = pads
    new_rows = rows + above + below - height + 1
    into, out_of = matrices(height, _points(height), rows, above, new_rows)
    into, out_of = into.swapaxes(0, 1), out_of.swapaxes(1, 2)
    points, blocks, _ = into.shape
    turned = tf.transpose(inputs, (1, 0, 2, 3))
    values = _times(into.reshape(-1, rows), turned, [points, blocks * batch, 1, columns, channels])
    products = [
        dense_with_pads(value, tap, ((0, 0), across)) for value, tap in zip(tf.unstack(values), taps, strict=True)
    ]
    filters, new_columns = known_sizes(taps[0])[-1], columns + sum(across) - known_sizes(taps[0])[1] + 1
    outputs = _times(out_of.reshape(new_rows, -1), tf.concat(products, 0), [new_rows, batch, new_columns, filters])
    return tf.transpose(outputs, (1, 0, 2, 3))


def _times(matrix: np.ndarray, tensor: tf.Tensor, shape: Sequence[Any]) -> tf.Tensor:
    """Return the product of a matrix and a tensor, along its first axis or its first two, in a shape."""
    return tf.reshape(tf.matmul(tf.constant(matrix, tensor.dtype), tf.reshape(tensor, [matrix.shape[1], -1])), shape)
