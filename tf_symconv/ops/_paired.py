"""Filters in pairs of reflections: flip banks and group convolutions.

The outputs of a pair are ``u + v`` and ``u - v``, where ``u`` and ``v`` come from kernels of one parity each, which
fold. Where the reflection also pairs the input channels, their sums ``s`` and differences ``d`` make them:
``u = even(s) + odd(d)`` and ``v = even(d) + odd(s)``, each with half the filters and half the channels.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf

from tf_symconv.kernels import KernelMap, Pairs, Ties
from tf_symconv.libraries import Op
from tf_symconv.ops._bilinear import assemble
from tf_symconv.ops._cost import Step
from tf_symconv.ops._forms import Form, Problem
from tf_symconv.ops._layout import concat, reshape_examples, sizes_of
from tf_symconv.ops._products import PairedSpreadToBoth, SpreadToBoth, has_products
from tf_symconv.ops._scheme import Apply, Kernels, Scheme, outputs_of, parity_forms, parity_part, parting, scheme


def paired_schemes(kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem) -> list[Scheme]:
    """Return the schemes of a kernel whose filters come in pairs of reflections along some axis."""
    found = [kernel_map.pairs(kernel_shape, axis) if size > 1 else None for axis, size in enumerate(kernel_shape[:-2])]
    schemes = []
    for axis, pairs in enumerate(found):
        if pairs is not None and pairs.inputs is None:
            schemes += _of_images(kernel_map, kernel_shape, problem, axis, pairs)
        elif pairs is not None and pairs.inputs is not None:
            schemes += _of_group_maps(kernel_map, kernel_shape, problem, axis, pairs.filters, pairs.inputs)
    if len(found) == 2 and has_products(problem):
        schemes += _along_both(kernel_map, kernel_shape, problem, *found)
    return schemes


def _of_images(
    kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem, axis: int, pairs: Pairs
) -> list[Scheme]:
    """Return the schemes for inputs whose channels stay as they are: ``u`` is even, ``v`` odd."""
    half = dataclasses.replace(problem, filters=problem.filters // 2)
    first = _firsts(pairs.filters)
    matrix = _signs(first, pairs.filters)

    def weigh(latent: tf.Tensor, dtype: tf.DType) -> Kernels:
        kernel = tf.gather(tf.cast(kernel_map.expand(latent, kernel_shape), dtype), first, axis=-1)
        return tuple(parity_part(kernel, (axis,), (sign,)) for sign in (1, -1))

    def apply_by(forms: Sequence[Form]) -> Apply:
        return lambda inputs, parts: _joined(
            [form(inputs, part) for form, part in zip(forms, parts, strict=True)], matrix
        )

    return [
        scheme(f"pairs, {forms[0].name}", weigh, apply_by(forms), forms, *_joining(problem), *parting(kernel_shape))
        for forms in zip(*(parity_forms(half, (axis,), (sign,)) for sign in (1, -1)), strict=True)
    ]


def _of_group_maps(
    kernel_map: KernelMap,
    kernel_shape: tuple[int, ...],
    problem: Problem,
    axis: int,
    filters: np.ndarray,
    inputs: np.ndarray,
) -> list[Scheme]:
    """Return the schemes for inputs whose channels are paired as well."""
    quarter = dataclasses.replace(problem, channels=problem.channels // 2, filters=problem.filters // 2)
    first, channel = _firsts(filters), _firsts(inputs)
    partner = inputs[channel]
    of_outputs = 0.5 * _signs(first, filters)
    sums, differences = np.split(_signs(channel, inputs).T, 2, axis=1)

    def weigh(latent: tf.Tensor, dtype: tf.DType) -> Kernels:
        kernel = tf.gather(tf.cast(kernel_map.expand(latent, kernel_shape), dtype), first, axis=-1)
        one, other = (tf.gather(kernel, channels, axis=-2) for channels in (channel, partner))
        return tuple(
            parity_part(part, (axis,), (sign,))
            for part, sign in ((one + other, 1), (one - other, -1), (one - other, 1), (one + other, -1))
        )

    def apply_by(even: Form, odd: Form) -> Apply:
        def apply(inputs: tf.Tensor, parts: Kernels) -> tf.Tensor:
            s, d = (_times(inputs, matrix) for matrix in (sums, differences))
            u = tf.add_n([even(s, parts[0]), odd(d, parts[1])])
            v = tf.add_n([even(d, parts[2]), odd(s, parts[3])])
            return _joined([u, v], of_outputs)

        return apply

    half = problem.inputs // 2
    splitting = [Step(half * problem.channels, 2 * half, half, Op.SUM)] * 2
    outputs = outputs_of(quarter)
    adding = [Step(0, 2 * outputs, outputs, Op.SUM)] * 2
    return [
        scheme(
            f"pairs, {even.name}",
            weigh,
            apply_by(even, odd),
            [even, odd, even, odd],
            *splitting,
            *adding,
            *_joining(problem),
            *parting(kernel_shape),
        )
        for even, odd in zip(*(parity_forms(quarter, (axis,), (sign,)) for sign in (1, -1)), strict=True)
    ]


def _along_both(
    kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem, down: Pairs | None, across: Pairs | None
) -> list[Scheme]:
    """Return the scheme of filters in fours.

    Columns fold by parity; a filter and its up-down reflection share their products.
    """
    if down is None or across is None:
        return []
    filters = _fours(down.filters, across.filters)
    if filters is None:
        return []
    if down.inputs is None or across.inputs is None:
        return _fours_of_images(kernel_map, kernel_shape, problem, filters)
    channels = _fours(down.inputs, across.inputs)
    return [] if channels is None else _fours_of_group_maps(kernel_map, kernel_shape, problem, filters, channels)


def _fours(down: np.ndarray, across: np.ndarray) -> np.ndarray | None:
    """Return the fours that two reflections make, None where they make none.

    Integers of shape ``(2, 2, n)``: member ``[i, j]`` is reflected ``i`` times up-down and ``j`` times left-right.
    """
    images = np.stack([np.arange(len(down)), across, down, down[across]])
    first = np.flatnonzero(images.argmin(0) == 0)
    return images[:, first].reshape(2, 2, -1) if 4 * len(first) == len(down) else None


def _fours_of_images(
    kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem, filters: np.ndarray
) -> list[Scheme]:
    fourth = dataclasses.replace(problem, filters=filters.shape[-1])
    rows, columns = (axis.kernel for axis in problem.axes)
    forms = [SpreadToBoth(fourth, [Ties.none(rows), Ties.mirrored(columns, sign)]) for sign in (1, -1)]
    matrices = _from_fours(filters)

    def weigh(latent: tf.Tensor, dtype: tf.DType) -> Kernels:
        kernel = tf.gather(tf.cast(kernel_map.expand(latent, kernel_shape), dtype), filters[0, 0], axis=-1)
        return tuple(parity_part(kernel, (1,), (sign,)) for sign in (1, -1))

    def apply(inputs: tf.Tensor, parts: Kernels) -> tf.Tensor:
        halves = [form(inputs, part) for form, part in zip(forms, parts, strict=True)]
        return _assembled(halves, matrices, problem)

    return [scheme(f"fours, {forms[0].name}", weigh, apply, forms, *_joining(problem), *parting(kernel_shape))]


def _fours_of_group_maps(
    kernel_map: KernelMap, kernel_shape: tuple[int, ...], problem: Problem, filters: np.ndarray, channels: np.ndarray
) -> list[Scheme]:
    count = channels.shape[-1]
    fourth = dataclasses.replace(problem, channels=count, filters=filters.shape[-1])
    # Sums and differences of the fours of channels: by the sign of the up-down reflection, then of the other.
    split = np.einsum("ia,jb->ijab", *[np.array([[1, 1], [1, -1]], np.float32)] * 2)
    splitting = np.zeros((2, 2, problem.channels, count), np.float32)
    for a, b in np.ndindex(2, 2):
        splitting[:, :, channels[a, b], np.arange(count)] = split[:, :, a, b, None]
    forms = [[PairedSpreadToBoth(fourth, even, sign) for sign in (1, -1)] for even in (0, 1)]
    matrices = 0.25 * _from_fours(filters)

    def weigh(latent: tf.Tensor, dtype: tf.DType) -> Kernels:
        kernel = tf.gather(tf.cast(kernel_map.expand(latent, kernel_shape), dtype), filters[0, 0], axis=-1)
        members = [[tf.gather(kernel, channels[a, b], axis=-2) for b in (0, 1)] for a in (0, 1)]
        parts = []
        for even in (0, 1):
            for down in (1, -1):
                of_rows = [members[0][b] + down * members[1][b] for b in (0, 1)]
                pictures = (of_rows[0] + of_rows[1], of_rows[0] - of_rows[1])
                halves = [parity_part(pictures[even], (1,), (1,)), parity_part(pictures[1 - even], (1,), (-1,))]
                parts.append(tf.concat(halves, 1))
        return tuple(parts)

    def apply(inputs: tf.Tensor, parts: Kernels) -> tf.Tensor:
        batch, rows, columns, _ = sizes_of(inputs)
        points = tf.reshape(inputs, [batch, 1, rows * columns, problem.channels])
        pictures = []
        for matrix in splitting:
            pair = tf.matmul(points, tf.constant(matrix[None], inputs.dtype))
            pictures.append(tf.transpose(tf.reshape(pair, [batch, 2, rows, columns, count]), (0, 2, 1, 3, 4)))
        halves = [
            tf.add_n(
                [
                    form(picture, parts[2 * even + i])
                    for i, (form, picture) in enumerate(zip(both, pictures, strict=True))
                ]
            )
            for even, both in enumerate(forms)
        ]
        return _assembled(halves, matrices, problem)

    half = problem.inputs // 2
    outputs = outputs_of(problem) // 2
    splitting_steps = [Step(half * problem.channels, 2 * half, half, Op.SUM), Step(0, half, half)] * 2
    adding = [Step(0, 2 * outputs, outputs, Op.SUM)] * 2
    every = [form for both in forms for form in both]
    return [
        scheme(
            f"fours, {every[0].name}",
            weigh,
            apply,
            every,
            *splitting_steps,
            *adding,
            *_joining(problem),
            *parting(kernel_shape),
        )
    ]


def _from_fours(filters: np.ndarray) -> np.ndarray:
    """Return the matrices from the outputs of halves to those of all filters, shape ``(4, n, filters)``.

    Even outputs of the filters and of their up-down reflections come first, then odd ones.
    """
    count = filters.shape[-1]
    matrices = np.zeros((2, 2, count, filters.size), np.float32)
    for down, across in np.ndindex(2, 2):
        matrices[:, down, np.arange(count), filters[down, across]] = [[1], [1 - 2 * across]]
    return matrices.reshape(4, count, -1)


def _assembled(halves: list[tf.Tensor], matrices: np.ndarray, problem: Problem) -> tf.Tensor:
    shape = [*(axis.outputs(axis.size) for axis in problem.axes), problem.filters]
    return reshape_examples(assemble(concat(halves, 1), matrices), shape)


def _firsts(images: np.ndarray) -> np.ndarray:
    """Return the first of each pair."""
    return np.flatnonzero(images > np.arange(len(images)))


def _signs(first: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the matrix from sums and differences to the members of the pairs: ``u + v`` and ``u - v``."""
    places = np.arange(len(first))
    matrix = np.zeros((2, len(first), len(images)), np.float32)
    matrix[:, places, first] = 1
    matrix[:, places, images[first]] = [[1], [-1]]
    return matrix.reshape(-1, len(images))


def _joined(halves: Sequence[tf.Tensor], matrix: np.ndarray) -> tf.Tensor:
    return _times(concat(halves, -1), matrix)


def _times(inputs: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """Multiply the channels by a matrix."""

    @tf.custom_gradient
    def run(inputs: tf.Tensor) -> Any:
        *shape, channels = sizes_of(inputs)
        product = tf.matmul(tf.reshape(inputs, [-1, channels]), tf.constant(matrix, inputs.dtype))
        return tf.reshape(product, [*shape, matrix.shape[1]]), lambda dy: _times(dy, matrix.T)

    return cast(Any, run)(inputs)


def _joining(problem: Problem) -> list[Step]:
    """Return the steps that make the outputs from those of their halves."""
    outputs = outputs_of(problem)
    return [Step(0, outputs, outputs, Op.SUM), Step(outputs * problem.filters, outputs, outputs, Op.SUM)]
