"""The forms in which a convolution with tied slices can be computed, dense or with axes folded, and what each costs.

A form computes the convolution from the inputs and the smaller kernel. Its steps tell the cost model what it does.
"""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import final

import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.libraries import Op, current
from tf_symconv.ops._axes import LONGEST, NARROW, Axis, fold
from tf_symconv.ops._bilinear import folded_product
from tf_symconv.ops._cost import Step, forward_cost
from tf_symconv.ops._dense import dense_convolution
from tf_symconv.ops._depthwise import dense_depthwise_convolution
from tf_symconv.ops._layout import known_sizes, sizes_of

#: The gradient of folded inputs comes in so many lots of examples, where each is predicted to cost ``WORTH``.
LOTS = 4
WORTH = 2e8
#: How much longer a multiplication takes in a depthwise convolution.
_DEPTHWISE = 8.0
#: Several values of so many channels, for each output of a row, leave the first cache.
MANY = 128


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

    large: float
    lot: float

    @classmethod
    def unlimited(cls) -> "Room":
        """Return the room of what is not cut up."""
        return cls(math.inf, math.inf)


class Form(abc.ABC):
    """One way to compute a convolution with tied slices.

    Args:
        problem: The convolution.
        ties: Those of each axis.
    """

    #: Which implementation it is part of: ``"dense"``, ``"folded"`` or ``"winograd"``.
    implementation = "folded"
    #: Whether XLA computes it, and its gradients, about as fast as TensorFlow does.
    for_xla = True
    #: Whether it takes a batch without examples, of which oneDNN's convolution gives a shape that the next one refuses.
    for_none = True
    #: 64 MiB, then 16 MiB: gradients of a convolution lose time where they see few examples, ...
    room = Room(2**24, 2**22)
    #: ... and with XLA half of their speed.
    xla_room = Room.unlimited()

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
        of = self.problem.axes[axis]
        size = sizes_of(inputs)[axis + 1]
        return fold(
            inputs,
            axis + 1,
            self.ties[axis],
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
        op = Op.ROW_PRODUCT if axis == 1 and len(self.ties) == 2 and joined == 1 else Op.PRODUCT
        return Step(folded * span * joined, inputs, folded, op)

    def _lots(self, batch: int | None) -> int:
        """Return in how many lots the gradient of the inputs comes: so many that each is worth ops of its own."""
        if not batch or not is_known(self.problem):
            return 1
        return max(1, min(LOTS, batch, int(forward_cost(self.steps(), batch, current()) / WORTH)))


@final
class Dense(Form):
    """The plain convolution with the full kernel."""

    implementation = "dense"

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
        return [convolution_step(of, of.inputs, cells, [axis.stride for axis in of.axes])]


def convolution_step(of: Problem, read: int, cells: int, strides: Sequence[int], op: Op | None = None) -> Step:
    """Return the work of a convolution of so many inputs with a kernel of so many cells.

    Without an op, its channels tell which it is.
    """
    if op is None:
        op = Op.NARROW if of.channels < NARROW else Op.CONVOLUTION
    outputs = of.points * of.filters
    # Stock depthwise convolutions that step unequally compute every place.
    waste = math.prod(strides) if of.depthwise and len(set(strides)) > 1 else 1
    return Step(
        outputs * cells * of.channels // of.groups * waste,
        read,
        outputs * waste,
        op,
        channels=of.channels if of.depthwise else of.channels // of.groups,
        kernel=cells * of.channels // of.groups * of.filters,
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
        self.stepped = [chosen and not box for chosen, box in zip(self.folded, self.boxes, strict=True)]
        self.strided = any(steps and one.reduced > 1 for steps, one in zip(self.stepped, self.ties, strict=True))
        # XLA takes three times as long for the gradients of a convolution with strides, if not of a few channels.
        self.for_xla = not self.strided or problem.channels <= NARROW

    @property
    def name(self) -> str:
        return "folded " + "+".join(f"axis {axis}" for axis, chosen in enumerate(self.folded) if chosen)

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        axes = self.problem.axes
        dilations = [1 if steps else of.dilation for of, steps in zip(axes, self.stepped, strict=True)]
        # "same" adds nothing where whole blocks of folded values are stepped over.
        valid = any(self.boxes) or all(self.folded)
        return folded_product(
            self._folded,
            lambda folded, kernel: self._convolve(
                folded, kernel, self._strides(), "valid" if valid else axes[0].padding, dilations
            ),
            inputs,
            [kernel],
            self._lots(known_sizes(inputs)[0]),
        )

    def _strides(self) -> list[int]:
        return [
            one.reduced if steps else of.stride
            for one, of, steps in zip(self.ties, self.problem.axes, self.stepped, strict=True)
        ]

    def _folded(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        """Return the inputs, folded and padded."""
        for axis, of in enumerate(self.problem.axes):
            if self.boxes[axis]:
                inputs = self._box(inputs, axis)
            elif self.folded[axis]:
                inputs = self._fold(inputs, axis)
            elif any(self.boxes):
                inputs = _pad(inputs, axis + 1, of)
        return [inputs]

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
                steps.append(Step(longer * min(size, LONGEST), numbers, longer, Op.PRODUCT))
            elif chosen:
                steps.append(self._fold_step(axis, numbers))
            elif any(self.boxes) and of.axes[axis].padding != "valid":
                steps.append(Step(0, numbers, numbers))
            numbers = steps[-1].written if steps else numbers
        cells = math.prod(ties.reduced for ties in self.ties)
        op = None
        if len(self.folded) > 1 and (self.strided or (self.folded[-1] and of.channels >= NARROW)):
            op = Op.STEPPING_3D if len(self.folded) > 2 else Op.STEPPING
        step = convolution_step(of, numbers, cells, self._strides(), op)
        return [*steps, dataclasses.replace(step, crowded=self.strided and of.channels >= MANY)]


def _pad(inputs: tf.Tensor, position: int, axis: Axis) -> tf.Tensor:
    """Add the zeros that the convolution would add along an axis."""
    if axis.padding == "valid" or axis.kernel == 1:
        return inputs
    size = sizes_of(inputs)[position]
    before = axis.before(size)
    missing = (axis.outputs(size) - 1) * axis.stride + axis.extent - before - size
    after = max(missing, 0) if isinstance(missing, int) else tf.maximum(missing, 0)
    return tf.pad(inputs, [[0, 0]] * position + [[before, after]] + [[0, 0]] * (inputs.shape.rank - position - 1))
