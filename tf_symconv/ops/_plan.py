"""The choice between the schemes of a convolution: by cost, for the forward pass and for each gradient."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, cast, final

import tensorflow as tf

from tf_symconv.ops._bilinear import pull_back
from tf_symconv.ops._cost import forward_cost, inputs_gradient_cost, kernel_gradient_cost
from tf_symconv.ops._scheme import Kernels, Scheme

IMPLEMENTATIONS = ("auto", "dense", "folded")
#: A folded scheme is taken where its predicted cost is at most this share of the dense one's.
MARGIN = 0.88
#: Steps that read and write more floats than this (64 MiB) are cut into lots of examples ...
LARGE = 2**24
#: ... that read and write at most so many (16 MiB).
LOT = 2**22
#: Smaller work is cut into so many lots, where each is predicted to cost at least ``WORTH`` ...
LOTS = 4
WORTH = 2e8
#: ... and so many may be under way at the same time.
AT_ONCE = 3
#: The batch sizes that stand for one that is not known: a scheme must pay for both.
_BATCHES = (1, 32)


def check_implementation(implementation: str) -> str:
    """Return ``implementation`` if it is one of :data:`IMPLEMENTATIONS`, else raise a ValueError."""
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"implementation must be one of {', '.join(IMPLEMENTATIONS)}. Received: implementation={implementation!r}"
        )
    return implementation


@final
@dataclasses.dataclass(frozen=True)
class Plan:
    """How a layer computes, and why.

    Attributes:
        implementation: ``"dense"`` or ``"folded"``: the forward pass.
        forward: The scheme of the forward pass.
        inputs_gradient: The scheme of the gradient with respect to the inputs.
        kernel_gradient: The scheme of the gradient with respect to the latent.
        dense_multiplications: Those of one example with the full kernel, forward; None where a size is not known.
        multiplications: Those of the scheme of the forward pass, its folding matrices included.
        forward_cost: The predicted cost of the forward pass, as a share of the dense one's; None where a size is not
            known.
        training_cost: The same for the forward pass and both gradients.
        reason: Why, in words.
    """

    implementation: str
    forward: str
    inputs_gradient: str
    kernel_gradient: str
    dense_multiplications: int | None
    multiplications: int | None
    forward_cost: float | None
    training_cost: float | None
    reason: str

    @classmethod
    def dense(cls, multiplications: int | None, reason: str) -> "Plan":
        """Return the plan of a convolution that has no other scheme."""
        return cls("dense", "dense", "dense", "dense", multiplications, multiplications, 1.0, 1.0, reason)


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """The schemes that were chosen, and why."""

    dense: Scheme
    forward: Scheme
    inputs_gradient: Scheme
    kernel_gradient: Scheme
    reason: str
    batches: tuple[int, ...]

    def plan(self) -> Plan:
        """Return the choice in words and numbers."""
        known = self.dense.steps is not None
        trio = (self.forward, self.inputs_gradient, self.kernel_gradient)
        batch = self.batches[-1]
        plain = (self.dense,) * 3
        return Plan(
            "dense" if self.forward is self.dense else "folded",
            *(scheme.name for scheme in trio),
            dense_multiplications=self.dense.multiplications,
            multiplications=self.forward.multiplications,
            forward_cost=_forward(self.forward, batch) / _forward(self.dense, batch) if known else None,
            training_cost=_training(*trio, batch) / _training(*plain, batch) if known else None,
            reason=self.reason,
        )


def choose(schemes: Sequence[Scheme], implementation: str, batch: int | None, device: str | None = None) -> Choice:
    """Choose the schemes by which a convolution is computed.

    Args:
        schemes: The dense scheme, then the folded ones.
        implementation: ``"dense"``; ``"folded"``: the cheapest of the folded schemes, the dense one where there is
            none; ``"auto"``: the cheapest by the cost model, on a CPU and for sizes that are known, else the dense one.
        batch: The number of examples; None where it is known only at run time.
        device: ``"CPU"``, ``"GPU"``, ...; by default what TensorFlow sees.
    """
    batches = _BATCHES if batch is None else (max(batch, 1),)
    dense, *folded = schemes

    def same(scheme: Scheme, reason: str) -> Choice:
        return Choice(dense, scheme, scheme, scheme, reason, batches)

    if implementation == "dense":
        return same(dense, "implementation='dense'")
    if not folded:
        return same(dense, "the structure has no folded form")
    if dense.steps is None:
        if implementation == "folded":
            return same(folded[0], "implementation='folded'; sizes are not known, so costs are not either")
        return same(dense, "sizes are not known before run time")
    if implementation == "folded":
        best = min(folded, key=lambda scheme: _training(scheme, scheme, scheme, batches[-1]))
        return same(best, "implementation='folded'")
    device = device or ("GPU" if tf.config.list_logical_devices("GPU") else "CPU")
    if device.upper() != "CPU":
        return same(dense, f"folding is measured on CPUs only, and the device is {device}")
    forward = min(schemes, key=lambda scheme: _worst(scheme, dense, batches, _forward))
    if _worst(forward, dense, batches, _forward) > MARGIN:
        forward = dense

    def training(inputs: Scheme, kernel: Scheme) -> float:
        costs = [_training(forward, inputs, kernel, n) / _training(forward, dense, dense, n) for n in batches]
        return max(costs)

    inputs_gradient, kernel_gradient = min(
        ((inputs, kernel) for inputs in schemes for kernel in {dense, forward, inputs}),
        key=lambda pair: training(*pair),
    )
    if training(inputs_gradient, kernel_gradient) > MARGIN:
        inputs_gradient = kernel_gradient = forward if forward is not dense else dense
    return Choice(dense, forward, inputs_gradient, kernel_gradient, "the least predicted cost", batches)


def run(choice: Choice, inputs: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
    """Compute a convolution by the schemes chosen; ``inputs`` are channels last.

    Where the number of examples is known, folded schemes take a few at a time. Lots that are under way together keep
    the cores busy: while one op of a lot ends, another of the next lot begins. Large lots go one after the other, so
    that folded inputs, several times as large as the inputs, need little memory at once. Nothing folded is kept for
    the gradient, which folds again.
    """
    batch = inputs.shape[0]
    lots = {
        part: _lots(choice, getattr(choice, part), batch, whole=part == "kernel_gradient" or tf.executing_eagerly())
        for part in ("forward", "inputs_gradient", "kernel_gradient")
    }
    if len({choice.forward, choice.inputs_gradient, choice.kernel_gradient}) == 1 and not any(
        len(sizes) > 1 for sizes in lots.values()
    ):
        return choice.forward.run(inputs, latent)

    @tf.custom_gradient
    def in_lots(inputs: tf.Tensor, latent: tf.Tensor) -> Any:
        def weighed(scheme: Scheme) -> Kernels:
            return scheme.weigh(latent, inputs.dtype)

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            scheme = choice.kernel_gradient
            kernels = weighed(scheme)

            def of_kernels(some: tf.Tensor, dys: tf.Tensor) -> list[tf.Tensor]:
                return pull_back(lambda *kernels: scheme.apply(some, kernels), kernels, dys)

            sums = [
                tf.add_n(parts)
                for parts in zip(*_by_lots(of_kernels, lots["kernel_gradient"], inputs, dy), strict=True)
            ]
            (of_latent,) = pull_back(lambda latent: scheme.weigh(latent, inputs.dtype), (latent,), sums)
            scheme = choice.inputs_gradient
            kernels = weighed(scheme)
            with tf.control_dependencies(sums):
                dy = tf.identity(dy)
            of_inputs = _by_lots(
                lambda some, dys: pull_back(lambda some: scheme.apply(some, kernels), (some,), dys),
                lots["inputs_gradient"],
                inputs,
                dy,
            )
            return _join([one for (one,) in of_inputs]), of_latent

        kernels = weighed(choice.forward)
        outputs = _by_lots(lambda some: [choice.forward.apply(some, kernels)], lots["forward"], inputs)
        return _join([one for (one,) in outputs]), gradient

    return cast(Any, in_lots)(inputs, latent)


def _by_lots(
    function: Callable[..., list[tf.Tensor]], lots: Sequence[int], *tensors: tf.Tensor
) -> list[list[tf.Tensor]]:
    """Return what the function makes of each lot; no more than ``AT_ONCE`` lots are under way together."""
    made: list[list[tf.Tensor]] = []
    for some in zip(*(_split(tensor, lots) for tensor in tensors), strict=True):
        with tf.control_dependencies(made[-AT_ONCE] if len(made) >= AT_ONCE else []):
            made.append(function(*(tf.identity(one) for one in some) if len(lots) > 1 else some))
    return made


def _lots(choice: Choice, scheme: Scheme, batch: int | None, *, whole: bool) -> list[int]:
    """Return how many examples are taken at a time; ``whole``: all of them, if memory allows."""
    steps = scheme.steps or ()
    moved = max((step.read + step.written for step in steps), default=0)
    if not batch or scheme is choice.dense:
        return [batch or -1]
    if batch * moved > LARGE:
        count = -(-batch // max(1, LOT // moved))
    else:
        count = 1 if whole else max(1, min(LOTS, batch, int(forward_cost(steps, batch) / WORTH)))
    lot = -(-batch // count)
    return [lot] * (batch // lot) + [batch % lot] * (batch % lot > 0)


def _split(tensor: tf.Tensor, lots: Sequence[int]) -> list[tf.Tensor]:
    return [tensor] if len(lots) == 1 else tf.split(tensor, lots)


def _join(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, 0)


def _forward(scheme: Scheme, batch: int) -> float:
    return forward_cost(scheme.steps or (), batch)


def _worst(scheme: Scheme, dense: Scheme, batches: Sequence[int], cost: Any) -> float:
    return max(cost(scheme, batch) / cost(dense, batch) for batch in batches)


@functools.lru_cache(maxsize=4096)
def _training(forward: Scheme, inputs: Scheme, kernel: Scheme, batch: int) -> float:
    """Return the cost of a training step by these schemes."""
    known = kernel is forward
    return (
        _forward(forward, batch)
        + inputs_gradient_cost(inputs.steps or (), batch)
        + kernel_gradient_cost(list(kernel.steps or ()), batch, known=known)
    )
