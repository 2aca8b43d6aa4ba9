"""Where windows lie on an image: whether sliding, padding and cropping treat all sides alike."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, final

from tf_symconv.models._equivariance_fields import Action

_AXES = ("height", "width")
_REACH = 16

Ends = tuple[float, float]


def window_ends(size: int, span: int, stride: int, padding: str) -> Ends:
    """Return by how many cells the windows reach beyond the two ends of an axis; negative where they fall short.

    Args:
        size: The number of cells.
        span: How many cells a window spans.
        stride: The step from one window to the next.
        padding: ``"valid"``, or ``"same"``: as TensorFlow pads, the odd cell at the end.
    """
    steps = -(-size // stride) if padding == "same" else (size - span) // stride + 1
    excess = (steps - 1) * stride + span - size
    before = max(excess, 0) // 2 if padding == "same" else 0
    return before, excess - before


@final
@dataclasses.dataclass(frozen=True)
class Sides:
    """How an operation treats the sides of an image.

    Attributes:
        steps: What it does along height and width: any two values that must be equal where the group exchanges them.
        ends: By how many cells it reaches beyond the two ends of the height and of the width.
        cause: What makes it so, in words.
        fits: Whether an axis of this many cells would be treated alike at both ends; None if no size helps.
    """

    steps: Sequence[Any]
    ends: Sequence[Ends]
    cause: str = ""
    fits: Callable[[int, int], bool] | None = None

    def problem(self, action: Action, sizes: Sequence[int]) -> str:
        """Return why an element of the group does not map the operation to itself, or nothing."""
        for element in action.group.elements:
            for axis in range(2):
                other = element.permutation[axis]
                if self.steps[axis] != self.steps[other]:
                    return (
                        f"its steps along height and width differ ({self.steps[0]} and {self.steps[1]}), and "
                        f"{action.group.name} exchanges the two"
                    )
                ends = self.ends[other][::-1] if element.reversal[axis] else self.ends[other]
                if ends != self.ends[axis]:
                    return self._unlike(axis, other, sizes)
        return ""

    def _unlike(self, axis: int, other: int, sizes: Sequence[int]) -> str:
        axis = axis if self.ends[axis][0] != self.ends[axis][1] else other
        before, after = self.ends[axis]
        if before == after:
            return "it treats the sides of the height and of the width differently"
        change = "loses" if min(before, after) < 0 else "gains"
        start, end = (f"{abs(cells):g}" for cells in (before, after))
        cause = f"{self.cause}, " if self.cause else ""
        return (
            f"{cause}the {_AXES[axis]} of {sizes[axis]} cells {change} {start} at its start and {end} at its end"
            f"{self._way_out(axis, sizes[axis])}"
        )

    def _way_out(self, axis: int, size: int) -> str:
        if self.fits is None:
            return ""
        fits = self.fits
        below = next((n for n in range(size - 1, max(size - _REACH, 0), -1) if fits(n, axis)), None)
        above = next((n for n in range(size + 1, size + _REACH) if fits(n, axis)), None)
        nearest = [str(n) for n in (below, above) if n is not None]
        if nearest:
            return f"; the nearest sizes that fit: {' and '.join(nearest)}"
        return "; no size fits: choose another size of the window, or another padding"


def windows(sizes: Sequence[int], spans: Sequence[int], strides: Sequence[int], padding: str) -> Sides:
    """Return how windows that slide over an image treat its sides."""

    def fits(size: int, axis: int) -> bool:
        if padding == "valid" and size < spans[axis]:
            return False
        before, after = window_ends(size, spans[axis], strides[axis], padding)
        return before == after

    ends = [window_ends(*each, padding) for each in zip(sizes, spans, strides, strict=True)]
    return Sides([*zip(spans, strides, strict=True)], ends, _cause(spans, strides, padding), fits)


def transposed_windows(
    made: Sequence[int], steps: Sequence[int], spans: Sequence[int], strides: Sequence[int], padding: str
) -> Sides:
    """Return how windows that are laid side by side treat the sides of the image that they make.

    Args:
        made: The sizes of the output.
        steps: The sizes of the input: how many windows there are along each axis.
        spans: How many cells a window spans.
        strides: The step from one window to the next.
        padding: ``"valid"`` or ``"same"``.
    """
    ends = []
    for size, count, span, stride in zip(made, steps, spans, strides, strict=True):
        excess = (count - 1) * stride + span - size
        before = max(excess, 0) // 2 if padding == "same" else 0
        ends.append((before, excess - before))
    return Sides([*zip(spans, strides, strict=True)], ends, _cause(spans, strides, padding))


def _cause(spans: Sequence[int], strides: Sequence[int], padding: str) -> str:
    span, stride = ("x".join(str(n) for n in dict.fromkeys(each)) for each in (spans, strides))
    return f"with padding {padding!r}, windows of {span} cells and steps of {stride}"
