"""What the pictures share: figures, colours of ink, checks of counts, the layout of a kernel as a matrix."""

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#222933"
PALE_INK = "#5b6570"
FRAME = "#c4c9d0"
SPACE_INCHES = 0.09
GAP = 1  # cells between the depth slices of a 3-D kernel


def new_figure(width: float, height: float, pad: float = SPACE_INCHES / 2) -> "Figure":
    """Return a white figure of this size in inches that lays itself out.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ImportError(f"Pictures need matplotlib ({error}): pip install 'tf_symconv[plot]'") from error
    layout = ConstrainedLayoutEngine(w_pad=pad, h_pad=pad, wspace=0, hspace=0)
    return Figure(figsize=(width, height), dpi=144, layout=layout, facecolor="white")


def frame(axes: "Axes") -> None:
    """Take the ticks off a picture of a kernel, and draw a thin frame."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=FRAME, linewidth=0.6)


def flat_picture(kernel: np.ndarray, gap: float) -> np.ndarray:
    """Lay a kernel of shape ``size`` out as a matrix: depth slices side by side, ``gap`` between them."""
    if kernel.ndim == 1:
        return kernel[np.newaxis]
    if kernel.ndim == 2:
        return kernel
    between = np.full((kernel.shape[1], GAP), gap, dtype=kernel.dtype)
    return np.concatenate([part for depth_slice in kernel for part in (between, depth_slice)][1:], axis=1)


def check_count(name: str, value: Any) -> None:
    """Raise unless ``value`` is an integer of 1 or more."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer. Received: {name}={value!r}") from None
    if number < 1:
        raise ValueError(f"{name} must be at least 1. Received: {name}={value!r}")
