"""Flip banks: which filter is which flip of which, the laws, and messages for wrong arguments."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.strategies import flip_banks, mixes
from tf_symconv import kernels

laws = settings(max_examples=60, deadline=None, derandomize=True)
AXES = {"h": -3, "v": -4, "z": -5}


def flip(array, letters):
    """Reverse the spatial axes of an array (*spatial, inputs, filters) that the letters name."""
    return np.flip(array, tuple(AXES[letter] for letter in letters))


def expanded(bank, shape, seed=0):
    latent = np.random.default_rng(seed).normal(size=bank.latent_shape(shape))
    return latent, bank.expand(tf.constant(latent), shape).numpy()


# For each filter the place of its unique filter in the latent, and the flip that it is an image under.
BANKS = [
    ({"h": 4}, (3, 2, 6), [(0, ""), (1, ""), (0, "h"), (1, "h"), (2, ""), (3, "")]),
    (
        {"hv": 8, "v": 4, "h": 2},
        (3, 3, 2, 16),
        [
            *[(0, ""), (0, "h")],
            *[(1, ""), (2, ""), (1, "v"), (2, "v")],
            *[(3, ""), (4, ""), (3, "h"), (4, "h"), (3, "v"), (4, "v"), (3, "hv"), (4, "hv")],
            *[(5, ""), (6, "")],
        ],
    ),
    (
        {"vz": 4, "hvz": 8, "z": 2, "zh": 4},
        (2, 3, 3, 1, 18),
        [
            *[(0, ""), (0, "z")],
            *[(1, ""), (1, "h"), (1, "z"), (1, "hz")],
            *[(2, ""), (2, "v"), (2, "z"), (2, "vz")],
            *[(3, flips) for flips in ("", "h", "v", "z", "hv", "hz", "vz", "hvz")],
        ],
    ),
]


@pytest.mark.parametrize(("symmetry", "shape", "filters"), BANKS)
def test_filters_come_in_the_documented_order(symmetry, shape, filters):
    bank = kernels.FlipBank(symmetry)
    latent, kernel = expanded(bank, shape)
    assert latent.shape == (*shape[:-1], 1 + max(place for place, _ in filters))
    assert bank.orbits(shape[-1]).tolist() == [place for place, _ in filters]
    for i, (place, letters) in enumerate(filters):
        np.testing.assert_array_equal(kernel[..., i : i + 1], flip(latent[..., place : place + 1], letters))


@laws
@given(flip_banks(), st.integers(0, 2**31))
def test_every_flip_permutes_the_filters_of_its_blocks(case, seed):
    bank, shape = case
    rank, filters = len(shape) - 2, shape[-1]
    _, kernel = expanded(bank, shape, seed)
    blocks = [name for name, count in bank.counts(filters).items() for _ in range(count)]
    for letters in ("h", "v", "z", "hv", "hz", "vz", "hvz"):
        if set(letters) <= set("hvz"[:rank]):
            images = bank.images(letters, filters, rank)
            belongs = np.array([name != "free" and set(letters) <= set(name) for name in blocks])
            np.testing.assert_array_equal(images >= 0, belongs)
            np.testing.assert_array_equal(flip(kernel, letters)[..., belongs], kernel[..., images[belongs]])
            assert sorted(images[belongs]) == list(np.flatnonzero(belongs))


def test_percentages_are_rounded_down_to_whole_orbits():
    bank = kernels.FlipBank({"h": "30%", "v": "20%", "hv": "20%"})
    assert bank.counts(32) == {"h": 8, "v": 6, "hv": 4, "free": 14}
    assert bank.counts(10) == {"h": 2, "v": 2, "hv": 0, "free": 6}
    assert kernels.FlipBank({"hv": "100%"}).counts(7) == {"hv": 4, "free": 3}
    assert kernels.FlipBank({"h": "29%"}).counts(200) == {"h": 58, "free": 142}
    assert bank.unique_filters(32) == 4 + 3 + 1 + 14


def test_the_order_of_the_arguments_does_not_matter():
    bank = kernels.FlipBank({"vh": 4, "h": np.int64(2)})
    assert bank == kernels.FlipBank([("h", 2), ["hv", 4]])
    assert bank.symmetry == (("h", 2), ("hv", 4))


def test_a_bank_is_a_part_of_a_mix():
    mix = kernels.get({kernels.FlipBank({"h": "100%"}): 4, "hv": 2})
    shape = (3, 3, 2, 7)
    _, kernel = expanded(mix, shape)
    np.testing.assert_array_equal(kernel[..., 2:4], flip(kernel[..., :2], "h"))
    np.testing.assert_array_equal(kernel[..., 4:6], flip(kernel[..., 4:6], "hv"))


@pytest.mark.parametrize(
    ("symmetry", "message"),
    [
        ({"h": 3}, r"'h' has orbits of 2 filters.*multiple of 2: the nearest are 2 and 4. Received: 3"),
        ({"hv": 6}, r"multiple of 4: the nearest are 4 and 8. Received: 6"),
        ({"hvz": 20}, r"multiple of 8: the nearest are 16 and 24. Received: 20"),
        ({"hv": 1}, r"the nearest are 0 and 4. Received: 1"),
        ({"c4": 4}, r"blocks of a flip bank are h, v, z, hv, hz, vz, hvz. Received: 'c4'"),
        ({"hh": 4}, "Received: 'hh'"),
        ({"": 4}, "Received: ''"),
        ({4: "h"}, "Received: 4"),
        ({"hv": 4, "vh": 4}, "names the block 'hv' twice"),
        ({"h": -2}, "number of filters >= 0.*Received: -2"),
        ({"h": 2.0}, "Received: 2.0"),
        ({"h": "half"}, "Received: 'half'"),
        ({"h": "101%"}, "from '0%' to '100%'. Received: '101%'"),
        ({"h": "60%", "v": "60%"}, "Percentages must not exceed 100 in all"),
        ({}, "at least one entry. Received: symmetry={}"),
        ("hv", "must be a dict.*Received: symmetry='hv'"),
        (None, "must be a dict.*Received: symmetry=None"),
        ([("h",)], "must be a dict"),
    ],
)
def test_wrong_counts_get_one_clear_message(symmetry, message):
    with pytest.raises(ValueError, match=message):
        kernels.FlipBank(symmetry)


@pytest.mark.parametrize(
    ("symmetry", "shape", "message"),
    [
        ({"h": 8, "hv": 4}, (3, 3, 2, 10), r"number of filters, 10. Received: symmetry={'h': 8, 'hv': 4}.*12 filters"),
        ({"v": 2}, (3, 2, 8), "In 1-D a group is one of h. Received: 'v'"),
        ({"hz": 4}, (3, 3, 2, 8), "In 2-D a group is one of h, v, hv.*Received: 'hz'"),
        ({"h": 2}, (3, 3, None, 8), "all positive integers"),
    ],
)
def test_kernels_that_do_not_fit_are_named(symmetry, shape, message):
    with pytest.raises(ValueError, match=message):
        kernels.FlipBank(symmetry).latent_shape(shape)


@laws
@given(st.one_of(flip_banks(), mixes()), st.integers(0, 2**31))
def test_maps_of_swapped_kernels_obey_the_laws(case, seed):
    inner, (*spatial, inputs, filters) = case
    swapped, shape = kernels.swap_channels(inner), (*spatial, filters, inputs)
    assert swapped == kernels.SwapChannels(inner) == kernels.get(kernels.serialize(swapped))
    latent, kernel = expanded(swapped, shape, seed)
    np.testing.assert_array_equal(
        kernel.swapaxes(-1, -2), inner.expand(tf.constant(latent), (*spatial, inputs, filters))
    )
    np.testing.assert_array_equal(swapped.select(tf.constant(kernel)), latent)
    np.testing.assert_allclose(swapped.project(tf.constant(kernel)), latent, atol=1e-9)
    a, b = np.random.default_rng(seed).normal(size=(2, *shape))
    pa, pb = (swapped.expand(swapped.project(tf.constant(k)), shape).numpy() for k in (a, b))
    np.testing.assert_allclose(np.vdot(pa, b), np.vdot(a, pb), atol=1e-8)
    np.testing.assert_array_equal(swapped.multiplicity(shape), inner.multiplicity((*spatial, inputs, filters)))


def test_maps_that_treat_all_channels_alike_need_no_swap():
    for name in ("hv", "c4", "circular"):
        assert kernels.swap_channels(name) == kernels.get(name)
    with pytest.raises(TypeError, match="A symmetry is a name"):
        kernels.SwapChannels(3)


@pytest.mark.parametrize("structure", [kernels.FlipBank({"hv": 4}), kernels.SwapChannels(kernels.FlipBank({"hv": 4}))])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_expand_compiles_and_keeps_the_dtype(structure, dtype):
    shape = (3, 3, 5, 5)
    latent = tf.cast(np.random.default_rng(0).normal(size=structure.latent_shape(shape)), dtype)
    compiled = tf.function(lambda z: structure.expand(z, shape), jit_compile=True)(latent)
    assert compiled.dtype == dtype
    np.testing.assert_array_equal(tf.cast(compiled, "float64"), tf.cast(structure.expand(latent, shape), "float64"))


class Halved(kernels.KernelMap):
    """A map of a user's own: the last half of the filters is the first."""

    def latent_shape(self, kernel_shape):
        return (*kernel_shape[:-1], kernel_shape[-1] // 2)

    def expand(self, latent, kernel_shape):
        return tf.concat([latent, latent], -1)

    def select(self, kernel):
        return tf.split(kernel, 2, -1)[0]

    def project(self, kernel):
        return tf.add_n(tf.split(kernel, 2, -1)) / 2

    def get_config(self):
        return {}


def test_maps_of_a_users_own_are_rebuilt_by_name():
    assert isinstance(kernels.get(kernels.serialize(Halved())), Halved)
