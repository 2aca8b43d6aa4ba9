"""What a rule of equivariance is asked, and what it answers."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np

from tf_symconv.models._equivariance_fields import Action, Field

EXACT, BREAKS, UNKNOWN = "exact", "breaks", "unknown"


@final
@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a layer does to its input's transformations.

    Attributes:
        field: How the output transforms if the layer is equivariant; None if that cannot be told.
        problems: Why it is not; empty if it is.
        unknown: Why it cannot be told; empty if it can.
        note: What else a user should know.
    """

    field: Field | None
    problems: tuple[str, ...] = ()
    unknown: str = ""
    note: str = ""

    @property
    def verdict(self) -> str:
        """``"exact"``, ``"breaks"`` or ``"unknown"``."""
        return BREAKS if self.problems else UNKNOWN if self.unknown else EXACT

    @property
    def reason(self) -> str:
        """The verdict's reason and the note, in words."""
        return "; ".join(text for text in (*self.problems, self.unknown, self.note) if text)


@final
@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        layer: The layer or operation.
        fields: How its inputs transform.
        shape: The shape of its output, if that is one tensor.
        action: What the elements of the group do.
        constants: The arguments that are no tensors of the model.
    """

    layer: Any
    fields: Sequence[Field]
    shape: tuple[int | None, ...]
    action: Action
    constants: Sequence[Any] = ()

    @property
    def field(self) -> Field:
        """How its first input transforms."""
        return self.fields[0]

    def like_input(self, *problems: str, unknown: str = "", note: str = "") -> Outcome:
        """Return the outcome of a call whose output transforms as its input does."""
        field = dataclasses.replace(self.field, shape=self.shape)
        return Outcome(field, tuple(filter(None, problems)), unknown, note)

    def with_channels(
        self, permutations: np.ndarray, carries: str, *problems: str, unknown: str = "", note: str = ""
    ) -> Outcome:
        """Return the outcome of a call whose output has other channels than its input."""
        axis = self.field.channel_axis if len(self.shape) == len(self.field.shape) else len(self.shape) - 1
        field = Field(self.shape, axis, permutations, carries)
        return Outcome(field, tuple(filter(None, problems)), unknown, note)

    def invariant(self, *problems: str, unknown: str = "", note: str = "") -> Outcome:
        """Return the outcome of a call whose output's channels all stay in place."""
        axis = self.field.channel_axis if len(self.shape) == len(self.field.shape) else len(self.shape) - 1
        channels = self.shape[axis]
        if channels is None:
            return Outcome(None, unknown="the number of its output's channels is unknown")
        return self.with_channels(self.action.trivial(channels), "", *problems, unknown=unknown, note=note)


Rule = Callable[[Call], Outcome]
