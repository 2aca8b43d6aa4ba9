"""The choice between the schemes of a convolution: by cost, for inference and for each part of a training step."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, final

import tensorflow as tf

from tf_symconv.libraries import ONEDNN, Library, current
from tf_symconv.ops._cost import forward_cost, inputs_gradient_cost, kernel_gradient_cost
from tf_symconv.ops._scheme import Scheme
from tf_symconv.ops._setting import compiled_by_xla, kernels_are_constant

IMPLEMENTATIONS = ("auto", "dense", "folded")
#: A folded scheme is taken where its predicted cost is at most this share of the dense one's.
MARGIN = 0.88
#: What another scheme for a part of a training step has to save: it shares nothing that the others keep.
_APART = 0.02
#: The batch sizes that stand for one that is not known: a scheme must pay for both.
_BATCHES = (1, 32)

Trio: TypeAlias = tuple[Scheme, Scheme, Scheme]


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
            forward pass in inference.
        forward: The scheme of the forward pass in inference.
        training_forward: The scheme of the forward pass in a training step.
        inputs_gradient: The scheme of the gradient with respect to the inputs, in such a step.
        kernel_gradient: The scheme of the gradient with respect to the latent, in such a step.
        dense_multiplications: Those of one example with the full kernel, forward; None where a size is not known.
        multiplications: Those of the scheme of the forward pass in inference, its folding matrices included.
        forward_cost: The predicted cost of the forward pass in inference, as a share of the dense one's; None where a
            size is not known.
        training_cost: The same for a training step: the forward pass and both gradients.
        reason: Why, in words, and for which library.
    """

    implementation: str
    forward: str
    training_forward: str
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
        return cls("dense", "dense", "dense", "dense", "dense", multiplications, multiplications, 1.0, 1.0, reason)


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

    @property
    def trio(self) -> Trio:
        """The schemes of the forward pass and of the gradients with respect to the inputs and to the latent."""
        return self.forward, self.inputs_gradient, self.kernel_gradient


def plan_of(inference: Choice, training: Choice) -> Plan:
    """Return in words and numbers what was chosen for inference and for training steps."""
    dense, batch, by = inference.dense, inference.batches[-1], inference.library
    known = dense.steps is not None
    return Plan(
        inference.forward.implementation,
        inference.forward.name,
        *(scheme.name for scheme in training.trio),
        dense_multiplications=dense.multiplications,
        multiplications=inference.forward.multiplications,
        forward_cost=_forward(inference.forward, batch, by) / _forward(dense, batch, by) if known else None,
        training_cost=_training(training.trio, batch, by) / _training(_alike(dense), batch, by) if known else None,
        reason=inference.reason,
    )


def choose(
    schemes: Sequence[Scheme], implementation: str, batch: int | None, device: str, *, training: bool = False
) -> Choice:
    """Choose the schemes by which a convolution is computed.

    Args:
        schemes: The dense scheme, then the others.
        implementation: ``"dense"``; ``"folded"``: the cheapest of the folded schemes, the dense one where there is
            none; ``"auto"``: the cheapest by the cost model, on a CPU and for sizes that are known, else the dense one.
            Forward pass and gradients are chosen apart where the convolution is linear.
        batch: The number of examples; None where it is known only at run time.
        device: ``"CPU"``, ``"XLA"`` (a CPU, compiled by XLA), ``"GPU"``, ...
        training: Whether it is a training step as a whole that shall be cheap. If not, the forward pass shall, and
            gradients, if somebody takes them, as far as it allows.
    """
    batches = _BATCHES if batch is None else (max(batch, 1),)
    schemes = [scheme for scheme in schemes if batch or scheme.for_none]
    # XLA takes as long for minimal filtering as for the dense convolution.
    schemes = [scheme for scheme in schemes if device == "CPU" or scheme.implementation != "winograd"]
    dense, *others = schemes
    # XLA convolves by itself, with either library about as oneDNN does, for which its plans were measured.
    by = ONEDNN if device == "XLA" else current()
    reason = f"the least predicted cost with {'XLA' if device == 'XLA' else by.title}"
    folded = [scheme for scheme in others if scheme.implementation == "folded"]

    def same(scheme: Scheme, reason: str) -> Choice:
        return Choice(dense, *_alike(scheme), reason, batches, by)

    def worst(cost: Callable[[Any, int, Library], float], ours: Any, theirs: Any) -> float:
        return max(cost(ours, n, by) / cost(theirs, n, by) for n in batches)

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
            return [worst(cost, scheme, dense) for cost in counted]

        best = min(trained, key=lambda scheme: sum(costs(scheme)))
        return same(best if max(costs(best)) <= MARGIN else dense, reason)

    able = trained if len(trained) > 1 else schemes
    forward = min(able, key=lambda scheme: worst(_forward, scheme, dense))
    if worst(_forward, forward, dense) > MARGIN:
        forward = dense

    def cheapest(forwards: Sequence[Scheme], theirs: Trio) -> Trio:
        """Return the cheapest way to train with one of these forward passes, as a share of the cost of theirs."""
        trios = itertools.product(forwards, trained, trained)
        return min(trios, key=lambda trio: worst(_training, trio, theirs) * (1 + _APART * len(set(trio))))

    alone = (forward, dense, dense)
    trio = cheapest([forward], alone)
    if worst(_training, trio, alone) > MARGIN:
        shared = forward in trained and worst(_training, _alike(forward), alone) <= 1
        trio = _alike(forward) if shared else alone
    if training and by.own_forward < 1:
        own = cheapest(trained, _alike(dense))
        saved = 1 - worst(_training, own, trio)
        if own[0] is not forward and saved >= by.own_forward and worst(_training, own, _alike(dense)) <= MARGIN:
            trio = own
    return Choice(dense, *trio, reason, batches, by)


def device_seen() -> str:
    """Return the device that TensorFlow computes on here: see :func:`choose`."""
    if tf.config.list_logical_devices("GPU"):
        return "GPU"
    return "XLA" if compiled_by_xla() else "CPU"


def _alike(scheme: Scheme) -> Trio:
    return scheme, scheme, scheme


def _step(scheme: Scheme, batch: int, by: Library) -> float:
    return _training(_alike(scheme), batch, by)


def _training(trio: Trio, batch: int, by: Library) -> float:
    """Return the cost of a training step by these schemes."""
    forward, inputs, kernel = trio
    known = kernel is forward and forward.lots(batch) == 1  # lots are folded again
    of_kernel = _kernel_gradient(kernel, batch, by, known, kernel is not inputs)
    return _forward(forward, batch, by) + _inputs_gradient(inputs, batch, by) + of_kernel


@functools.lru_cache(maxsize=1024)
def _forward(scheme: Scheme, batch: int, by: Library) -> float:
    return forward_cost(scheme.steps or (), batch, by)


@functools.lru_cache(maxsize=1024)
def _inputs_gradient(scheme: Scheme, batch: int, by: Library) -> float:
    return inputs_gradient_cost(scheme.steps or (), batch, by)


@functools.lru_cache(maxsize=4096)
def _kernel_gradient(scheme: Scheme, batch: int, by: Library, known: bool, alone: bool) -> float:
    return kernel_gradient_cost(scheme.steps or (), batch, by, known=known, alone=alone)
