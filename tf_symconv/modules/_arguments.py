"""Checks of the arguments that all modules share."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def check_count(name: str, value: Any) -> int:
    """Return a positive integer.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a positive integer. Received: {name}={value!r}")
    return int(value)


def check_sizes(name: str, value: Any, rank: int, smallest: int = 1) -> tuple[int, ...]:
    """Return one integer for each of ``rank`` spatial axes; a single one serves all.

    Raises:
        ValueError: If there are not as many, or one is below ``smallest``.
    """
    each = (value,) * rank if isinstance(value, int | np.integer) else value
    if (
        not isinstance(each, Sequence)
        or len(each) != rank
        or any(not isinstance(n, int | np.integer) or isinstance(n, bool) or n < smallest for n in each)
    ):
        raise ValueError(
            f"{name} must be an integer >= {smallest}, or a sequence of {rank} of them. Received: {name}={value!r}"
        )
    return tuple(int(n) for n in each)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the ``choices``, in any case of letters.

    Raises:
        ValueError: If it is none of them.
    """
    if not isinstance(value, str) or value.lower() not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}")
    return value.lower()


def check_switch(name: str, value: Any) -> bool:
    """Return True or False.

    Raises:
        ValueError: If it is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False. Received: {name}={value!r}")
    return value


def check_number(name: str, value: Any, lowest: float, highest: float = math.inf) -> float:
    """Return a finite number in a range.

    Raises:
        ValueError: If it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not lowest <= value <= highest:
        span = f"of at least {lowest:g}" if highest == math.inf else f"from {lowest:g} to {highest:g}"
        raise ValueError(f"{name} must be a number {span}. Received: {name}={value!r}")
    return float(value)
