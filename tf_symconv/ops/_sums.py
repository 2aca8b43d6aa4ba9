"""The form of pictures in which every sum of inputs that meet tied slices of the kernel stays by itself."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.libraries import Op
from tf_symconv.ops._axes import NARROW
from tf_symconv.ops._bilinear import folded_product
from tf_symconv.ops._convolved import Pads
from tf_symconv.ops._cost import Step
from tf_symconv.ops._dense import PADDINGS
from tf_symconv.ops._forms import Form, Problem, convolution_step
from tf_symconv.ops._layout import cut, extend, known_sizes, sizes_of
from tf_symconv.ops._setting import compiled_by_xla


def has_sums(problem: Problem, folded: Sequence[int]) -> bool:
    """Return whether a convolution has the form: a picture that is not stepped over along the folded axes."""
    return len(problem.axes) == 2 and all(problem.axes[axis].stride == 1 for axis in folded)


@final
class Summed(Form):
    """Each slice of the smaller kernel meets the sum of its own inputs, and the convolutions are added up.

    Such a sum takes one pass, and the slice in the middle of a mirrored kernel meets the inputs themselves.
    """

    def __init__(self, problem: Problem, ties: Sequence[Ties], folded: Sequence[int]) -> None:
        super().__init__(problem, [one if axis in folded else Ties.none(one.size) for axis, one in enumerate(ties)])
        self.folded = tuple(folded)
        of_axes = [self._windows(axis) if axis in folded else [np.ones(1, np.float32)] for axis in range(2)]
        self.windows = [np.outer(*pair) for pair in itertools.product(*of_axes)]

    @property
    def name(self) -> str:
        return "summed " + "+".join(f"axis {axis}" for axis in self.folded)

    def __call__(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        axes = self.problem.axes
        strides = [of.stride for of in axes]
        dilations = [1 if axis in self.folded else of.dilation for axis, of in enumerate(axes)]
        kernels = [kernel]
        for axis in self.folded:
            kernels = [part for one in kernels for part in tf.split(one, self.ties[axis].reduced, axis)]
        return folded_product(
            self._sums,
            lambda one, kernel: self._convolve(one, kernel, strides, axes[0].padding, dilations),
            inputs,
            kernels,
            self._lots(known_sizes(inputs)[0]),
        )

    def _windows(self, axis: int) -> list[np.ndarray]:
        """Return the weights of the inputs in the sum of each slice of the smaller kernel."""
        of = self.problem.axes[axis]
        windows = []
        for weights in self.ties[axis].matrix.T:
            # Zeros at both ends go where "same" keeps the middle in its place.
            used = np.flatnonzero(weights)
            spare = min(used[0], len(weights) - 1 - used[-1]) if of.padding == "same" else 0
            weights = weights[spare : len(weights) - spare]
            window = np.zeros((len(weights) - 1) * of.dilation + 1, np.float32)
            window[:: of.dilation] = weights
            windows.append(window)
        return windows

    def _sums(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        padding = self.problem.axes[0].padding
        return [inputs if window.size == 1 else window_sum(inputs, window, padding) for window in self.windows]

    def steps(self) -> list[Step]:
        of = self.problem
        size = of.inputs
        for axis in self.folded:
            length = of.axes[axis].size or 1
            size = size // length * of.axes[axis].outputs(length)
        sums = [
            Step(
                size * window.size, of.inputs, size, Op.SUM, moved_lanes=of.channels
            )  # a depthwise convolution, or slices
            for window in self.windows
            if window.size > 1
        ]
        cells = math.prod(one.size for axis, one in enumerate(self.ties) if axis not in self.folded)
        op = Op.OF_COLUMN if 1 in self.folded else Op.OF_ROW
        each = convolution_step(of, size, cells, [axis.stride for axis in of.axes], op)
        each = dataclasses.replace(each, filters=of.filters)
        count = len(self.windows)
        adding = [Step(0, count * each.written, each.written, Op.SUM)] if count > 1 else []
        return [*sums, *[each] * count, *adding]


def window_sum(inputs: tf.Tensor, window: np.ndarray, padding: str | Pads) -> tf.Tensor:
    """Return the sums over windows of a picture, in one pass.

    Args:
        inputs: Shape ``(batch, rows, columns, channels)``.
        window: The signs of what is added up, 1, 0 or -1, shape ``(height, width)``.
        padding: ``"valid"``, ``"same"``, or how many zeros stand before and after the rows and the columns, all of
            which are known then.
    """
    if compiled_by_xla():
        return _fused_sum(inputs, window, padding)
    *sizes, channels = known_sizes(inputs)[1:]
    if channels < NARROW and None not in sizes:
        # A depthwise convolution takes as long for few channels as for many, slices do not.
        if isinstance(padding, str):
            same = padding == "same"
            padding = [((size - 1) // 2, size // 2) if same else (0, 0) for size in window.shape]
        return _sliced_sum(inputs, window, padding)
    weights = np.tile(window[:, :, None, None], (channels, 1))
    around: Any = PADDINGS[padding] if isinstance(padding, str) else [[0, 0], *map(list, padding), [0, 0]]
    return tf.nn.depthwise_conv2d(inputs, tf.constant(weights, inputs.dtype), [1, 1, 1, 1], around)


def _sliced_sum(inputs: tf.Tensor, window: np.ndarray, pads: Pads) -> tf.Tensor:
    for axis, (before, after) in enumerate(pads, 1):
        inputs = extend(inputs, axis, before, after)
    views = []
    for at in np.argwhere(window):
        view = inputs if window[tuple(at)] > 0 else -inputs
        for axis, (start, length) in enumerate(zip(at, window.shape, strict=True), 1):
            view = cut(view, axis, int(start), known_sizes(inputs)[axis] - length + 1)
        views.append(view)
    return tf.add_n(views)


def _fused_sum(inputs: tf.Tensor, window: np.ndarray, padding: str | Pads) -> tf.Tensor:
    """Return the sums as XLA makes one loop of them: nothing that two views share is written down."""
    if not isinstance(padding, str):
        for axis, (before, after) in enumerate(padding, 1):
            inputs = extend(inputs, axis, before, after)
        padding = "valid"
    views = []
    for at in np.argwhere(window):
        view = float(window[tuple(at)]) * inputs
        for axis, (own, size) in enumerate(zip(at, window.shape, strict=True), 1):
            view = _view(view, axis, int(own), size, padding)
        views.append(view)
    return tf.add_n(views)


def _view(inputs: tf.Tensor, axis: int, at: int, length: int, padding: str) -> tf.Tensor:
    """Return what number ``at`` of the weights of a window meets along an axis."""
    size = sizes_of(inputs)[axis]
    start, outputs = at, size - length + 1
    if padding == "same":
        shift, outputs = at - (length - 1) // 2, size
        pads = [[0, 0]] * inputs.shape.rank
        pads[axis] = [max(-shift, 0), max(shift, 0)]
        inputs, start = tf.pad(inputs, pads), max(shift, 0)
    return inputs[(slice(None),) * axis + (slice(start, start + outputs),)]
