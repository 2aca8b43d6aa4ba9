"""Forms of pictures with both axes folded, where what is left of the convolution is matrix products."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.libraries import Op
from tf_symconv.ops._axes import LONGEST, folding_matrix, matmul_along
from tf_symconv.ops._bilinear import contract, spread
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import Form, Problem, Room
from tf_symconv.ops._layout import known_sizes, reshape_examples, sizes_of


def has_products(problem: Problem) -> bool:
    """Return whether matrix products can compute the convolution: a picture of known size, not too large."""
    known = all(axis.size is not None and axis.size <= 2 * LONGEST for axis in problem.axes)
    return known and len(problem.axes) == 2 and problem.groups == 1 and problem.points > 0


class _Products(Form):
    """Both axes of a picture are folded, and what is left is matrix products."""

    #: 12 MiB, then 5 MiB: products of few examples are as fast, and fold to more.
    room = Room(3 * 2**20, 5 * 2**18)
    #: XLA copies what a product reads.
    xla_room = Room(3 * 2**20, 2**19)

    def _columns(self, inputs: tf.Tensor) -> tuple[tf.Tensor, list[Any]]:
        """Return the inputs folded along the columns, shape ``(batch, rows, columns, m * channels)``, and its sizes."""
        batch, rows, _, channels = sizes_of(inputs)
        across = self.problem.axes[1]
        shape = [batch, rows, across.outputs(across.size), self.ties[1].reduced * channels]
        return tf.reshape(self._fold(inputs, 1), shape), shape

    def _rows(self) -> Any:
        """Return the folding matrix of the rows, shape ``(outputs, m, inputs)``."""
        down = self.problem.axes[0]
        size = down.size or 0
        return folding_matrix(self.ties[0], down.stride, down.dilation, down.before(size), down.outputs(size), size)

    def _stacked(self, kernel: tf.Tensor) -> tf.Tensor:
        """Return the smaller kernel as a stack over rows, shape ``(m, m * channels, filters)``."""
        down, _, _, filters = known_sizes(kernel)
        return tf.reshape(kernel, (down, -1, filters))


@final
class FoldThenContract(_Products):
    """Both axes are folded on the side of the inputs: few input channels, many filters."""

    #: 24 MiB, then 8 MiB: what folds is small beside the outputs.
    room = Room(3 * 2**21, 2**21)
    xla_room = Room(5 * 2**20, 2**21)

    @property
    def name(self) -> str:
        return "folded both, contracted"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        columns, (batch, _, across, channels) = self._columns(inputs)
        matrix = self._rows()
        outputs, m, size = matrix.shape
        folded = matmul_along(columns, 1, matrix.transpose(1, 0, 2).reshape(-1, size))
        stack = tf.reshape(folded, [batch, m, outputs * across, channels])
        return reshape_examples(contract(stack, self._stacked(kernel)), [outputs, across, self.problem.filters])

    def steps(self) -> list[Step]:
        columns = self._fold_step(1, self.problem.inputs)
        rows = self._fold_step(0, columns.written)
        return [columns, rows, _product_step(self, rows.written, self.problem.points * self.problem.filters)]


class SpreadThenFold(_Products):
    """Columns are folded on the side of the inputs and rows on the side of the outputs: the least memory."""

    #: How many sums of the same products it makes.
    sums = 1

    @property
    def name(self) -> str:
        return "folded both, spread"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        columns, (batch, rows, across, channels) = self._columns(inputs)
        stack = spread(tf.reshape(columns, [batch, rows * across, channels]), self._stacked(kernel))
        matrix = self._rows()
        outputs, m, size = matrix.shape
        filters = self.problem.filters
        tall = reshape_examples(stack, [m * rows, across * filters])
        folded = matmul_along(tall, 1, matrix.reshape(outputs, m * size))
        return reshape_examples(folded, [outputs, across, filters])

    def steps(self) -> list[Step]:
        of = self.problem
        columns = self._columns_step()
        down, across = of.axes
        m = self.ties[0].reduced
        wide = m * (down.size or 0) * across.outputs(across.size or 0) * of.filters
        outputs = self.sums * of.points * of.filters
        return [
            columns,
            _product_step(self, columns.written, wide),
            Step(outputs * m * (down.size or 0), wide, outputs, Op.PRODUCT),
        ]

    def _columns_step(self) -> Step:
        return self._fold_step(1, self.problem.inputs)


class SpreadToBoth(SpreadThenFold):
    """Filters and their up-down reflections: both add up the same products, in opposite orders.

    The columns are folded on the side of the inputs. The outputs are a stack, those of the filters first: shape
    ``(batch, 2, points, filters)``.

    Args:
        problem: The convolution with the filters alone.
        ties: Those of each axis; rows have none.
        sign: Whether the outputs of the reflections are those sums or the negative of them.
    """

    sums = 2

    def __init__(self, problem: Problem, ties: Sequence[Ties], sign: int = 1) -> None:
        super().__init__(problem, ties)
        self.sign = sign

    @property
    def name(self) -> str:
        return "folded both, shared"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        both = super().__call__(inputs, kernel)
        _, rows, across, filters = sizes_of(both)
        return reshape_examples(both, [2, rows // 2 * across, filters])

    def _rows(self) -> Any:
        matrix = super()._rows()
        return np.concatenate([matrix, self.sign * matrix[:, ::-1]])


@final
class PairedSpreadToBoth(SpreadToBoth):
    """The same for an input of two pictures side by side, whose kernels have opposite parities along the columns.

    Inputs have the shape ``(batch, rows, 2, columns, channels)``. The kernel's columns are the halves of the even
    kernel, then those of the odd one.

    Args:
        problem: The convolution of one of the pictures.
        even: Which of the pictures has the even kernel.
        sign: As in :class:`SpreadToBoth`.
    """

    def __init__(self, problem: Problem, even: int, sign: int) -> None:
        super().__init__(problem, [Ties.none(axis.kernel) for axis in problem.axes], sign)
        self.even = even

    def _columns(self, inputs: tf.Tensor) -> tuple[tf.Tensor, list[Any]]:
        batch, rows, _, size, channels = sizes_of(inputs)
        of = self.problem.axes[1]
        before, outputs = of.before(size), of.outputs(size)
        parts = [
            folding_matrix(Ties.mirrored(of.kernel, sign), of.stride, of.dilation, before, outputs, size)
            for sign in (1, -1)
        ]
        matrix = np.zeros((outputs, of.kernel, 2, size), np.float32)
        matrix[:, : parts[0].shape[1], self.even] = parts[0]
        matrix[:, parts[0].shape[1] :, 1 - self.even] = parts[1]
        pair = tf.reshape(inputs, [batch, rows, 2 * size, channels])
        return matmul_along(pair, 2, matrix.reshape(-1, 2 * size)), [batch, rows, outputs, of.kernel * channels]

    def _columns_step(self) -> Step:
        of = self.problem
        across = of.axes[1]
        size = across.size or 1
        folded = of.inputs // size * across.outputs(size) * across.kernel
        return Step(folded * 2 * size, 2 * of.inputs, folded, Op.ROW_PRODUCT)


def _product_step(form: Form, read: int, written: int) -> Step:
    of = form.problem
    across = form.ties[1].reduced * of.channels
    contracts = isinstance(form, FoldThenContract)
    products = read * of.filters * (1 if contracts else form.ties[0].reduced)
    op = Op.CONTRACTION if contracts else Op.SPREADING
    kernel = form.ties[0].reduced * across * of.filters
    return Step(products, read, written, op, channels=across, kernel=kernel, lanes=of.filters)
