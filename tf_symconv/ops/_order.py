"""Which work waits for which: what is not under way at the same time shares its memory.

A batch is worked on a few examples at a time. Lots that are under way together also keep the cores busy: while the last
threads of one op end, an op of another lot begins.
"""

import contextlib
import contextvars
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tf_symconv.ops._layout import sizes_of
from tf_symconv.ops._setting import compiled_by_xla


def after(tensor: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
    """Return the tensor; in a graph it is not there before the others are, nor is what is made of it."""
    if not others:
        return tensor
    if not compiled_by_xla():
        with tf.control_dependencies(others):
            return tf.identity(tensor)
    # XLA heeds data alone, and finds that work done again is the same. So it adds a zero of which it does not know
    # that it is one: no number exceeds infinity.
    for other in others:
        some = tf.reduce_max(tf.reshape(tf.stop_gradient(other), [-1])[:1])
        nothing = tf.where(some > tf.constant(np.inf, some.dtype), some, tf.zeros([], some.dtype))
        tensor += tf.cast(nothing, tensor.dtype)
    return tensor


_kernels_wanted = contextvars.ContextVar("kernels_wanted", default=True)


@contextlib.contextmanager
def of_inputs_alone() -> Iterator[None]:
    """Say that gradients which are taken in the block are those of inputs: none has to wait for those of kernels."""
    before = _kernels_wanted.set(False)
    try:
        yield
    finally:
        _kernels_wanted.reset(before)


def after_kernels(tensor: tf.Tensor, *gradients: tf.Tensor) -> tf.Tensor:
    """Return what the gradient of the inputs comes from: after the gradients of kernels, where these are wanted.

    What something waits for is computed, wanted or not.
    """
    return after(tensor, *gradients) if _kernels_wanted.get() else tensor


def in_turn(
    function: Callable[..., list[tf.Tensor]], count: int, at_once: int, *tensors: tf.Tensor
) -> list[list[tf.Tensor]]:
    """Return what the function makes of each lot of the tensors.

    Args:
        function: Takes a lot of each tensor.
        count: The number of lots, whose sizes differ by one at most.
        at_once: How many lots may be under way together: in a graph a lot waits for the one so many before it.
        *tensors: With the examples along the first axis.
    """
    if count == 1:
        return [function(*tensors)]
    batch = sizes_of(tensors[0])[0]
    ends = [batch * i // count for i in range(count + 1)]
    made: list[list[tf.Tensor]] = []
    for start, end in itertools.pairwise(ends):
        before = made[-at_once] if len(made) >= at_once else []
        made.append(function(*(after(tensor[start:end], *before) for tensor in tensors)))
    return made


def join(lots: Sequence[tf.Tensor]) -> tf.Tensor:
    """Put lots together again."""
    return lots[0] if len(lots) == 1 else tf.concat(lots, 0)
