"""The laws that every kernel map obeys, over random maps and shapes."""

import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.strategies import circles, group_maps, maps_and_shapes, mirrors, rotations, spectra
from tests.oracles import TRANSFORMS
from tf_symconv import groups, kernels

laws = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape)


def thin(structure, shape):
    """Return the shape with as few input channels as the structure allows."""
    return (*shape[:-2], getattr(structure, "inputs_per_channel", 1), shape[-1])


def expansion_matrix(structure, shape):
    """Return the matrix of the map latent -> kernel, column by column."""
    latent_shape = structure.latent_shape(shape)
    columns = [
        structure.expand(tf.constant(column.reshape(latent_shape)), shape).numpy().ravel()
        for column in np.eye(int(np.prod(latent_shape)))
    ]
    return np.stack(columns, axis=1)


@laws
@given(maps_and_shapes(), seeds)
def test_project_and_select_undo_expand(case, seed):
    structure, shape = case
    latent = normal(seed, structure.latent_shape(shape))
    kernel = structure.expand(tf.constant(latent), shape)
    assert tuple(kernel.shape) == shape
    np.testing.assert_allclose(structure.project(kernel), latent, atol=1e-9)
    np.testing.assert_allclose(structure.select(kernel), latent, atol=1e-12)


@laws
@given(maps_and_shapes(), seeds)
def test_projection_is_idempotent_and_self_adjoint(case, seed):
    structure, shape = case
    a, b = normal(seed, (2, *shape))
    pa, pb = (structure.expand(structure.project(tf.constant(k)), shape).numpy() for k in (a, b))
    np.testing.assert_allclose(structure.expand(structure.project(tf.constant(pa)), shape), pa, atol=1e-9)
    np.testing.assert_allclose(np.vdot(pa, b), np.vdot(a, pb), atol=1e-8)


@settings(laws, max_examples=40)
@given(maps_and_shapes())
def test_latent_weights_are_as_many_as_the_rank(case):
    structure, shape = case
    small = thin(structure, shape)
    matrix = expansion_matrix(structure, small)
    assert np.linalg.matrix_rank(matrix) == matrix.shape[1] == np.prod(structure.latent_shape(small))


@laws
@given(maps_and_shapes(), seeds)
def test_projection_is_the_nearest_structured_kernel(case, seed):
    structure, shape = case
    small = thin(structure, shape)
    kernel = normal(seed, small)
    best = np.linalg.lstsq(expansion_matrix(structure, small), kernel.ravel(), rcond=None)[0]
    np.testing.assert_allclose(structure.project(tf.constant(kernel)).numpy().ravel(), best, atol=1e-9)


@laws
@given(mirrors(), seeds)
def test_mirrored_kernels_equal_their_reflections(case, seed):
    mirror, shape = case
    kernel = mirror.expand(tf.constant(normal(seed, mirror.latent_shape(shape))), shape).numpy()
    parities = (mirror.parity,) * len(mirror.axes) if isinstance(mirror.parity, str) else mirror.parity
    for letter, parity in zip(mirror.axes, parities, strict=True):
        axis = len(shape) - 3 - "hvz".index(letter)
        np.testing.assert_array_equal(np.flip(kernel, axis), kernel if parity == "even" else -kernel)


@laws
@given(rotations(), seeds)
def test_rotated_kernels_equal_every_transform(case, seed):
    structure, shape = case
    kernel = structure.expand(tf.constant(normal(seed, structure.latent_shape(shape))), shape).numpy()
    plane = np.moveaxis(kernel, (-4, -3), (0, 1))
    for transform in TRANSFORMS[structure.group]:
        np.testing.assert_array_equal(transform(plane), plane)


@laws
@given(circles(), seeds)
def test_circular_kernels_depend_on_the_distance_only(case, seed):
    circular, shape = case
    kernel = circular.expand(tf.constant(normal(seed, circular.latent_shape(shape))), shape).numpy()
    by_radius = {}
    for cell in np.ndindex(*shape[:-2]):
        squared = sum((2 * i - (n - 1)) ** 2 for i, n in zip(cell, shape, strict=False))
        radius = int(np.sqrt(squared) / 2 + 0.5 + 1e-12) if circular.interpolation == "nearest" else squared
        np.testing.assert_allclose(kernel[cell], by_radius.setdefault(radius, kernel[cell]), atol=1e-12)


