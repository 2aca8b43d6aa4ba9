"""Folding of one axis: inputs that meet tied slices of a kernel are added before the convolution.

Along an axis the kernel is ``K[i] = sum_j E[i, j] z[j]``, where ``z`` is the smaller kernel and ``E`` the matrix of its
ties. So ``sum_i K[i] x[y s + i d - p] = sum_j z[j] (A x)[y, j]``, where ``A[(y, j), t] = sum_i E[i, j]`` over the ``i``
with ``t = y s + i d - p``: one matrix with entries 0 and +-1 that holds ties, stride, dilation and padding at once.
Multiplying by it is one pass over memory at the speed of a matrix product, and so is its gradient, multiplication by
the transpose. Slices, sums and concatenations of the same make four to nine passes (``benchmarks/README.md`` has
figures).
"""

import dataclasses
import functools
import math
from typing import Any, cast, final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import Ties
from tf_symconv.ops._layout import known_sizes, sizes_of

#: The most outputs of an axis that one matrix makes; longer axes are cut into overlapping frames.
LONGEST = 64
_FRAME = 32
#: Where an axis has fewer channels behind it, they join it.
NARROW = 8


@final
@dataclasses.dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Args:
        size: The number of inputs; None where it is known only at run time.
        kernel: The number of cells of the full kernel.
        stride, dilation: As in the convolution.
        padding: ``"valid"``, ``"same"`` or ``"causal"``.
    """

    size: int | None
    kernel: int
    stride: int
    dilation: int
    padding: str

    @property
    def extent(self) -> int:
        """The number of inputs that one output spans."""
        return (self.kernel - 1) * self.dilation + 1

    def outputs(self, size: Any) -> Any:
        """Return the number of outputs for ``size`` inputs, an integer or a tensor."""
        reach = size if self.padding in ("same", "causal") else size - self.extent + 1
        count = (reach + self.stride - 1) // self.stride
        return max(count, 0) if isinstance(size, int) else tf.maximum(count, 0)

    def before(self, size: Any) -> Any:
        """Return how many zeros stand before the first input, an integer or a tensor."""
        if self.padding == "valid":
            return 0
        if self.padding == "causal":
            return self.extent - 1
        total = (self.outputs(size) - 1) * self.stride + self.extent - size
        return max(total, 0) // 2 if isinstance(size, int) else tf.maximum(total, 0) // 2


def in_one(size: Any, outputs: Any) -> bool:
    """Return whether one matrix folds a whole axis of so many inputs to so many outputs."""
    return isinstance(size, int) and isinstance(outputs, int) and max(outputs, size // 2) <= LONGEST


@functools.lru_cache(maxsize=512)
def folding_matrix(ties: Ties, stride: int, dilation: int, before: int, outputs: int, size: int) -> np.ndarray:
    """Return ``A``, floats of shape ``(outputs, ties.reduced, size)``, with ``before`` zeros ahead of the inputs."""
    places = stride * np.arange(outputs)[:, None] + dilation * np.arange(ties.size) - before
    hits = (places[..., None] == np.arange(size)).astype(np.float32)
    return np.einsum("yit,ij->yjt", hits, ties.matrix)


def fold(
    inputs: tf.Tensor, position: int, ties: Ties, *, stride: int, dilation: int, before: Any, outputs: Any
) -> tf.Tensor:
    """Fold the tensor's axis ``position``: ``m`` folded values for every output, ``m = ties.reduced``.

    Args:
        inputs: Any tensor of floats.
        position: The axis.
        ties: Those of the kernel along this axis.
        stride: The stride of the convolution along this axis.
        dilation: Its dilation rate.
        before: How many zeros stand before the first input.
        outputs: The number of outputs; it and ``before`` are integers, or tensors where the size is not known.

    Returns:
        The tensor with ``m * outputs`` entries along the axis; those of one output lie together.
    """
    shape = sizes_of(inputs)
    size = shape[position]
    if in_one(size, outputs):
        return matmul_along(inputs, position, _flat(folding_matrix(ties, stride, dilation, before, outputs, size)))
    frame = _frame(outputs)
    extent = (ties.size - 1) * dilation + 1
    length = (frame - 1) * stride + extent
    frames = -(-outputs // frame)
    after = _positive((frames * frame - 1) * stride + extent - before - size)
    paddings = [[0, 0]] * position + [[before, after]] + [[0, 0]] * (len(shape) - position - 1)
    places = (tf.range(frames) * (frame * stride))[:, None] + tf.range(length)
    framed = tf.gather(tf.pad(inputs, paddings), places, axis=position)
    folded = matmul_along(framed, position + 1, _flat(folding_matrix(ties, stride, dilation, 0, frame, length)))
    shape = sizes_of(folded)
    folded = tf.reshape(folded, [*shape[:position], shape[position] * shape[position + 1], *shape[position + 2 :]])
    wanted = outputs * ties.reduced
    if isinstance(wanted, int) and wanted == known_sizes(folded)[position]:
        return folded
    return folded[(slice(None),) * position + (slice(wanted),)]


def matmul_along(inputs: tf.Tensor, position: int, matrix: np.ndarray) -> tf.Tensor:
    """Multiply the tensor along one axis by a matrix of shape ``(new size, size)``."""

    @tf.custom_gradient
    def run(inputs: tf.Tensor) -> Any:
        shape = sizes_of(inputs)
        before, size, after = _three(shape, position)
        if isinstance(after, int) and after < NARROW:
            # Products with so few columns waste the lanes of a processor: channels join the axis.
            joint = np.kron(matrix, np.eye(after)).T
            product = tf.matmul(tf.reshape(inputs, [before, size * after]), tf.constant(joint, inputs.dtype))
        else:
            product = tf.matmul(tf.constant(matrix, inputs.dtype), tf.reshape(inputs, [before, size, after]))
        outputs = tf.reshape(product, [*shape[:position], matrix.shape[0], *shape[position + 1 :]])
        return outputs, lambda dy: matmul_along(dy, position, matrix.T)

    return cast(Any, run)(inputs)


def _flat(matrix: np.ndarray) -> np.ndarray:
    return matrix.reshape(-1, matrix.shape[-1])


def _three(shape: list[Any], position: int) -> list[Any]:
    """Return the sizes before, at and after an axis; at most one of them unknown is left to the reshape."""
    before, after = math.prod(shape[:position]), math.prod(shape[position + 1 :])
    return [before if isinstance(before, int) else -1, shape[position], after]


def _frame(outputs: Any) -> int:
    """Return how many outputs a frame makes: a divisor of their number where there is one near."""
    if isinstance(outputs, int):
        return next((n for n in range(_FRAME, _FRAME // 2, -1) if outputs % n == 0), _FRAME)
    return _FRAME


def _positive(number: Any) -> Any:
    return max(number, 0) if isinstance(number, int) else tf.maximum(number, 0)
