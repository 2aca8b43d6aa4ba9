"""Time several functions in turn until their ratios are known well; medians, quartiles and intervals of noisy times.

Needs NumPy alone, and nothing of this package: scripts that run where TensorFlow is not share this file.
"""

import dataclasses
import gc
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

CONFIDENCE = 0.95


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    low, middle, high = np.percentile(np.asarray(values, float), (25, 50, 75))
    return float(low), float(middle), float(high)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return an interval that holds the median of the distribution, with at least this confidence.

    It lies between two order statistics, so it assumes nothing of the distribution: the number of values below the
    median is binomial. None where there are too few values.
    """
    ordered = np.sort(np.asarray(values, float))
    count = len(ordered)
    tail, below = 0.0, 0  # the chance that fewer than `below` values lie under the median
    while below < count // 2:
        tail += math.comb(count, below) / 2**count
        if tail > (1 - confidence) / 2:
            break
        below += 1
    return (float(ordered[below - 1]), float(ordered[count - below])) if below else None


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return the statistics of ``ours / theirs``, times that were taken in pairs.

    The median of the ratios of pairs forgives a machine that slows down for a while: both of a pair slow down.

    Raises:
        ValueError: If there is no pair, or one without a partner.
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(f"times must come in pairs. Received: {len(ours)} and {len(theirs)} times")
    ratios = np.asarray(ours, float) / np.asarray(theirs, float)
    low, middle, high = quartiles(ratios.tolist())
    interval = median_interval(ratios.tolist())
    return {
        "median": middle,
        "quartiles": [low, high],
        "interval": None if interval is None else list(interval),
        "rounds": len(ratios),
    }


def settled(ours: Sequence[float], theirs: Sequence[float], precision: float) -> bool:
    """Return whether the interval of the ratio reaches no further than ``precision`` (a share) to either side."""
    found = ratio(ours, theirs)
    if found["interval"] is None:
        return False
    low, high = found["interval"]
    return max(high - found["median"], found["median"] - low) <= precision * found["median"]


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Return the power of the size with which the times grow: the slope of the logarithms, by least squares."""
    return float(np.polyfit(np.log(np.asarray(sizes, float)), np.log(np.asarray(times, float)), 1)[0])


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to measure.

    Args:
        precision: Stop when every ratio is known to this share of itself, with 95 % confidence.
        seconds: Stop after so many seconds, whatever is known.
        least: Rounds to do in any case; 6 or more give an interval.
        most: Rounds to do at most.
        sample: Seconds that one sample lasts at least: quick functions are called several times in a row.
    """

    precision: float = 0.02
    seconds: float = 3.0
    least: int = 7
    most: int = 400
    sample: float = 0.004


def interleave(
    functions: Mapping[str, Callable[[], Any]],
    pairs: Sequence[tuple[str, str]],
    patience: Patience,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return seconds per call of every function, one entry per round.

    Each round calls all of them, in an order that changes from round to round, so that none always follows the same
    one and a slow spell of the machine hits all. The first calls, which trace, compile and touch memory, do not count.

    Args:
        functions: By name; a call ends when the work is done.
        pairs: ``(ours, theirs)``: names whose ratio must be known.
        patience: When to stop.
        seed: Of the order.
        clock: Seconds.
    """
    repeats = {name: _warm_up(function, patience.sample, clock) for name, function in functions.items()}
    order = list(functions)
    shuffle = random.Random(seed).shuffle
    times: dict[str, list[float]] = {name: [] for name in functions}
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = clock()
        for done in range(1, patience.most + 1):
            shuffle(order)
            for name in order:
                times[name].append(_seconds(functions[name], repeats[name], clock))
            if done >= patience.least and (
                clock() - start >= patience.seconds
                or all(settled(times[ours], times[theirs], patience.precision) for ours, theirs in pairs)
            ):
                break
    finally:
        if collecting:
            gc.enable()
    return times


def _warm_up(function: Callable[[], Any], sample: float, clock: Callable[[], float]) -> int:
    """Return how many calls fill a sample."""
    function()
    function()
    once = min(_seconds(function, 1, clock) for _ in range(2))
    return max(1, min(1000, round(sample / once))) if once > 0 else 1000


def _seconds(function: Callable[[], Any], repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        function()
    return (clock() - start) / repeats
