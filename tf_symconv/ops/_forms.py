"""The forms in which a convolution with tied slices can be computed, and what each costs.

A form computes the convolution from the inputs and the smaller kernel. Its steps tell the cost model what it does.
"""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.ops._axes import LONGEST, NARROW, Axis, box_sum, fold, folding_matrix, matmul_along
from tf_symconv.ops._bilinear import contract, folded_product, spread
from tf_symconv.ops._cost import Step, forward_cost
from tf_symconv.ops._dense import dense_convolution
from tf_symconv.ops._depthwise import dense_depthwise_convolution
from tf_symconv.ops._layout import sizes_of

#: The gradient of folded inputs comes in so many lots of examples, where each is predicted to cost ``WORTH``.
LOTS = 4
WORTH = 2e8
#: How much longer a multiplication takes in a depthwise convolution.
_DEPTHWISE = 8.0


@final
@dataclasses.dataclass(frozen=True)
class Problem:
    """A convolution: its axes, channels last.

    Args:
        axes: The spatial axes.
        channels: The number of input channels.
        filters: The number of output channels.
        groups: The number of channel groups.
        depthwise: Whether every channel has kernels of its own; then ``groups == channels``.
    """

    axes: tuple[Axis, ...]
    channels: int
    filters: int
    groups: int = 1
    depthwise: bool = False

    @property
    def inputs(self) -> int:
        """The number of inputs of one example, for sizes that are known."""
        return math.prod(axis.size or 0 for axis in self.axes) * self.channels

    @property
    def points(self) -> int:
        """The number of places at which the kernel stands."""
        return math.prod(axis.outputs(axis.size or 0) for axis in self.axes)


def is_known(problem: Problem) -> bool:
    """Return whether the sizes of a problem are known."""
    return all(axis.size is not None for axis in problem.axes)


@final
@dataclasses.dataclass(frozen=True)
class Room:
    """Memory for folded inputs.

    Args:
        large: A batch of which a step reads and writes more floats is cut into lots of examples ...
        lot: ... that read and write at most so many, and that are folded again in the gradient.
    """

    large: int
    lot: int


