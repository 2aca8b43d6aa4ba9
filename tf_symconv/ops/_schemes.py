"""How a structured convolution can be computed: densely, folded in one of several forms, or by minimal filtering.

The first scheme of a list is always the dense one.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import KernelMap
from tf_symconv.libraries import Op
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import Form, Problem
from tf_symconv.ops._paired import paired_schemes
from tf_symconv.ops._scheme import (
    Apply,
    Kernels,
    Scheme,
    Weigh,
    forms_of,
    half_of,
    outputs_of,
    parity_forms,
    parity_part,
    parting,
    scheme,
    unfolded_forms,
)
from tf_symconv.ops._twins import reduce_twins


@functools.lru_cache(maxsize=1024)
def schemes_of(kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem) -> tuple[Scheme, ...]:
    """Return the schemes of a convolution with one structured kernel."""

    def folded(form: Form) -> Weigh:
        return lambda latent, dtype: (tf.cast(kernel_map.cells(latent, kernel_shape, form.places), dtype),)

    spatial = kernel_shape[:-2]
    full = _full(kernel_map, kernel_shape)
    schemes = [scheme(form.name, full, _single(form), [form]) for form in unfolded_forms(problem)]
    schemes += [
        scheme(form.name, folded(form), _single(form), [form]) for form in forms_of(problem, kernel_map.ties(spatial))
    ]
    if kernel_map.point_symmetric(spatial):
        schemes += _point_symmetric(kernel_map, kernel_shape, problem)
    if problem.groups == 1:
        schemes += paired_schemes(kernel_map, kernel_shape, problem)
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
    outputs = outputs_of(problem)
    reducing = Step(0, 2 * outputs, (2 if reduction == "concat" else 1) * outputs)
    full = _full(kernel_map, kernel_shape)

    def both(latent: tf.Tensor, dtype: tf.DType) -> Kernels:
        (kernel,) = full(latent, dtype)
        return kernel, tf.reverse(kernel, list(flipped_axes))

    def reduced(form: Form) -> Apply:
        def apply(inputs: tf.Tensor, pair: Kernels) -> tf.Tensor:
            one, other = (form(inputs, kernel) for kernel in pair)
            return reduce_twins(one, other, reduction, "channels_last")

        return apply

    def reduced_halves(form: Form) -> Apply:
        def apply(inputs: tf.Tensor, pair: Kernels) -> tf.Tensor:
            joined = form(inputs, tf.concat(pair, -1))
            if reduction == "concat":
                return joined
            one, other = tf.split(joined, 2, -1)
            return reduce_twins(one, other, reduction, "channels_last")

        return apply

    linear = reduction not in ("max", "min")
    schemes = [
        scheme(form.name, both, reduced(form), [form, form], reducing, linear=linear)
        for form in unfolded_forms(problem)
        if form.implementation == "dense" or problem.groups > 1
    ]
    if problem.groups == 1:
        # The transform of the inputs serves both kernels.
        splitting = Step(0, 2 * outputs, 2 * outputs, Op.SUM)
        schemes += [
            scheme(form.name, both, reduced_halves(form), [form], splitting, reducing, linear=linear)
            for form in unfolded_forms(dataclasses.replace(problem, filters=2 * problem.filters))
            if form.implementation != "dense"
        ]
    choices = itertools.product((1, -1), repeat=len(flipped_axes))
    wanted = [signs for signs in choices if not (reduction in ("sum", "mean") and np.prod(signs) < 0)]
    if any(half_of(kernel_shape[axis], sign) == 0 for axis in flipped_axes for sign in (1, -1)):
        return tuple(schemes)

    def parities(latent: tf.Tensor, dtype: tf.DType) -> Kernels:
        (kernel,) = full(latent, dtype)
        if reduction == "sum":
            kernel *= 2
        return tuple(parity_part(kernel, flipped_axes, signs) for signs in wanted)

    def summed(forms: Sequence[Form]) -> Apply:
        def apply(inputs: tf.Tensor, parts: Kernels) -> tf.Tensor:
            even: list[tf.Tensor] = []
            odd: list[tf.Tensor] = []
            for form, signs, part in zip(forms, wanted, parts, strict=True):
                (even if np.prod(signs) > 0 else odd).append(form(inputs, part))
            total = tf.add_n(even)
            if not odd:
                return total
            rest = tf.add_n(odd)
            if reduction == "concat":
                return tf.concat([total + rest, total - rest], -1)
            return total + tf.abs(rest) if reduction == "max" else total - tf.abs(rest)

        return apply

    more = [Step(0, 2 * outputs, outputs, Op.SUM)] * (len(wanted) - 1) + parting(kernel_shape)
    if reduction not in ("sum", "mean"):
        more.append(reducing)
    for forms in zip(*(parity_forms(problem, flipped_axes, signs) for signs in wanted), strict=True):
        schemes.append(scheme(forms[0].name, parities, summed(forms), forms, *more, linear=linear))
    return tuple(schemes)


def _full(kernel_map: KernelMap, kernel_shape: tuple[int, ...]) -> Weigh:
    return lambda latent, dtype: (tf.cast(kernel_map.expand(latent, kernel_shape), dtype),)


def _single(form: Form) -> Apply:
    return lambda inputs, kernels: form(inputs, kernels[0])


def _point_symmetric(kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem) -> list[Scheme]:
    """Return the schemes of kernels that equal their half turn: the even-even and the odd-odd part fold apart."""
    axes = tuple(range(len(kernel_shape) - 2))
    choices = [(1, 1)] if min(kernel_shape[:-2]) == 1 else [(1, 1), (-1, -1)]
    full = _full(kernel_map, kernel_shape)
    outputs = outputs_of(problem)

    def parities(latent: tf.Tensor, dtype: tf.DType) -> Kernels:
        (kernel,) = full(latent, dtype)
        return tuple(parity_part(kernel, axes, signs) for signs in choices)

    def summed(forms: Sequence[Form]) -> Apply:
        return lambda inputs, parts: tf.add_n([form(inputs, part) for form, part in zip(forms, parts, strict=True)])

    return [
        scheme(forms[0].name, parities, summed(forms), forms, Step(0, 2 * outputs, outputs), *parting(kernel_shape))
        for forms in zip(*(parity_forms(problem, axes, signs) for signs in choices), strict=True)
    ]
