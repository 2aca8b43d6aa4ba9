"""What one replica does with its part of a batch."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

Loss = str | Callable[[Any, Any], Any]
_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "none", None)
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


def check_loss(loss: Any) -> Callable[[Any, Any], Any]:
    """Return a function of labels and outputs whose mean is the loss.

    Raises:
        ValueError: if it is unknown, or sums over a batch.
    """
    found: Any = keras.losses.get(loss) if isinstance(loss, str) else loss
    if not callable(found):
        raise ValueError(
            f"loss must be the name of a Keras loss, or a function of labels and outputs. Received: {loss!r}"
        )
    reduction = getattr(found, "reduction", None)
    if reduction not in _MEANS:
        raise ValueError(
            f"the loss must be a mean over the batch, each replica sees a part of it. Received: reduction={reduction!r}"
        )
    return found


def check_metrics(metrics: Mapping[str, Any] | None) -> dict[str, Callable[[Any, Any], Any]]:
    """Return the metrics.

    Raises:
        ValueError: if they are no functions, or keep a state.
    """
    for name, metric in (metrics or {}).items():
        if not callable(metric) or isinstance(metric, keras.metrics.Metric) or name == "loss":
            raise ValueError(
                "metrics must be functions of labels and outputs whose mean is wanted, by names other than 'loss'. "
                f"Received: {name}={metric!r}"
            )
    return dict(metrics or {})


class Clipping:
    """How the gradient of the whole batch is clipped; an optimizer would clip that of each replica's part."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._limits = {key: config[key] for key in _CLIPS if config.get(key) is not None}

    def __bool__(self) -> bool:
        return bool(self._limits)

    def __call__(self, gradients: list[Any]) -> list[Any]:
        if "clipnorm" in self._limits:
            return [None if g is None else tf.clip_by_norm(g, self._limits["clipnorm"]) for g in gradients]
        if "global_clipnorm" in self._limits:
            return tf.clip_by_global_norm(gradients, self._limits["global_clipnorm"])[0]
        limit = self._limits["clipvalue"]
        return [None if g is None else tf.clip_by_value(g, -limit, limit) for g in gradients]


def make_optimizer(optimizer: Any) -> tuple[keras.optimizers.Optimizer, Clipping]:
    """Return a new optimizer like this one, which does not clip, and the clipping that it asks for.

    Raises:
        ValueError: if it is unknown, or cannot be distributed.
    """
    config: Any = keras.optimizers.serialize(keras.optimizers.get(optimizer))
    if config["class_name"] == "LossScaleOptimizer":
        raise ValueError(
            "the optimizer must not scale the loss; compute in bfloat16, not float16. Received: LossScaleOptimizer"
        )
    clipping = Clipping(config["config"])
    if clipping and config["config"].get("gradient_accumulation_steps"):
        raise ValueError("the optimizer must not both clip and accumulate gradients. Received: both")
    config["config"] = {key: value for key, value in config["config"].items() if key not in _CLIPS}
    made: Any = keras.optimizers.deserialize(config)
    return made, clipping


def make_call(model: Any) -> Callable[[Any, bool], Any]:
    """Return a function of inputs and ``training`` that calls a model.

    Raises:
        TypeError: if it is no model.
    """
    if isinstance(model, keras.Layer):
        return lambda inputs, training: model(inputs, training=training)
    if not isinstance(model, tf.Module) or not callable(model):
        raise TypeError(f"make_model must return a Keras model, or a tf.Module that can be called. Received: {model!r}")
    parameters = inspect.signature(model.__call__).parameters.values()
    told = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)
    return lambda inputs, training: model(inputs, training=training) if told else model(inputs)


def make_steps(
    strategy: tf.distribute.Strategy,
    model: Any,
    optimizer: keras.optimizers.Optimizer,
    clipping: Clipping,
    loss: Callable[[Any, Any], Any],
    metrics: Mapping[str, Callable[[Any, Any], Any]],
) -> tuple[Callable[[Any], tf.Tensor], Callable[[Any], tf.Tensor]]:
    """Return a training step and an evaluation step.

    Each takes a distributed batch, and returns the loss and the metrics of the whole batch in one vector.
    """
    call = make_call(model)
    replicas = float(strategy.num_replicas_in_sync)
    variables = list(model.trainable_variables)
    tensors = [variable.value if isinstance(variable, keras.Variable) else variable for variable in variables]
    losses = (lambda: model.losses) if isinstance(model, keras.Layer) else list

    def share(values: Any) -> tf.Tensor:
        return tf.reduce_mean(tf.cast(values, tf.float32)) / replicas

    def figures(labels: Any, outputs: Any, value: tf.Tensor) -> tf.Tensor:
        return tf.stack([value, *(share(metric(labels, outputs)) for metric in metrics.values())])

    def objective(labels: Any, outputs: Any) -> tf.Tensor:
        penalties = [tf.cast(penalty, tf.float32) / replicas for penalty in losses()]
        return tf.add_n([share(loss(labels, outputs)), *penalties])

    def train_replica(inputs: Any, labels: Any) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = call(inputs, True)
            value = objective(labels, outputs)
        gradients: Any = tape.gradient(value, tensors)
        if clipping:
            context: Any = tf.distribute.get_replica_context()
            there = [i for i, gradient in enumerate(gradients) if gradient is not None]
            summed = context.all_reduce(tf.distribute.ReduceOp.SUM, [gradients[i] for i in there])
            for i, gradient in zip(there, clipping(summed), strict=True):
                gradients[i] = gradient / replicas  # the optimizer adds them up again
        optimizer.apply(gradients, variables)
        return figures(labels, outputs, value)

    def test_replica(inputs: Any, labels: Any) -> tf.Tensor:
        outputs = call(inputs, False)
        return figures(labels, outputs, objective(labels, outputs))

    def over_all(replica: Callable[..., tf.Tensor]) -> Callable[[Any], tf.Tensor]:
        @tf.function(reduce_retracing=True)
        def step(batch: Any) -> tf.Tensor:
            return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica, args=batch), axis=None)

        return step

    return over_all(train_replica), over_all(test_replica)
