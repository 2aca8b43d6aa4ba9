"""What initialisers do to kernels and to the signal: statistics over many seeds, against figures worked out by hand."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings

from benchmarks import initialisation
from tests.kernels.strategies import maps_and_shapes
from tf_symconv import initializers, kernels, layers

SEEDS = 40
FAN_IN = 25 * 8

# Cells that no weight fills, or that blend two, are quieter than a plain kernel's: the share of the variance kept.
LINEAR_RADII = np.hypot(*np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)))
BLEND = np.interp(LINEAR_RADII, [0, 1, 2, 8**0.5], [0, 1, 2, 3]) % 1
KEPT = {
    "h, odd": np.array([1, 1, 0, 1, 1]) * np.ones((5, 1)),
    "hv, odd and even": np.array([1, 1, 0, 1, 1]) * np.ones((5, 1)),
    "circular, linear": BLEND**2 + (1 - BLEND) ** 2,
}


def kernel_of(structure, initializer, seed=0, filters=16):
    keras.utils.set_random_seed(seed)
    layer = layers.SymmetricConv2D(filters, 5, symmetry=structure, kernel_initializer=initializer)
    layer.build((None, 9, 9, 8))
    return np.asarray(layer.kernel)


@pytest.mark.parametrize(
    ("initializer", "variance"), [("he_normal", 2 / FAN_IN), ("glorot_uniform", 2 / (FAN_IN + 400))]
)
@pytest.mark.parametrize("name", initialisation.STRUCTURES)
def test_default_gives_every_cell_the_variance_of_the_stock_initialiser(name, initializer, variance):
    structure = initialisation.STRUCTURES[name]
    drawn = np.stack([kernel_of(structure, initializer, seed) for seed in range(SEEDS)])
    measured = np.mean(np.square(drawn), axis=(0, 3, 4)) / variance
    # 40 x 8 x 16 draws: the standard error of a variance is 2 %.
    np.testing.assert_allclose(measured, np.broadcast_to(KEPT.get(name, 1.0), (5, 5)), atol=0.1)
    assert abs(drawn.mean()) < 5 * np.sqrt(variance / (SEEDS * 8 * 16))


def test_default_draws_the_kernel_once_and_in_full():
    calls = []

    def initializer(shape, dtype=None):
        calls.append(tuple(shape))
        return tf.reshape(tf.range(np.prod(shape), dtype=dtype), shape)

    kernel = kernel_of("h", initializer)
    assert calls == [(5, 5, 8, 16)]
    full = np.arange(25 * 8 * 16).reshape(5, 5, 8, 16)
    np.testing.assert_array_equal(kernel[:, :3], full[:, :3])
    np.testing.assert_array_equal(kernel[:, 3:], full[:, 1::-1])


H = [2, 2, 1, 2, 2] * np.ones((5, 1))
SIZES = {
    "plain": np.ones((5, 5)),
    "h": H,
    "hv": H * H.T,
    "c4": np.where(np.arange(25).reshape(5, 5) == 12, 1, 4),
    "circular, nearest": np.array(
        [[4, 12, 12, 12, 4], [12, 8, 8, 8, 12], [12, 8, 1, 8, 12], [12, 8, 8, 8, 12], [4, 12, 12, 12, 4]]
    ),
    "rows tiled 5 times": np.full((5, 5), 5),
}


@pytest.mark.parametrize("rho", [0.0, 1 / np.pi, 0.9])
@pytest.mark.parametrize("name", SIZES)
def test_orbit_scaling_divides_by_what_tied_cells_add_up_to(name, rho):
    structure = initialisation.STRUCTURES[name]
    base = keras.initializers.HeNormal(seed=3)
    plain = kernel_of(structure, base)
    scaled = kernel_of(structure, initializers.OrbitScaling(keras.initializers.HeNormal(seed=3), rho=rho))
    m = SIZES[name][..., None, None]
    np.testing.assert_allclose(scaled, plain / np.sqrt(1 + (m - 1) * rho), rtol=1e-5)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_stationary_scaling_of_invariant_kernels_is_that_of_equal_inputs(name):
    structure = initialisation.STRUCTURES[name]
    plain = kernel_of(structure, keras.initializers.HeNormal(seed=3))
    scaled = kernel_of(structure, initializers.OrbitScaling(keras.initializers.HeNormal(seed=3)))
    np.testing.assert_allclose(scaled, plain / np.sqrt(SIZES[name][..., None, None]), rtol=5e-3)


def test_orbit_scaling_in_a_mix_scales_each_part():
    mix = {"hv": 4, "circular": 4}
    plain = kernel_of(mix, keras.initializers.HeNormal(seed=3))
    scaled = kernel_of(mix, initializers.OrbitScaling(keras.initializers.HeNormal(seed=3), rho=0.5))
    sizes = np.stack([SIZES["hv"]] * 4 + [SIZES["circular, nearest"]] * 4 + [SIZES["plain"]] * 8, axis=-1)
    np.testing.assert_allclose(scaled, plain / np.sqrt(1 + (sizes[:, :, None] - 1) * 0.5), rtol=1e-5)


def test_orbit_scaling_turns_up_kernels_of_odd_parity():
    odd = kernels.Mirror("h", "odd")
    plain = kernel_of(odd, keras.initializers.HeNormal(seed=3))
    scaled = kernel_of(odd, initializers.OrbitScaling(keras.initializers.HeNormal(seed=3), rho=0.5))
    # The common mean cancels, 1 - rho is left; a fifth of the cells is zero.
    np.testing.assert_allclose(scaled, plain * np.sqrt(25 / 20 / 0.5), rtol=1e-5)


@pytest.mark.parametrize("rho", [0.3, 0.8])
@pytest.mark.parametrize("name", initialisation.STRUCTURES)
def test_orbit_scaling_is_exact_for_inputs_of_one_correlation(name, rho):
    """The mean square of an output is that of a plain kernel: a sum over draws of the kernel, not the formula."""
    structure = initialisation.STRUCTURES[name]
    squares = []
    for seed in range(SEEDS):
        kernel = kernel_of(structure, initializers.OrbitScaling("he_normal", rho=rho), seed, filters=32)
        cells = kernel.reshape(25, 8, 32)
        correlated = np.eye(25) * (1 - rho) + rho
        squares.append(np.einsum("icf,ij,jcf->f", cells, correlated, cells))
    found = np.mean(squares, axis=0)
    # Filters of a mix differ in structure: every one of them must be right.
    np.testing.assert_allclose(found, 2.0, rtol=0.35)
    np.testing.assert_allclose(np.mean(found), 2.0, rtol=0.06)


def test_a_plain_layer_gets_the_base():
    scaled: Any = initializers.OrbitScaling(keras.initializers.GlorotNormal(seed=5), rho=0.5)
    layer = keras.layers.Conv2D(4, 3, kernel_initializer=scaled)
    layer.build((None, 8, 8, 2))
    np.testing.assert_array_equal(layer.kernel, keras.initializers.GlorotNormal(seed=5)((3, 3, 2, 4)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(maps_and_shapes().filter(lambda case: not isinstance(case[0], kernels.Spectral)))
def test_multiplicity_counts_the_cells_of_one_filter(case):
    structure, shape = case
    latent_shape = structure.latent_shape(shape)
    multiplicity = np.broadcast_to(structure.multiplicity(shape), latent_shape)
    for weight in np.random.default_rng(0).permutation(int(np.prod(latent_shape)))[:5]:
        unit = np.zeros(latent_shape)
        unit.flat[weight] = 1.0
        kernel = structure.expand(tf.constant(unit), shape).numpy()
        filters = np.count_nonzero(kernel, axis=tuple(range(kernel.ndim - 1)))
        assert multiplicity.flat[weight] == filters.max()


def test_a_spectrum_ties_no_cells():
    assert np.all(kernels.Spectral().multiplicity((5, 5, 2, 3)) == 1)
    assert np.all(kernels.orbit_scale(kernels.Spectral(), (5, 5, 2, 3), 0.5) == 1.0)


# The table of docs/initialisation.md, growth per layer, with room for the smaller stacks of this test.
@pytest.mark.parametrize(
    ("way", "name", "low", "high"),
    [
        *[("stationary", name, 0.7, 1.1) for name in initialisation.STRUCTURES],
        ("default", "hv", 2.0, 3.2),
        ("default", "circular, nearest", 5.0, 9.0),
        ("rho=1/pi", "hv", 1.3, 2.0),
        ("rho=1/pi", "circular, nearest", 1.6, 2.6),
        ("default", "plain", 0.8, 1.05),
        ("default", "h, odd", 0.55, 0.75),
    ],
)
def test_growth_per_layer_is_what_the_documentation_says(way, name, low, high):
    logs = []
    for seed in range(6):
        keras.utils.set_random_seed(seed)
        inputs = np.random.default_rng(seed).normal(size=(2, 24, 24, 32))
        structure, make = initialisation.STRUCTURES[name], initialisation.WAYS[way]
        logs.append(np.log(initialisation.variances(structure, make, inputs, 8, 32)))
    mean = np.mean(logs, axis=0)
    assert low < np.exp((mean[-1] - mean[3]) / 4) < high


def test_scaled_layers_are_saved_with_their_initialiser(tmp_path):
    layer = layers.SymmetricConv2D(4, 3, kernel_initializer=initializers.OrbitScaling("he_uniform", rho=0.25))
    model = keras.Sequential([keras.Input((8, 8, 2)), layer])
    model.save(tmp_path / "model.keras")
    loaded: Any = keras.models.load_model(tmp_path / "model.keras")
    found = loaded.layers[0].kernel_initializer
    assert isinstance(found, initializers.OrbitScaling)
    assert isinstance(found.base, keras.initializers.HeUniform)
    assert found.rho == 0.25
    np.testing.assert_array_equal(loaded.layers[0].kernel, layer.kernel)


@pytest.mark.parametrize("rho", [-0.1, 1.0, 1.5, float("nan"), "automatic", None, True, [0.5]])
def test_bad_rho(rho):
    with pytest.raises(ValueError, match=r"rho must be 'stationary', or a number with 0 <= rho < 1\. Received: rho="):
        initializers.OrbitScaling("he_normal", rho=rho)


@pytest.mark.parametrize("base", ["he_normalised", 3])
def test_bad_base(base):
    with pytest.raises(ValueError, match="initializer"):
        initializers.OrbitScaling(base)