@laws
@given(group_maps(), seeds)
def test_group_kernels_are_invariant_under_the_joint_action(case, seed):
    structure, shape = case
    group = groups.get(structure.group)
    kernel = structure.expand(tf.constant(normal(seed, structure.latent_shape(shape))), shape).numpy()
    planes = structure.inputs_per_channel
    split = kernel.reshape(*shape[:2], shape[2] // planes, planes, shape[3] // group.order, group.order)
    for index, element in enumerate(group.elements):
        moved = group.multiplication_table[group.inverses[index]]
        turned = element(split)[..., moved]
        if planes > 1:
            turned = turned[:, :, :, moved]
        np.testing.assert_array_equal(turned, split)


@laws
@given(spectra(), seeds)
def test_spectral_kernels_have_the_spectrum_of_numpy_and_keep_angles(case, seed):
    spectral, shape = case
    a, b = normal(seed, (2, *shape))
    ka, kb = (spectral.expand(tf.constant(latent), shape).numpy() for latent in (a, b))
    np.testing.assert_allclose(np.vdot(ka, kb), np.vdot(a, b), atol=1e-9)
    axes = tuple(range(len(shape) - 2))
    expected = np.fft.rfftn(ka, axes=axes, norm="ortho")
    np.testing.assert_allclose(spectral.spectrum(tf.constant(a)), expected, atol=1e-12)


@laws
@given(maps_and_shapes())
def test_configs_survive_json_and_maps_compare_by_value(case):
    structure, shape = case
    config = json.loads(json.dumps(kernels.serialize(structure)))
    again = kernels.get(config)
    assert again == structure
    assert hash(again) == hash(structure)
    assert again.latent_shape(shape) == structure.latent_shape(shape)
    assert structure != kernels.Pattern("AB/CD")


@settings(laws, max_examples=30)
@given(maps_and_shapes(), seeds)
def test_gradients_are_dense_and_the_transpose_of_expand(case, seed):
    structure, shape = case
    latent = tf.Variable(normal(seed, structure.latent_shape(shape)))
    weight = normal(seed + 1, shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(structure.expand(latent, shape) * weight)
    gradient = tape.gradient(loss, latent)
    assert isinstance(gradient, tf.Tensor)
    np.testing.assert_allclose(np.vdot(gradient, latent.numpy()), loss, atol=1e-8)


@pytest.mark.parametrize(
    ("structure", "shape"),
    [
        (kernels.Mirror("hv"), (5, 4, 2, 3)),
        (kernels.Mirror("hv", ("odd", "even")), (3, 3, 2, 3)),
        (kernels.Rotational(4, reflect=True), (4, 4, 2, 3)),
        (kernels.Circular("linear"), (5, 5, 2, 3)),
        (kernels.Pattern("AB./CAB"), (2, 3, 2, 3)),
        (kernels.Tile((2, 1)), (4, 3, 2, 3)),
        (kernels.Spectral(), (4, 5, 2, 3)),
        (kernels.GroupLift("d4"), (3, 3, 2, 8)),
        (kernels.GroupRegular("c4"), (2, 2, 8, 4)),
        (kernels.Mix({"hv": "50%", "c4": 1}), (3, 3, 2, 4)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, kernels.KernelMap) else "x".join(map(str, value)),
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_expand_compiles_and_keeps_the_dtype(structure, shape, dtype):
    latent = tf.cast(normal(3, structure.latent_shape(shape)), dtype)
    eager = structure.expand(latent, shape)
    compiled = tf.function(lambda z: structure.expand(z, shape), jit_compile=True)(latent)
    assert eager.dtype == dtype
    np.testing.assert_allclose(tf.cast(compiled, "float64"), tf.cast(eager, "float64"), rtol=1e-2, atol=1e-2)
