"""The groups, against NumPy's own flips and rotations."""

import itertools

import numpy as np
import pytest

from tests.oracles import TRANSFORMS
from tf_symconv import groups

ORDERS = {"h": 2, "v": 2, "z": 2, "hv": 4, "hz": 4, "vz": 4, "hvz": 8, "c2": 2, "c4": 4, "d4": 8, "diag": 2}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_name_is_a_group_of_the_known_order(rank):
    assert set(groups.names(rank)) == {n for n in ORDERS if "z" not in n or rank == 3} - (
        set() if rank > 1 else {"v", "hv", "c2", "c4", "d4", "diag"}
    )
    for name in groups.names(rank):
        group = groups.get(name, rank)
        assert (group.order, group.rank, group.name) == (ORDERS[name], rank, name)
        assert len(set(group.elements)) == group.order
        assert group.elements[0].is_identity


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_composition_and_inverse_act_as_they_say(rank):
    array = np.random.default_rng(0).normal(size=(4,) * rank + (2,))
    for name in groups.names(rank):
        group = groups.get(name, rank)
        for (i, g), (j, k) in itertools.product(enumerate(group.elements), repeat=2):
            np.testing.assert_array_equal((g * k)(array), g(k(array)))
            np.testing.assert_array_equal(group.elements[group.multiplication_table[i, j]](array), g(k(array)))
        for i, g in enumerate(group.elements):
            np.testing.assert_array_equal(g.inverse(g(array)), array)
            np.testing.assert_array_equal(group.elements[group.inverses[i]](g(array)), array)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_elements_are_the_transforms_of_numpy(name):
    array = np.random.default_rng(0).normal(size=(3, 3))
    ours = {g(array).tobytes() for g in groups.get(name).elements[1:]}
    assert ours == {np.ascontiguousarray(transform(array)).tobytes() for transform in TRANSFORMS[name]}


def test_rotations_turn_counter_clockwise_in_order():
    array = np.arange(16).reshape(4, 4)
    for turns, element in enumerate(groups.get("c4").elements):
        np.testing.assert_array_equal(element(array), np.rot90(array, turns))
    for turns, element in enumerate(groups.get("d4").elements[4:]):
        np.testing.assert_array_equal(element(array), np.flipud(np.rot90(array, turns)))


def test_reflections_are_listed_in_the_documented_order():
    array = np.arange(8).reshape(2, 2, 2)
    flips = [(), (2,), (1,), (0,), (2, 1), (2, 0), (1, 0), (2, 1, 0)]
    for axes, element in zip(flips, groups.get("hvz", 3).elements, strict=True):
        np.testing.assert_array_equal(element(array), np.flip(array, axes))


def test_elements_act_on_the_axes_they_are_given():
    images = np.random.default_rng(0).normal(size=(2, 3, 3, 5))
    turn = groups.get("c4").elements[1]
    np.testing.assert_array_equal(turn(images, axes=(1, 2)), np.rot90(images, axes=(1, 2)))
    np.testing.assert_array_equal(turn(images, axes=(-3, -2)), np.rot90(images, axes=(1, 2)))


def test_orbits_of_a_3x3_square():
    np.testing.assert_array_equal(groups.get("d4").orbits((3, 3)), [[0, 1, 0], [1, 2, 1], [0, 1, 0]])
    np.testing.assert_array_equal(groups.get("hv").orbits((2, 3)), [[0, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("name", "rank", "message"),
    [
        ("q", 2, "In 2-D a group is one of h, v, hv, c2, c4, d4, diag. Received: 'q'"),
        ("hh", 2, "Received: 'hh'"),
        ("", 2, "Received: ''"),
        ("z", 2, "Received: 'z'"),
        ("c4", 1, "In 1-D a group is one of h. Received: 'c4'"),
        ("h", 4, "rank must be 1, 2 or 3. Received: rank=4"),
    ],
)
def test_unknown_groups_are_named(name, rank, message):
    with pytest.raises(ValueError, match=message):
        groups.get(name, rank)


def test_a_group_that_turns_needs_a_square():
    with pytest.raises(ValueError, match=r"exchanges axes.*Received: shape=\(3, 5\)"):
        groups.get("c4").orbits((3, 5))


@pytest.mark.parametrize(("letter", "rank"), [("v", 1), ("z", 2), ("hv", 2), ("", 2)])
def test_unknown_reflections_are_named(letter, rank):
    with pytest.raises(ValueError, match=f"In {rank}-D the reflections are .*Received: '{letter}'"):
        groups.axis_of(letter, rank)
