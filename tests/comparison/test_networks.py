"""The networks of a comparison: what they are matched in, and what does not change their scores."""

import numpy as np
import pytest

from tf_symconv import groups
from tf_symconv.comparison._networks import Plan, match, networks
from tf_symconv.comparison._settings import METHODS, parse_methods

PLAN = Plan((10, 10, 1), 10, 3, "c4")


@pytest.fixture(scope="module")
def reference():
    return PLAN.measure("plain", 12)


@pytest.mark.parametrize("method", METHODS[2:])
def test_no_other_width_is_nearer_to_the_plain_network(method, reference):
    for budget, count in (("parameters", "weights"), ("compute", "multiplications")):
        network = match(PLAN, method, budget, 12, reference)
        distances = [
            abs(getattr(PLAN.measure(method, orbits), count) - getattr(reference, count))
            for orbits in range(max(1, network.orbits - 1), network.orbits + 2)
        ]
        assert min(distances) == abs(getattr(network, count) - getattr(reference, count))


def test_weights_and_multiplications_are_those_of_the_layers(reference):
    convolutions = 9 * 12 + 3 * 9 * 12 * 12
    assert reference.weights == convolutions + 4 * 2 * 12 + (12 * 64 + 64) + (64 * 10 + 10)
    full = 100 * (9 * 12 + 9 * 12 * 12) + 25 * 2 * 9 * 12 * 12 + 12 * 64 + 64 * 10
    assert reference.multiplications == full
    symmetric = PLAN.measure("symmetric", 12)
    assert reference.weights - symmetric.weights == convolutions * 2 // 3  # 3 of 9 cells of a 3x3 kernel are free
    assert symmetric.multiplications == full


@pytest.mark.parametrize(
    ("method", "group"), [("symmetric", "c4"), ("c4", "c4"), ("d4", "d4"), ("plain", None), ("flip_bank", None)]
)
@pytest.mark.parametrize("size", [10, 11])
def test_scores_do_not_change_under_the_group_of_a_network(method, group, size):
    model = Plan((size, size, 1), 10, 3, "c4").build(method, 2)
    images = np.random.default_rng(0).normal(size=(3, size, size, 1)).astype("float32")
    for element in groups.get(group or "c4").elements[1:]:
        difference = np.abs(model(images) - model(element(images, axes=(1, 2)).copy())).max()
        assert difference < 1e-5 if group else difference > 1e-4


def test_every_method_gets_its_networks_and_no_other():
    found = networks(PLAN, 8, parse_methods("c4, augmented"))
    assert list(found) == [("augmented", "reference"), ("c4", "parameters"), ("c4", "compute")]
    assert found["augmented", "reference"].channels == 8
