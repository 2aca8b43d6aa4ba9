"""What folding is told of a structure holds for every kernel of it."""

import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import kernels

PAIRED = {
    "bank h": (kernels.FlipBank({"h": 8}), (3, 4, 2, 8), [False, True]),
    "bank hv": (kernels.FlipBank({"hv": 8}), (3, 3, 2, 8), [True, True]),
    "bank with free filters": (kernels.FlipBank({"hv": 4}), (3, 3, 2, 8), [False, False]),
    "lift c4": (kernels.GroupLift("c4"), (3, 3, 2, 8), [False, False]),
    "lift d4": (kernels.GroupLift("d4"), (4, 4, 2, 16), [True, True]),
    "regular v": (kernels.GroupRegular("v"), (3, 2, 4, 6), [True, False]),
    "regular d4": (kernels.GroupRegular("d4"), (3, 3, 16, 8), [True, True]),
    "mirror": (kernels.Mirror("hv"), (3, 3, 2, 8), [False, False]),
}


def expanded(kernel_map: kernels.KernelMap, shape: tuple[int, ...]) -> np.ndarray:
    latent = np.random.default_rng(0).normal(size=kernel_map.latent_shape(shape))
    return np.asarray(kernel_map.expand(tf.constant(latent, tf.float32), shape))


@pytest.mark.parametrize("name", PAIRED)
def test_reversing_an_axis_exchanges_the_members_of_its_pairs(name: str) -> None:
    kernel_map, shape, expected = PAIRED[name]
    kernel = expanded(kernel_map, shape)
    for axis, paired in enumerate(expected):
        pairs = kernel_map.pairs(shape, axis)
        assert (pairs is not None) == paired
        if pairs is None:
            continue
        assert sorted(pairs.filters) == list(range(shape[-1]))
        assert not np.any(pairs.filters == np.arange(shape[-1]))
        channels = np.arange(shape[-2]) if pairs.inputs is None else pairs.inputs
        assert (pairs.inputs is not None) == isinstance(kernel_map, kernels.GroupRegular)
        np.testing.assert_array_equal(kernel[:, :, channels][..., pairs.filters], np.flip(kernel, axis))


@pytest.mark.parametrize(
    ("kernel_map", "shape"),
    [
        (kernels.Mirror("v"), (5, 4, 2, 3)),
        (kernels.Mirror("hv", ("odd", "even")), (4, 5, 2, 3)),
        (kernels.Tile((3, 1)), (6, 4, 2, 3)),
        (kernels.Pattern("A.A/B.B"), (2, 3, 2, 3)),
        (kernels.Circular(), (5, 5, 2, 3)),
        (kernels.Rotational(2), (3, 3, 2, 3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, kernels.KernelMap) else "",
)
def test_slices_are_the_signed_copies_that_their_ties_name(
    kernel_map: kernels.KernelMap, shape: tuple[int, ...]
) -> None:
    kernel = expanded(kernel_map, shape)
    for axis, ties in enumerate(kernel_map.ties(shape[:2])):
        smaller = np.take(kernel, ties.representatives, axis)
        np.testing.assert_array_equal(np.moveaxis(np.tensordot(ties.matrix, smaller, (1, axis)), 0, axis), kernel)


@pytest.mark.parametrize("group", ["c4", "d4", "hv"])
def test_the_gradient_of_group_kernels_adds_up_all_copies(group: str) -> None:
    kernel_map, shape = kernels.GroupRegular(group), (3, 3, 16, 16)
    latent_shape = kernel_map.latent_shape(shape)
    count = int(np.prod(latent_shape))
    columns = [
        np.asarray(kernel_map.expand(tf.reshape(tf.one_hot(i, count), latent_shape), shape)).ravel()
        for i in range(0, count, 97)
    ]
    upstream = np.random.default_rng(1).normal(size=shape).astype("float32")
    latent = tf.random.stateless_normal(latent_shape, (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(latent)
        kernel = kernel_map.expand(latent, shape)
    gradient = np.asarray(tape.gradient(kernel, latent, output_gradients=tf.constant(upstream))).ravel()[::97]
    np.testing.assert_allclose(gradient, np.stack(columns) @ upstream.ravel(), rtol=1e-4, atol=1e-5)