class Form(abc.ABC):
    """One way to compute a convolution with tied slices.

    Args:
        problem: The convolution.
        ties: Those of each axis.
    """

    #: 64 MiB, then 16 MiB: gradients of a convolution lose time where they see few examples.
    room = Room(2**24, 2**22)

    def __init__(self, problem: Problem, ties: Sequence[Ties]) -> None:
        self.problem = problem
        self.ties = tuple(ties)

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it does, in a word or two."""

    @property
    def places(self) -> list[Sequence[int]]:
        """The slices of the kernel along each axis that make the smaller kernel it takes."""
        return [ties.representatives for ties in self.ties]

    @abc.abstractmethod
    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Return the convolution of inputs, channels last, with the kernel whose smaller form is ``kernel``."""

    @abc.abstractmethod
    def steps(self) -> list[Step]:
        """Return the work for one example, for sizes that are known."""

    def _convolve(
        self, inputs: tf.Tensor, kernel: tf.Tensor, strides: Sequence[int], padding: str, dilations: Sequence[int]
    ) -> tf.Tensor:
        if self.problem.depthwise:
            return dense_depthwise_convolution(
                inputs, kernel, strides=strides, padding=padding, dilations=dilations, data_format="channels_last"
            )
        return dense_convolution(
            inputs,
            kernel,
            strides=strides,
            padding=padding,
            dilations=dilations,
            groups=self.problem.groups,
            data_format="channels_last",
        )

    def _fold(self, inputs: tf.Tensor, axis: int) -> tf.Tensor:
        of, ties = self.problem.axes[axis], self.ties[axis]
        plain = set(ties.columns) == {0} and set(ties.signs) == {1} and of.stride == of.dilation == 1
        if plain and len(self.ties) == 2 and of.padding != "causal":
            return box_sum(inputs, axis + 1, ties.size, of.padding)
        size = sizes_of(inputs)[axis + 1]
        return fold(
            inputs,
            axis + 1,
            ties,
            stride=of.stride,
            dilation=of.dilation,
            before=of.before(size),
            outputs=of.outputs(size),
        )

    def _fold_step(self, axis: int, inputs: int) -> Step:
        """Return the cost of folding an axis of a tensor of so many numbers."""
        of = self.problem.axes[axis]
        size = of.size or 1
        folded = inputs // size * of.outputs(size) * self.ties[axis].reduced
        span = min(size, (LONGEST // 2) * of.stride + of.extent)
        joined = of_channels if axis == len(self.ties) - 1 and (of_channels := self.problem.channels) < NARROW else 1
        near = axis == 1 and len(self.ties) == 2 and joined == 1
        return Step(folded * span * joined, inputs, folded, product=True, near=near)


@final
class Dense(Form):
    """The plain convolution with the full kernel."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, [Ties.none(axis.kernel) for axis in problem.axes])

    @property
    def name(self) -> str:
        return "dense"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        axes = self.problem.axes
        strides, dilations = [axis.stride for axis in axes], [axis.dilation for axis in axes]
        return self._convolve(inputs, kernel, strides, axes[0].padding, dilations)

    def steps(self) -> list[Step]:
        of = self.problem
        cells = math.prod(axis.kernel for axis in of.axes)
        return [_convolution_step(of, of.inputs, cells, [axis.stride for axis in of.axes])]


def _convolution_step(of: Problem, read: int, cells: int, strides: Sequence[int], *, folded: bool = False) -> Step:
    outputs = of.points * of.filters
    # Stock depthwise convolutions that step unequally compute every place.
    waste = math.prod(strides) if of.depthwise and len(set(strides)) > 1 else 1
    return Step(
        outputs * cells * of.channels // of.groups * waste,
        read,
        outputs * waste,
        channels=of.channels if of.depthwise else of.channels // of.groups,
        kernel=cells * of.channels // of.groups * of.filters,
        folded=folded,
        slowness=_DEPTHWISE if of.depthwise else 1.0,
    )


@final
class Strided(Form):
    """Some axes are folded; a convolution with the smaller kernel steps over the folded values of each output.

    An axis whose kernel is a small one repeated is summed over the repeats instead (a box sum), and the small kernel
    moves over it as it would.
    """

    def __init__(self, problem: Problem, ties: Sequence[Ties], folded: Sequence[bool]) -> None:
        # A convolution cannot both step and be dilated: where it steps, a dilated axis is unrolled.
        steps = any(one.reduced > 1 and chosen for one, chosen in zip(ties, folded, strict=True))
        self.folded = [
            chosen or (steps and axis.dilation > 1) for axis, chosen in zip(problem.axes, folded, strict=True)
        ]
        super().__init__(
            problem,
            [one if chosen else Ties.none(one.size) for one, chosen in zip(ties, folded, strict=True)],
        )
        self.boxes = [
            chosen and one.repeats and not one.is_free and one.reduced > 1 and axis.dilation == 1
            for one, axis, chosen in zip(self.ties, problem.axes, self.folded, strict=True)
        ]

    @property
    def name(self) -> str:
        return "folded " + "+".join(f"axis {axis}" for axis, chosen in enumerate(self.folded) if chosen)

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        axes = self.problem.axes
        stepped = [chosen and not box for chosen, box in zip(self.folded, self.boxes, strict=True)]
        strides = [one.reduced if steps else of.stride for one, of, steps in zip(self.ties, axes, stepped, strict=True)]
        dilations = [1 if steps else of.dilation for of, steps in zip(axes, stepped, strict=True)]
        # "same" adds nothing where whole blocks of folded values are stepped over.
        valid = any(self.boxes) or all(self.folded)
        return folded_product(
            self._folded,
            lambda folded, kernel: self._convolve(
                folded, kernel, strides, "valid" if valid else axes[0].padding, dilations
            ),
            inputs,
            kernel,
            self._lots(inputs.shape[0]),
        )

    def _folded(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the inputs, folded and padded."""
        for axis, of in enumerate(self.problem.axes):
            if self.boxes[axis]:
                inputs = self._box(inputs, axis)
            elif self.folded[axis]:
                inputs = self._fold(inputs, axis)
            elif any(self.boxes):
                inputs = _pad(inputs, axis + 1, of)
        return inputs

    def _lots(self, batch: int | None) -> int:
        """Return in how many lots the gradient of the inputs comes: so many that each is worth ops of its own."""
        if not batch or not is_known(self.problem):
            return 1
        return max(1, min(LOTS, batch, int(forward_cost(self.steps(), batch) / WORTH)))

    def _box(self, inputs: tf.Tensor, axis: int) -> tf.Tensor:
        of, ties = self.problem.axes[axis], self.ties[axis]
        size = sizes_of(inputs)[axis + 1]
        repeats = ties.size // ties.reduced
        return fold(
            inputs,
            axis + 1,
            Ties((0,) * repeats, (1,) * repeats),
            stride=1,
            dilation=ties.reduced,
            before=of.before(size),
            outputs=(of.outputs(size) - 1) * of.stride + ties.reduced,
        )

    def steps(self) -> list[Step]:
        of = self.problem
        numbers, steps = of.inputs, []
        for axis, chosen in enumerate(self.folded):
            size = of.axes[axis].size or 1
            if self.boxes[axis]:
                reach = (of.axes[axis].outputs(size) - 1) * of.axes[axis].stride + self.ties[axis].reduced
                longer = numbers // size * reach
                steps.append(Step(longer * min(size, LONGEST), numbers, longer, product=True))
            elif chosen:
                steps.append(self._fold_step(axis, numbers))
            elif any(self.boxes) and of.axes[axis].padding != "valid":
                steps.append(Step(0, numbers, numbers))
            numbers = steps[-1].written if steps else numbers
        cells = math.prod(ties.reduced for ties in self.ties)
        strides = [
            one.reduced if chosen and not box else axis.stride
            for one, chosen, box, axis in zip(self.ties, self.folded, self.boxes, of.axes, strict=True)
        ]
        columns = self.folded[-1] and len(self.folded) > 1
        return [*steps, _convolution_step(of, numbers, cells, strides, folded=columns)]


class _Products(Form):
    """Both axes of a picture are folded, and what is left is matrix products."""

    #: 12 MiB, then 4 MiB: products of few examples are as fast, and fold to more.
    room = Room(3 * 2**20, 2**20)

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
        down, _, _, filters = kernel.shape
        return tf.reshape(kernel, (down, -1, filters))


@final
class FoldThenContract(_Products):
    """Both axes are folded on the side of the inputs: few input channels, many filters."""

    @property
    def name(self) -> str:
        return "folded both, contracted"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        columns, (batch, _, across, channels) = self._columns(inputs)
        matrix = self._rows()
        outputs, m, size = matrix.shape
        folded = matmul_along(columns, 1, matrix.transpose(1, 0, 2).reshape(-1, size))
        stack = tf.reshape(folded, [batch, m, outputs * across, channels])
        return tf.reshape(contract(stack, self._stacked(kernel)), [batch, outputs, across, self.problem.filters])

    def steps(self) -> list[Step]:
        columns = self._fold_step(1, self.problem.inputs)
        rows = self._fold_step(0, columns.written)
        return [columns, rows, _product_step(self, rows.written, self.problem.points * self.problem.filters)]


@final
class SpreadThenFold(_Products):
    """Columns are folded on the side of the inputs and rows on the side of the outputs: the least memory."""

    @property
    def name(self) -> str:
        return "folded both, spread"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        columns, (batch, rows, across, channels) = self._columns(inputs)
        stack = spread(tf.reshape(columns, [batch, rows * across, channels]), self._stacked(kernel))
        matrix = self._rows()
        outputs, m, size = matrix.shape
        filters = self.problem.filters
        tall = tf.reshape(stack, [batch, m * rows, across * filters])
        folded = matmul_along(tall, 1, matrix.reshape(outputs, m * size))
        return tf.reshape(folded, [batch, outputs, across, filters])

    def steps(self) -> list[Step]:
        of = self.problem
        columns = self._fold_step(1, of.inputs)
        down, across = of.axes
        m = self.ties[0].reduced
        wide = m * (down.size or 0) * across.outputs(across.size or 0) * of.filters
        outputs = of.points * of.filters
        return [
            columns,
            _product_step(self, columns.written, wide),
            Step(outputs * m * (down.size or 0), wide, outputs, product=True),
        ]


class SpreadToBoth(_Products):
    """Filters and their up-down reflections: both add up the same products, in opposite orders.

    The columns are folded on the side of the inputs. The outputs are a stack, those of the filters first: shape
    ``(batch, 2, points, filters)``.

    Args:
        problem: The convolution with the filters alone.
        ties: Those of each axis; rows have none.
        sign: Whether the outputs of the reflections are those sums or the negative of them.
    """

    def __init__(self, problem: Problem, ties: Sequence[Ties], sign: int = 1) -> None:
        super().__init__(problem, ties)
        self.sign = sign

    @property
    def name(self) -> str:
        return "folded both, shared"

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        columns, (batch, rows, across, channels) = self._columns(inputs)
        stack = spread(tf.reshape(columns, [batch, rows * across, channels]), self._stacked(kernel))
        matrix = self._rows()
        outputs, m, size = matrix.shape
        filters = self.problem.filters
        tall = tf.reshape(stack, [batch, m * rows, across * filters])
        both = np.concatenate([matrix, self.sign * matrix[:, ::-1]]).reshape(2 * outputs, m * size)
        return tf.reshape(matmul_along(tall, 1, both), [batch, 2, outputs * across, filters])

    def steps(self) -> list[Step]:
        of = self.problem
        columns = self._columns_step()
        down, across = of.axes
        wide = down.kernel * (down.size or 0) * across.outputs(across.size or 0) * of.filters
        outputs = 2 * of.points * of.filters
        return [
            columns,
            _product_step(self, columns.written, wide),
            Step(outputs * down.kernel * (down.size or 0), wide, outputs, product=True),
        ]

    def _columns_step(self) -> Step:
        return self._fold_step(1, self.problem.inputs)


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
        return Step(folded * 2 * size, 2 * of.inputs, folded, product=True, near=True)


def _product_step(form: Form, read: int, written: int) -> Step:
    of = form.problem
    across = form.ties[1].reduced * of.channels
    products = read * of.filters if isinstance(form, FoldThenContract) else read * form.ties[0].reduced * of.filters
    kernel = form.ties[0].reduced * across * of.filters
    return Step(products, read, written, channels=across, kernel=kernel, product=True)


def forms_of(problem: Problem, ties: Sequence[Ties]) -> list[Form]:
    """Return the folded forms of a convolution: none where no axis has ties."""
    tied = [axis for axis, one in enumerate(ties) if not one.is_free]
    found: list[Form] = []
    for subset in range(1, 2 ** len(tied) - 1):
        chosen = {axis for bit, axis in enumerate(tied) if subset >> bit & 1}
        found.append(Strided(problem, ties, [axis in chosen for axis in range(len(ties))]))
    return found + (whole_forms(problem, ties, tied) if tied else [])


def whole_forms(problem: Problem, ties: Sequence[Ties], folded: Sequence[int]) -> list[Form]:
    """Return the forms that fold all of these axes: as many for all ties."""
    found: list[Form] = [Strided(problem, ties, [axis in folded for axis in range(len(ties))])]
    if len(folded) == 2 and has_products(problem):
        found += [FoldThenContract(problem, ties), SpreadThenFold(problem, ties)]
    return found


def has_products(problem: Problem) -> bool:
    """Return whether matrix products can compute the convolution: a picture of known size, not too large."""
    known = all(axis.size is not None and axis.size <= 2 * LONGEST for axis in problem.axes)
    return known and len(problem.axes) == 2 and problem.groups == 1 and problem.points > 0


def _pad(inputs: tf.Tensor, position: int, axis: Axis) -> tf.Tensor:
    """Add the zeros that the convolution would add along an axis."""
    if axis.padding == "valid" or axis.kernel == 1:
        return inputs
    size = sizes_of(inputs)[position]
    before = axis.before(size)
    missing = (axis.outputs(size) - 1) * axis.stride + axis.extent - before - size
    after = max(missing, 0) if isinstance(missing, int) else tf.maximum(missing, 0)
    return tf.pad(inputs, [[0, 0]] * position + [[before, after]] + [[0, 0]] * (inputs.shape.rank - position - 1))
