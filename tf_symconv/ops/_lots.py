"""Work on a batch, a few examples at a time.

Lots bound the memory. Those that are under way together also keep the cores busy: while the last threads of one op end,
an op of another lot begins.
"""

import itertools
from collections.abc import Callable, Sequence

import tensorflow as tf

from tf_symconv.ops._layout import sizes_of


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
        with tf.control_dependencies(made[-at_once] if len(made) >= at_once else []):
            made.append(function(*(tf.identity(tensor[start:end]) for tensor in tensors)))
    return made


def join(lots: Sequence[tf.Tensor]) -> tf.Tensor:
    """Put lots together again."""
    return lots[0] if len(lots) == 1 else tf.concat(lots, 0)
