"""How a structured convolution can be computed: densely, or folded in one of several forms.

A scheme takes inputs, channels last, and the latent. The first scheme of a list is always the dense one.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import KernelMap, Pairs, Ties
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import Dense, Form, Problem, forms_of, whole_forms
from tf_symconv.ops._twins import reduce_twins

Run = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Scheme:
    """One way to compute a convolution with a structured kernel.

    Args:
        name: What it does, in a word or two.
        run: Takes inputs, channels last, and the latent.
        steps: The work for one example; None where sizes are not known.
    """

    name: str
    run: Run
    steps: tuple[Step, ...] | None

    @property
    def multiplications(self) -> int | None:
        """The multiplications for one example, those with folding matrices included."""
        return None if self.steps is None else sum(step.multiplications for step in self.steps)


@functools.lru_cache(maxsize=1024)
def schemes_of(kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem) -> tuple[Scheme, ...]:
    """Return the schemes of a convolution with one structured kernel."""
    dense = Dense(problem)

    def run_dense(inputs: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        return dense(inputs, tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype))

    def folded(form: Form) -> Run:
        def run(inputs: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
            return form(inputs, tf.cast(kernel_map.cells(latent, kernel_shape, form.places), inputs.dtype))

        return run

    schemes = [_scheme(dense.name, run_dense, [dense])]
    spatial = kernel_shape[:-2]
    schemes += [_scheme(form.name, folded(form), [form]) for form in forms_of(problem, kernel_map.ties(spatial))]
    if kernel_map.point_symmetric(spatial):
        schemes += _point_symmetric(kernel_map, kernel_shape, problem)
    for axis in range(len(spatial)):
        pairs = kernel_map.pairs(kernel_shape, axis)
        if pairs is not None and problem.groups == 1:
            schemes += _paired(kernel_map, kernel_shape, problem, axis, pairs)
    return tuple(schemes)


@functools.lru_cache(maxsize=512)
def twin_schemes_of(
    kernel_map: KernelMap,
    kernel_shape: tuple[int, ...],
    problem: Problem,
    flipped_axes: tuple[int, ...],
    reduction: str,
) -> tuple[Scheme, ...]:
    """Return the schemes of a convolution with every filter and with its flip, reduced pairwise."""
    dense = Dense(problem)
    outputs = problem.points * problem.filters if _known(problem) else 0
    wide = 2 if reduction == "concat" else 1
    reducing = Step(0, 2 * outputs, wide * outputs)

    def run_dense(inputs: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        kernel = tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype)
        flipped = tf.reverse(kernel, list(flipped_axes))
        return reduce_twins(dense(inputs, kernel), dense(inputs, flipped), reduction, "channels_last")

    schemes = [_scheme(dense.name, run_dense, [dense, dense], reducing)]
    sign_choices = list(itertools.product((1, -1), repeat=len(flipped_axes)))
    wanted = [signs for signs in sign_choices if not (reduction in ("sum", "mean") and np.prod(signs) < 0)]
    if any(_half(kernel_shape[axis], sign) == 0 for axis in flipped_axes for sign in (1, -1)):
        return tuple(schemes)
    forms = [_parity_forms(problem, flipped_axes, signs) for signs in wanted]
    for chosen in zip(*forms, strict=True):

        def run(inputs: tf.Tensor, latent: tf.Tensor, chosen: Sequence[Form] = chosen) -> tf.Tensor:
            kernel = tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype)
            even: list[tf.Tensor] = []
            odd: list[tf.Tensor] = []
            for form, signs in zip(chosen, wanted, strict=True):
                part = form(inputs, _parity_part(kernel, flipped_axes, signs))
                (even if np.prod(signs) > 0 else odd).append(part)
            total = tf.add_n(even)
            if reduction == "sum":
                return 2.0 * total
            if reduction == "mean":
                return total
            rest = tf.add_n(odd)
            if reduction == "concat":
                return tf.concat([total + rest, total - rest], -1)
            return total + tf.abs(rest) if reduction == "max" else total - tf.abs(rest)

        schemes.append(_scheme(chosen[0].name, run, chosen, reducing))
    return tuple(schemes)


def _point_symmetric(kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem) -> list[Scheme]:
    """Return the schemes of kernels that equal their half turn: the even-even and the odd-odd part fold apart."""
    axes = tuple(range(len(kernel_shape) - 2))
    choices = [(1, 1)] if min(kernel_shape[:-2]) == 1 else [(1, 1), (-1, -1)]
    forms = [_parity_forms(problem, axes, signs) for signs in choices]
    outputs = problem.points * problem.filters if _known(problem) else 0
    schemes = []
    for chosen in zip(*forms, strict=True):

        def run(inputs: tf.Tensor, latent: tf.Tensor, chosen: Sequence[Form] = chosen) -> tf.Tensor:
            kernel = tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype)
            return tf.add_n(
                [form(inputs, _parity_part(kernel, axes, signs)) for form, signs in zip(chosen, choices, strict=True)]
            )

        schemes.append(_scheme(chosen[0].name, run, chosen, Step(0, 2 * outputs, outputs)))
    return schemes


def _paired(
    kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem, axis: int, pairs: Pairs
) -> list[Scheme]:
    """Return the schemes of filters in pairs of reflections: the outputs of a pair are ``E + O`` and ``E - O``."""
    if kernel_shape[axis] < 2:
        return []
    half = dataclasses.replace(problem, filters=problem.filters // 2)
    forms = [_parity_forms(half, (axis,), (sign,)) for sign in (1, -1)]
    outputs = problem.points * problem.filters if _known(problem) else 0
    order = np.argsort(np.concatenate([pairs.first, pairs.second]))
    ordered = np.array_equal(order, np.arange(len(order)))
    schemes = []
    for even, odd in zip(*forms, strict=True):

        def run(inputs: tf.Tensor, latent: tf.Tensor, even: Form = even, odd: Form = odd) -> tf.Tensor:
            kernel = tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype)
            firsts = tf.gather(kernel, pairs.first, axis=-1)
            total = even(inputs, _parity_part(firsts, (axis,), (1,)))
            rest = odd(inputs, _parity_part(firsts, (axis,), (-1,)))
            both = tf.concat([total + rest, total - rest], -1)
            return both if ordered else tf.gather(both, order, axis=-1)

        assembly = [Step(0, outputs, outputs), Step(0, outputs, outputs)]
        # Moving channels one by one is the slowest of the copies.
        reordering = [] if ordered else [Step(0, 2 * outputs, 2 * outputs)]
        schemes.append(_scheme(f"pairs, {even.name}", run, [even, odd], *assembly, *reordering))
    return schemes


def _parity_forms(problem: Problem, axes: Sequence[int], signs: Sequence[int]) -> list[Form]:
    """Return the forms that fold all of some axes, for kernels of these parities along them."""
    ties = [Ties.none(axis.kernel) for axis in problem.axes]
    for axis, sign in zip(axes, signs, strict=True):
        ties[axis] = Ties.mirrored(problem.axes[axis].kernel, sign)
    return whole_forms(problem, ties, axes)


def _half(size: int, sign: int) -> int:
    return (size + (sign > 0)) // 2


def _parity_part(kernel: tf.Tensor, axes: Sequence[int], signs: Sequence[int]) -> tf.Tensor:
    """Return the smaller kernel of the part of a kernel that has these parities along the axes."""
    for axis, sign in zip(axes, signs, strict=True):
        half = _half(int(kernel.shape[axis] or 0), sign)
        image = tf.reverse(kernel, [axis])
        part = kernel + image if sign > 0 else kernel - image
        kernel = 0.5 * part[(slice(None),) * axis + (slice(half),)]
    return kernel


def _known(problem: Problem) -> bool:
    return all(axis.size is not None for axis in problem.axes)


def _scheme(name: str, run: Run, forms: Sequence[Form], *more: Step) -> Scheme:
    if not _known(forms[0].problem):
        return Scheme(name, run, None)
    return Scheme(name, run, tuple(itertools.chain(*(form.steps() for form in forms), more)))
