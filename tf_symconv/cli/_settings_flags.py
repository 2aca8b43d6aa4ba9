"""Flags whose names, defaults and meaning are those of the settings of a run."""

import math
from collections.abc import Callable
from typing import Any

from absl import flags

flags.disclaim_key_flags()  # they belong to the command that defines them


class SettingsFlags:
    """Defines flags by the settings that they fill.

    Args:
        values: the flags of a command.
        defaults: settings with the defaults as attributes.
    """

    def __init__(self, values: flags.FlagValues, defaults: Any) -> None:
        self._values = values
        self._defaults = defaults

    def number(self, name: str, text: str, lowest: int | None = 1, highest: int | None = None) -> None:
        """Define an integer."""
        flags.DEFINE_integer(
            name,
            getattr(self._defaults, name),
            text,
            lower_bound=lowest,
            upper_bound=highest,
            flag_values=self._values,
        )

    def positive(self, name: str, text: str) -> None:
        """Define a finite number above 0."""
        flags.DEFINE_float(name, getattr(self._defaults, name), text, flag_values=self._values)
        flags.register_validator(
            name,
            lambda value: 0 < value < math.inf,
            "must be a finite number above 0",
            flag_values=self._values,
        )

    def text(self, name: str, text: str, parse: Callable[[str], Any] | None = None) -> None:
        """Define a text; ``parse`` raises a ValueError for what it may not be."""
        flags.DEFINE_string(name, getattr(self._defaults, name), text, flag_values=self._values)
        if parse is not None:
            flags.register_validator(name, _validator(parse), flag_values=self._values)

    def switch(self, name: str, text: str) -> None:
        """Define a switch."""
        flags.DEFINE_boolean(name, getattr(self._defaults, name), text, flag_values=self._values)


def _validator(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            parse(value)
        except ValueError as error:
            raise flags.ValidationError(str(error)) from None
        return True

    return check
