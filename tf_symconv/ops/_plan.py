"""The choice between the schemes of a convolution: by cost, for the forward pass and for each gradient."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, cast, final

import tensorflow as tf

from tf_symconv.ops._bilinear import pull_back
from tf_symconv.ops._cost import forward_cost, inputs_gradient_cost, kernel_gradient_cost
from tf_symconv.ops._schemes import Scheme

IMPLEMENTATIONS = ("auto", "dense", "folded")
#: A folded scheme is taken where its predicted cost is at most this share of the dense one's.
MARGIN = 0.88
#: Steps that read and write more floats than this (64 MiB) are cut into lots of examples ...
LARGE = 2**24
#: ... that read and write at most so many (16 MiB). Smaller steps would lose more time than they save memory.
LOT = 2**22
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

    Where the number of examples is known, large folded schemes take a few at a time, one lot after the other, in the
    gradient too, which folds again: so folded inputs, several times as large as the inputs, need little memory at once.
    """
    lots = _lots(choice, inputs.shape[0])
    if len(lots) == 1 and choice.forward is choice.inputs_gradient is choice.kernel_gradient:
        return choice.forward.run(inputs, latent)

    @tf.custom_gradient
    def in_lots(inputs: tf.Tensor, latent: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            of_inputs, of_latent = [], []
            wait: Any = [dy]
            for some, dys in zip(_split(inputs, lots), _split(dy, lots), strict=True):
                with tf.control_dependencies(wait):
                    pair = _gradients(choice, tf.identity(some), latent, dys)
                wait = pair
                of_inputs.append(pair[0])
                of_latent.append(pair[1])
            return _join(of_inputs), tf.add_n(of_latent)

        outputs: list[tf.Tensor] = []
        for some in _split(inputs, lots):
            with tf.control_dependencies(outputs[-1:]):
                outputs.append(choice.forward.run(tf.identity(some), latent))
        return _join(outputs), gradient

    return cast(Any, in_lots)(inputs, latent)


def _gradients(choice: Choice, inputs: tf.Tensor, latent: tf.Tensor, dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the gradients with respect to inputs and latent by the schemes chosen for each."""
    if choice.inputs_gradient is choice.kernel_gradient:
        both = pull_back(choice.inputs_gradient.run, (inputs, latent), dy)
        return both[0], both[1]
    (of_latent,) = pull_back(lambda latent: choice.kernel_gradient.run(inputs, latent), (latent,), dy)
    (of_inputs,) = pull_back(lambda inputs: choice.inputs_gradient.run(inputs, latent), (inputs,), dy)
    return of_inputs, of_latent


def _lots(choice: Choice, batch: int | None) -> list[int]:
    """Return how many examples are taken at a time."""
    schemes = {choice.forward, choice.inputs_gradient, choice.kernel_gradient} - {choice.dense}
    moved = max((step.read + step.written for scheme in schemes for step in scheme.steps or ()), default=0)
    if not batch or batch * moved <= LARGE:
        return [batch or -1]
    lot = min(batch, max(1, LOT // moved))
    return [lot] * (batch // lot) + [batch % lot] * (batch % lot > 0)


def _split(tensor: tf.Tensor, lots: list[int]) -> list[tf.Tensor]:
    return [tensor] if len(lots) == 1 else tf.split(tensor, lots)


def _join(parts: list[tf.Tensor]) -> tf.Tensor:
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
