"""A convolution computed by the schemes that were chosen for it, a few examples at a time."""

from collections.abc import Callable
from typing import Any, cast

import tensorflow as tf

from tf_symconv.ops._axes import NARROW
from tf_symconv.ops._bilinear import pull_back
from tf_symconv.ops._layout import known_sizes
from tf_symconv.ops._order import after, in_turn, join, of_inputs_alone
from tf_symconv.ops._plan import Choice
from tf_symconv.ops._scheme import Kernels, Scheme
from tf_symconv.ops._setting import compiled_by_xla, kernels_are_constant


def run(choice: Choice, inputs: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
    """Compute a convolution by the schemes chosen; ``inputs`` are channels last.

    Large folded schemes take a few examples at a time, so that folded inputs, several times as large as the inputs,
    need little memory at once; the gradient folds again. A batch of unknown size is cut up where it has an example for
    each lot. Second derivatives take all examples at once.
    """
    parts = (choice.forward, choice.inputs_gradient, choice.kernel_gradient)
    lots = {scheme: _lots(choice, scheme, known_sizes(inputs)[0]) for scheme in parts}
    if lots == {choice.forward: 1}:
        return choice.forward.run(inputs, latent)

    def outputs(kernels: Kernels, some: tf.Tensor) -> list[tf.Tensor]:
        return [choice.forward.apply(some, kernels)]

    def of_kernels(kernels: Kernels, some: tf.Tensor, dys: tf.Tensor) -> list[tf.Tensor]:
        return pull_back(lambda *kernels: choice.kernel_gradient.apply(some, kernels), kernels, dys)

    def of_inputs(kernels: Kernels, some: tf.Tensor, dys: tf.Tensor) -> list[tf.Tensor]:
        with of_inputs_alone():
            return pull_back(lambda some: choice.inputs_gradient.apply(some, kernels), (some,), dys)

    def of_both(kernels: Kernels, some: tf.Tensor, dys: tf.Tensor) -> list[tf.Tensor]:
        apply = choice.inputs_gradient.apply
        return pull_back(lambda some, *kernels: apply(some, kernels), (some, *kernels), dys)

    def taken(
        scheme: Scheme, function: Callable[..., list[tf.Tensor]], latent: tf.Tensor, joined: int, *tensors: tf.Tensor
    ) -> list[tf.Tensor]:
        """Return what the function makes of all lots: so many results are joined, the others added up.

        No gradient goes through it: those who call it know theirs.
        """
        weights, *examples = (tf.stop_gradient(tensor) for tensor in (latent, *tensors))

        def cut(count: int) -> list[tf.Tensor]:
            kernels = scheme.weigh(weights, examples[0].dtype)
            made = in_turn(lambda *some: function(kernels, *some), count, scheme.at_once(), *examples)
            results = enumerate(zip(*made, strict=True))
            return [join(some) if place < joined else tf.add_n(some) for place, some in results]

        count = lots[scheme]
        if count == 1 or known_sizes(examples[0])[0] is not None or compiled_by_xla():
            return cut(count)
        # No lot may be empty: stock convolutions give those a wrong shape, but for those of XLA.
        return cast(Any, tf.cond(tf.shape(examples[0])[0] >= count, lambda: cut(count), lambda: cut(1)))

    @tf.custom_gradient
    def gradients(inputs: tf.Tensor, latent: tf.Tensor, dy: tf.Tensor) -> Any:
        if choice.kernel_gradient is not choice.forward:
            # It folds anew, and not before its time: the folded inputs of the forward pass are gone by then.
            inputs = after(inputs, dy)
        if choice.inputs_gradient is choice.kernel_gradient:
            to_inputs, *to_kernels = taken(choice.inputs_gradient, of_both, latent, 1, inputs, dy)
        else:
            to_kernels = taken(choice.kernel_gradient, of_kernels, latent, 0, inputs, dy)
            # One after the other, they have caches and memory to themselves; the gradient of a kernel of few channels
            # leaves a core idle, though. TensorFlow leaves out what is waited for and not wanted, as the gradient of a
            # frozen kernel; XLA would compute it.
            together = compiled_by_xla() or known_sizes(inputs)[-1] < NARROW
            dys = dy if together else after(dy, *to_kernels)
            (to_inputs,) = taken(choice.inputs_gradient, of_inputs, latent, 1, inputs, dys)
        scheme = choice.kernel_gradient
        (to_latent,) = pull_back(lambda latent: scheme.weigh(latent, inputs.dtype), (latent,), to_kernels)

        def second(*upstream: tf.Tensor) -> list[tf.Tensor]:
            def first(inputs: tf.Tensor, latent: tf.Tensor, dy: tf.Tensor) -> list[tf.Tensor]:
                return pull_back(scheme.run, (inputs, latent), dy)

            return pull_back(first, (inputs, latent, dy), list(upstream))

        return (to_inputs, to_latent), second

    @tf.custom_gradient
    def convolution(inputs: tf.Tensor, latent: tf.Tensor) -> Any:
        (made,) = taken(choice.forward, outputs, latent, 1, inputs)
        return made, lambda dy: gradients(inputs, latent, dy)

    return cast(Any, convolution)(inputs, latent)


def _lots(choice: Choice, scheme: Scheme, batch: int | None) -> int:
    """Return in how many lots the examples are taken."""
    whole = batch is None and kernels_are_constant()
    return 1 if whole or batch == 0 or scheme is choice.dense else scheme.lots(batch)
