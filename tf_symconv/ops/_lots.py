"""Work on a batch, a few examples at a time.

Lots bound the memory. Those that are under way together also keep the cores busy: while the last threads of one op end,
an op of another lot begins.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf


def equal_lots(batch: int, count: int) -> list[int]:
    """Return the sizes of at most ``count`` lots of a batch, all equal but the last."""
    lot = -(-batch // count)
    return [lot] * (batch // lot) + [batch % lot] * (batch % lot > 0)


def in_turn(
    function: Callable[..., list[tf.Tensor]], lots: Sequence[int], at_once: int, *tensors: tf.Tensor
) -> list[list[tf.Tensor]]:
    """Return what the function makes of each lot of the tensors.

    Args:
        function: Takes a lot of each tensor.
        lots: The sizes of the lots.
        at_once: How many lots may be under way together: in a graph a lot waits for the one so many before it.
        *tensors: With the examples along the first axis.
    """
    if len(lots) == 1:
        return [function(*tensors)]
    made: list[list[tf.Tensor]] = []
    for some in zip(*(tf.split(tensor, lots) for tensor in tensors), strict=True):
        with tf.control_dependencies(made[-at_once] if len(made) >= at_once else []):
            made.append(function(*(tf.identity(one) for one in some)))
    return made


def join(lots: Sequence[tf.Tensor]) -> tf.Tensor:
    """Put lots together again."""
    return lots[0] if len(lots) == 1 else tf.concat(lots, 0)
