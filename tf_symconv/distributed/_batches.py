"""Each replica's part of each batch."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from tf_symconv.distributed._errors import DistributedTrainingError

Data = Callable[[int], tf.data.Dataset]


def check_dataset(dataset: Any, parts: int) -> None:
    """Check a data set of batches, as far as can be seen before it is read.

    Raises:
        TypeError: if it is no data set of pairs.
        ValueError: if its batches cannot be divided into this many equal parts.
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(f"data must return a tf.data.Dataset. Received: {dataset!r}")
    spec: Any = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise TypeError(f"the data set must yield pairs (inputs, labels), in batches. Received: element_spec={spec}")
    for leaf in tf.nest.flatten(spec):
        if not isinstance(leaf, tf.TensorSpec) or leaf.shape.rank == 0:
            raise TypeError(f"the data set must yield batches of dense tensors. Received: element_spec={spec}")
        size = leaf.shape[0] if leaf.shape.rank else None
        if size is not None and (size == 0 or size % parts):
            raise ValueError(
                f"the batch size must divide by the number of replicas that share a batch, {parts}. "
                f"Received: batches of {size}"
            )


def steps_of(dataset: tf.data.Dataset, steps: int | None) -> int:
    """Return how many batches to take: ``steps``, or as many as there are.

    Raises:
        ValueError: if neither is known, or there are none.
    """
    cardinality: Any = dataset.cardinality()
    known = int(cardinality)
    if steps is None and known < 0:
        kind = "an endless data set" if known == tf.data.INFINITE_CARDINALITY else "a data set of unknown length"
        raise ValueError(f"steps_per_epoch must be given, for all workers take as many steps. Received: {kind}")
    if known == 0 or (steps is not None and 0 <= known < steps):
        raise ValueError(
            f"the data set must have {'batches' if steps is None else f'at least {steps} batches'}. Received: {known}"
        )
    return known if steps is None else steps


def distributed(
    strategy: tf.distribute.Strategy, dataset: tf.data.Dataset, per_worker: bool, skip: int
) -> Iterator[tuple[Any, Any]]:
    """Iterate over batches whose parts are with the replicas."""
    return iter(
        strategy.distribute_datasets_from_function(lambda context: _own_parts(dataset.skip(skip), context, per_worker))
    )


def next_batch(batches: Iterator[tuple[Any, Any]], what: str) -> tuple[Any, Any]:
    """Return the next batch.

    Raises:
        ValueError: if its size does not divide.
        DistributedTrainingError: if there is none.
    """
    try:
        return next(batches)
    except tf.errors.InvalidArgumentError as error:
        told = re.search(r"the batch size must divide.*?a batch of \d+", str(error), re.DOTALL)
        if told is None:
            raise
        raise ValueError(told[0]) from error
    except (StopIteration, tf.errors.OutOfRangeError) as error:
        raise DistributedTrainingError(f"the data ended before {what}") from error


def _own_parts(dataset: tf.data.Dataset, context: tf.distribute.InputContext, per_worker: bool) -> tf.data.Dataset:
    own = context.num_replicas_in_sync // context.num_input_pipelines
    parts = own if per_worker else context.num_replicas_in_sync
    first = 0 if per_worker else context.input_pipeline_id * own

    def split(*pair: Any) -> tf.data.Dataset:
        size = tf.shape(tf.nest.flatten(pair)[0])[0]
        divides = tf.debugging.Assert(
            (size > 0) & (size % parts == 0),
            [
                tf.strings.format(
                    f"the batch size must divide by the number of replicas that share a batch, {parts} "
                    "(drop_remainder=True of tf.data.Dataset.batch leaves a last batch out that is smaller). "
                    "Received: a batch of {}",
                    size,
                )
            ],
        )
        with tf.control_dependencies([divides]):
            share = tf.identity(size // parts)

        def cut(values: tf.Tensor) -> tf.Tensor:
            mine = values[first * share : (first + own) * share]
            shares = tf.reshape(mine, tf.concat([[own, share], tf.shape(mine)[1:]], 0))
            known = None if values.shape[0] is None else values.shape[0] // parts
            return tf.ensure_shape(shares, [own, known, *values.shape[1:]])

        return tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(cut, pair))

    return dataset.flat_map(split).prefetch(own)
