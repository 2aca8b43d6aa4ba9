"""How many filters a structure takes: a number, or a percentage of all filters."""

from typing import Any

import numpy as np

Count = int | str


def check_count(count: Any) -> Count:
    """Return ``count`` as an integer or a percentage, both in range.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(count, int | np.integer) and not isinstance(count, bool) and count >= 0:
        return int(count)
    if isinstance(count, str) and count.endswith("%"):
        try:
            share = float(count[:-1])
        except ValueError:
            share = -1.0
        if 0 <= share <= 100:
            return count
    raise ValueError(
        f"A count must be a number of filters >= 0, or a percentage from '0%' to '100%'. Received: {count!r}"
    )


def percentage(count: Count) -> float:
    """Return the percentage that a count states, 0 for a plain number."""
    return float(count[:-1]) if isinstance(count, str) else 0.0


def filters_of(count: Count, filters: int) -> int:
    """Return how many of ``filters`` a count stands for, rounded down."""
    return int(filters * percentage(count) / 100 + 1e-9) if isinstance(count, str) else count
