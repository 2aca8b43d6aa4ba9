"""The choice between the schemes of a convolution: by cost, for the forward pass and for each gradient."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import final

import tensorflow as tf

from tf_symconv.libraries import ONEDNN, Library, current
from tf_symconv.ops._cost import forward_cost, inputs_gradient_cost, kernel_gradient_cost
from tf_symconv.ops._scheme import Scheme
from tf_symconv.ops._setting import compiled_by_xla, kernels_are_constant

IMPLEMENTATIONS = ("auto", "dense", "folded")
#: A folded scheme is taken where its predicted cost is at most this share of the dense one's.
MARGIN = 0.88
#: What another scheme for a gradient has to save: it shares nothing that the others keep.
_APART = 0.03
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
        implementation: ``"dense"``, ``"folded"`` or ``"winograd"`` (minimal filtering, which serves any kernel): the
            forward pass.
        forward: The scheme of the forward pass.
        inputs_gradient: The scheme of the gradient with respect to the inputs.
        kernel_gradient: The scheme of the gradient with respect to the latent.
        dense_multiplications: Those of one example with the full kernel, forward; None where a size is not known.
        multiplications: Those of the scheme of the forward pass, its folding matrices included.
        forward_cost: The predicted cost of the forward pass, as a share of the dense one's; None where a size is not
            known.
        training_cost: The same for the forward pass and both gradients.
        reason: Why, in words, and for which library.
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
    """The schemes that were chosen, and why; for which batches, and by the rates of which library."""

    dense: Scheme
    forward: Scheme
    inputs_gradient: Scheme
    kernel_gradient: Scheme
    reason: str
    batches: tuple[int, ...]
    library: Library = dataclasses.field(default_factory=current)

    def plan(self) -> Plan:
        """Return the choice in words and numbers."""
        known = self.dense.steps is not None
        trio = (self.forward, self.inputs_gradient, self.kernel_gradient)
        batch, by = self.batches[-1], self.library
        plain = (self.dense, self.dense, self.dense)
        return Plan(
            self.forward.implementation,
            *(scheme.name for scheme in trio),
            dense_multiplications=self.dense.multiplications,
            multiplications=self.forward.multiplications,
            forward_cost=_forward(self.forward, batch, by) / _forward(self.dense, batch, by) if known else None,
            training_cost=_training(*trio, batch, by) / _training(*plain, batch, by) if known else None,
            reason=self.reason,
        )


def choose(schemes: Sequence[Scheme], implementation: str, batch: int | None, device: str | None = None) -> Choice:
    """Choose the schemes by which a convolution is computed.

    Args:
        schemes: The dense scheme, then the others.
        implementation: ``"dense"``; ``"folded"``: the cheapest of the folded schemes, the dense one where there is
            none; ``"auto"``: the cheapest by the cost model, on a CPU and for sizes that are known, else the dense one.
            Forward pass and gradients are chosen apart where the convolution is linear.
        batch: The number of examples; None where it is known only at run time.
        device: ``"CPU"``, ``"XLA"`` (a CPU, compiled by XLA), ``"GPU"``, ...; by default what TensorFlow sees.
    """
    batches = _BATCHES if batch is None else (max(batch, 1),)
    device = (device or _device()).upper()
    # XLA takes as long for minimal filtering as for the dense convolution.
    schemes = [scheme for scheme in schemes if device == "CPU" or scheme.implementation != "winograd"]
    dense, *others = schemes
    # XLA convolves by itself, with either library about as oneDNN does, for which its plans were measured.
    by = ONEDNN if device == "XLA" else current()
    reason = f"the least predicted cost with {'XLA' if device == 'XLA' else by.title}"
    folded = [scheme for scheme in others if scheme.implementation == "folded"]

    def same(scheme: Scheme, reason: str) -> Choice:
        return Choice(dense, scheme, scheme, scheme, reason, batches, by)

    def worst(scheme: Scheme, cost: Callable[[Scheme, int, Library], float]) -> float:
        return max(cost(scheme, n, by) / cost(dense, n, by) for n in batches)

    if implementation == "dense":
        return same(dense, "implementation='dense'")
    if not (folded if implementation == "folded" else others):
        return same(dense, "the structure has no folded form")
    if dense.steps is None:
        if implementation == "folded":
            return same(folded[0], "implementation='folded'; sizes are not known, so costs are not either")
        return same(dense, "sizes are not known before run time")
    trained = [scheme for scheme in schemes if device == "CPU" or scheme.for_xla]
    if implementation == "folded":
        able = [scheme for scheme in folded if scheme in trained] or folded
        best = min(able, key=lambda scheme: _step(scheme, batches[-1], by))
        return same(best, "implementation='folded'")
    if device not in ("CPU", "XLA"):
        return same(dense, f"folding is measured on CPUs only, and the device is {device}")
    if not dense.linear:
        counted = [_forward] if kernels_are_constant() else [_forward, _step]

        def costs(scheme: Scheme) -> list[float]:
            return [worst(scheme, cost) for cost in counted]

        best = min(trained, key=lambda scheme: sum(costs(scheme)))
        return same(best if max(costs(best)) <= MARGIN else dense, reason)
    able = trained if len(trained) > 1 else schemes
    forward = min(able, key=lambda scheme: worst(scheme, _forward))
    if worst(forward, _forward) > MARGIN:
        forward = dense

    def training(inputs: Scheme, kernel: Scheme) -> float:
        return max(_training(forward, inputs, kernel, n, by) / _training(forward, dense, dense, n, by) for n in batches)

    inputs_gradient, kernel_gradient = min(
        itertools.product(trained, trained),
        key=lambda pair: training(*pair) * (1 + _APART * len({forward, *pair})),
    )
    if training(inputs_gradient, kernel_gradient) > MARGIN:
        shared = forward in trained and training(forward, forward) <= 1
        inputs_gradient = kernel_gradient = forward if shared else dense
    return Choice(dense, forward, inputs_gradient, kernel_gradient, reason, batches, by)


def _device() -> str:
    if tf.config.list_logical_devices("GPU"):
        return "GPU"
    return "XLA" if compiled_by_xla() else "CPU"


def _forward(scheme: Scheme, batch: int, by: Library) -> float:
    return forward_cost(scheme.steps or (), batch, by)


def _step(scheme: Scheme, batch: int, by: Library) -> float:
    return _training(scheme, scheme, scheme, batch, by)


@functools.lru_cache(maxsize=4096)
def _training(forward: Scheme, inputs: Scheme, kernel: Scheme, batch: int, by: Library) -> float:
    """Return the cost of a training step by these schemes."""
    known = kernel is forward and forward.lots(batch) == 1  # lots are folded again
    return (
        forward_cost(forward.steps or (), batch, by)
        + inputs_gradient_cost(inputs.steps or (), batch, by)
        + kernel_gradient_cost(kernel.steps or (), batch, by, known=known, alone=kernel is not inputs)
    )
