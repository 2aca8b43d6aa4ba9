"""Pictures of kernels."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tf_symconv.plotting._figure import INK, SPACE_INCHES, check_count, flat_picture, frame, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_KERNEL_INCHES = 0.62
_WEIGHT_INCHES = 0.11  # at least
_COLUMNS = 16


def plot_kernels(
    layer_or_kernel: Any,
    *,
    max_filters: int = 16,
    max_channels: int = 4,
    title: str | None = None,
    limit: float | None = None,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw the kernels of a convolution, one square each.

    Negative weights are blue, positive ones red and zero is white; one scale holds for the whole picture. Output
    filters run from left to right; input channels from top to bottom, unless there is only one, when the filters wrap.
    A 1-D kernel is a row of cells, a 3-D kernel its depth slices side by side.

    Args:
        layer_or_kernel: a layer with a built ``kernel`` (``depthwise_kernel`` serves too), or the kernel itself: an
            array or tensor of shape (*size, channels, filters) with one to three sizes.
        max_filters: how many filters to show at most, from the first.
        max_channels: how many input channels to show at most, from the first.
        title: what to write above; by default the name of the layer, the shape of its kernel and its free weights.
        limit: the absolute weight that gets the full colour; by default the largest in the picture.
        figure: a ``matplotlib`` Figure or SubFigure to draw into; by default a new Figure of fitting size.

    Returns:
        The figure drawn into.

    Raises:
        TypeError: if there is no kernel in ``layer_or_kernel``, or a number has the wrong type.
        ValueError: if the layer is not built, the kernel has no shape as above, or a number is out of range.
        ImportError: if matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> figure = plot_kernels(np.ones((3, 3, 1, 8)), title="boxes")
        >>> len(figure.axes)
        8
    """
    for name, value in (("max_filters", max_filters), ("max_channels", max_channels)):
        check_count(name, value)
    kernel, default_title = _kernel_of(layer_or_kernel)
    pictures = [
        [flat_picture(kernel[..., channel, filter_], np.nan) for filter_ in range(min(kernel.shape[-1], max_filters))]
        for channel in range(min(kernel.shape[-2], max_channels))
    ]
    if len(pictures) == 1:
        pictures = [pictures[0][start : start + _COLUMNS] for start in range(0, len(pictures[0]), _COLUMNS)]
    if limit is None:
        limit = max(float(np.nanmax(np.abs(picture))) for row in pictures for picture in row)
    if not 0 <= limit < np.inf:
        raise ValueError(f"limit must be a finite number, at least 0. Received: limit={limit}")
    return _draw(pictures, limit or 1.0, default_title if title is None else title, figure)


def _draw(
    pictures: list[list[np.ndarray]], limit: float, title: str, figure: "Figure | SubFigure | None"
) -> "Figure | SubFigure":
    rows, columns = len(pictures), len(pictures[0])
    height, width = pictures[0][0].shape
    if figure is None:
        weight = max(_WEIGHT_INCHES, _KERNEL_INCHES / max(height, width))
        figure = new_figure(
            max(0.065 * len(title), columns * (width * weight + SPACE_INCHES)),
            rows * (height * weight + SPACE_INCHES) + (0.3 if title else 0),
        )
    grid = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column in range(columns):
            axes: Axes = grid[row, column]
            if column >= len(pictures[row]):
                axes.remove()
                continue
            axes.imshow(pictures[row][column], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
            frame(axes)
    if title:
        figure.suptitle(title, fontsize=9, color=INK)
    return figure


def _kernel_of(source: Any) -> tuple[np.ndarray, str]:
    """Return the kernel in ``source`` as a float array of shape (*size, channels, filters), and a title for it."""
    title = ""
    if hasattr(source, "built") and hasattr(source, "get_config"):
        if not source.built:
            raise ValueError(f"A layer has a kernel once it is built. Received: unbuilt layer {source.name!r}")
        layer = source
        source = getattr(layer, "depthwise_kernel", None) if not hasattr(layer, "kernel") else layer.kernel
        if source is None:
            raise TypeError(f"A layer must have a kernel. Received: {type(layer).__name__} {layer.name!r}")
        title = f"{layer.name}: {'x'.join(map(str, source.shape))}"
        if getattr(layer, "latent", None) is not None:
            title += f", {int(np.prod(layer.latent.shape)):,} of {int(np.prod(source.shape)):,} weights free"
    kernel = np.asarray(source.numpy() if hasattr(source, "numpy") else source)
    if kernel.dtype.kind not in "biufV":  # V: the 16-bit floats of TensorFlow
        raise TypeError(
            f"A kernel must be an array of real numbers, or a layer that has one. Received: {type(source).__name__}"
        )
    kernel = kernel.astype(np.float64)
    if kernel.ndim not in (3, 4, 5) or 0 in kernel.shape:
        raise ValueError(
            "A kernel must have the shape (*size, channels, filters) with one to three sizes, none of them zero. "
            f"Received: shape={kernel.shape}"
        )
    if not np.isfinite(kernel).all():
        raise ValueError(f"The weights of a kernel must be finite. Received: {title or 'a kernel'} with others")
    return kernel, title
