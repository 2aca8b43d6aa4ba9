"""Statistics against NumPy and SciPy, and the order of measurements with a clock that stands in."""

import math
import random

import numpy as np
import pytest
import scipy.stats

from tf_symconv.benchmarks import Patience, interleave
from tf_symconv.benchmarks._timing import exponent, median_interval, quartiles, ratio, settled


class Machine:
    """A clock that functions move on: each call of one costs what its list says next."""

    def __init__(self, **costs):
        self.now = 0.0
        self.calls = []
        self.costs = {name: iter(cost) if isinstance(cost, list) else None for name, cost in costs.items()}
        self.constant = costs

    def functions(self):
        return {name: lambda name=name: self._run(name) for name in self.constant}

    def _run(self, name):
        self.calls.append(name)
        costs = self.costs[name]
        self.now += self.constant[name] if costs is None else next(costs)

    def clock(self):
        return self.now


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_quartiles_are_those_of_numpy(count):
    values = np.random.default_rng(count).lognormal(size=count)
    np.testing.assert_allclose(quartiles(values.tolist()), np.quantile(values, [0.25, 0.5, 0.75]))


@pytest.mark.parametrize("count", [6, 7, 8, 9, 20, 51, 400])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_of_a_median_lies_between_the_order_statistics_that_the_binomial_names(count, confidence):
    values = np.random.default_rng(count).normal(size=count)
    below = int(scipy.stats.binom.ppf((1 - confidence) / 2, count, 0.5))
    if below == 0:  # the extremes themselves do not reach this confidence
        assert 2 * 0.5**count > 1 - confidence
        assert median_interval(values.tolist(), confidence) is None
        return
    ordered = np.sort(values)
    assert median_interval(values.tolist(), confidence) == (ordered[below - 1], ordered[count - below])


def test_the_interval_covers_the_median_as_often_as_it_says():
    draws = np.random.default_rng(0).exponential(size=(2000, 15))
    intervals = [median_interval(draw.tolist()) for draw in draws]
    covered = np.mean([low <= math.log(2) <= high for low, high in intervals])
    assert 0.945 < covered < 0.99  # 15 values: 96.5 %


def test_too_few_values_have_no_interval():
    assert median_interval([1.0] * 5) is None
    assert median_interval([1.0] * 6) == (1.0, 1.0)


def test_a_ratio_is_the_median_of_pairs_and_forgives_slow_spells():
    ours, theirs = np.full(21, 2.0), np.full(21, 4.0)
    slow = np.where(np.arange(21) % 3 == 0, 7.0, 1.0)
    found = ratio((ours * slow).tolist(), (theirs * slow).tolist())
    assert found == {"median": 0.5, "quartiles": [0.5, 0.5], "interval": [0.5, 0.5], "rounds": 21}


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0])])
def test_times_without_a_partner_are_refused(ours, theirs):
    with pytest.raises(ValueError, match="must come in pairs"):
        ratio(ours, theirs)


def test_a_ratio_is_settled_when_its_interval_is_narrow():
    theirs = [1.0] * 9
    assert settled([0.5, 0.5, 0.5, 0.49, 0.5, 0.51, 0.5, 0.5, 0.5], theirs, 0.03)
    assert not settled([0.5, 0.5, 0.5, 0.4, 0.4, 0.6, 0.6, 0.5, 0.5], theirs, 0.03)
    assert not settled([0.5] * 5, [1.0] * 5, 0.03)


def test_the_exponent_is_the_slope_of_the_logarithms():
    sizes = [3, 5, 7, 11]
    times = [0.2 * size**1.7 for size in sizes]
    assert exponent(sizes, times) == pytest.approx(1.7)
    noisy = np.array(times) * [1.1, 0.9, 1.2, 0.8]
    slope = scipy.stats.linregress(np.log(sizes), np.log(noisy)).slope
    assert exponent(sizes, noisy.tolist()) == pytest.approx(slope)


def test_functions_take_turns_and_the_first_calls_do_not_count():
    costs = {"ours": [9.0, 5.0] + [1.0] * 50, "theirs": [9.0, 5.0] + [2.0] * 50}
    machine = Machine(**costs)
    times = interleave(machine.functions(), [("ours", "theirs")], Patience(sample=0.1), clock=machine.clock)
    assert times == {"ours": [1.0] * 7, "theirs": [2.0] * 7}  # seven rounds settle a ratio without noise
    rounds = machine.calls[8:]
    assert all(sorted(rounds[start : start + 2]) == ["ours", "theirs"] for start in range(0, len(rounds), 2))
    assert {tuple(rounds[start : start + 2]) for start in range(0, len(rounds), 2)} == {
        ("ours", "theirs"),
        ("theirs", "ours"),
    }


def test_quick_functions_are_called_several_times_for_a_sample():
    machine = Machine(quick=0.001, slow=0.5)
    times = interleave(machine.functions(), [], Patience(least=3, most=3, sample=0.01), clock=machine.clock)
    assert machine.calls.count("quick") == 4 + 3 * 10
    assert machine.calls.count("slow") == 4 + 3
    np.testing.assert_allclose(times["quick"], [0.001] * 3)


@pytest.mark.parametrize(("patience", "rounds"), [(Patience(seconds=30.0), 30), (Patience(seconds=1e9, most=12), 12)])
def test_noise_is_measured_until_time_or_rounds_end(patience, rounds):
    noise = random.Random(3)
    machine = Machine(ours=[noise.choice([0.2, 0.8]) for _ in range(2000)], theirs=0.5)
    times = interleave(machine.functions(), [("ours", "theirs")], patience, clock=machine.clock)
    assert len(times["ours"]) == pytest.approx(rounds, abs=4)


def test_the_order_is_the_seed_s():
    orders = []
    for seed in (1, 1, 2):
        machine = Machine(a=1.0, b=1.0, c=1.0)
        interleave(machine.functions(), [], Patience(least=6, most=6), seed, machine.clock)
        orders.append(machine.calls)
    assert orders[0] == orders[1] != orders[2]
