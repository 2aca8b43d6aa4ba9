"""Pictures of which cells of a kernel are tied."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tf_symconv.plotting._figure import INK, PALE_INK, SPACE_INCHES, check_count, flat_picture, frame, new_figure
from tf_symconv.plotting._ties import NO_CELL, Panel, letters, panels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_CELL_INCHES = (0.17, 0.34)
_PANEL_INCHES = 2.4  # cells shrink in panels that would get larger
_SMALLEST_TEXT = 3.5  # points
_SHADE = 0.5  # of the colour of a negated cell
_TURN = 0.6180339887  # neighbouring hues lie far apart
_MINUS = "\N{MINUS SIGN}"


def plot_orbits(
    layer_or_symmetry: Any,
    kernel_shape: tuple[int, ...] | None = None,
    *,
    max_filters: int = 8,
    max_channels: int = 4,
    title: str | None = None,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw which cells of a kernel are tied: cells that share a free weight have one colour and one letter.

    Dark cells with a minus sign have the weight negated; hatched cells are always zero; a cell that blends two weights
    names both. A structure that treats all channels alike is one square, a mix one for each part; flip banks and group
    kernels, which tie cells of several filters, show filters from left to right and input channels from top to bottom;
    twin flips show a filter and its flip. A 1-D kernel is a row of cells, a 3-D kernel its depth slices side by side.

    Args:
        layer_or_symmetry: A built layer or module with a structured kernel, or what :func:`tf_symconv.kernels.get`
            takes: a kernel map, a name such as ``"d4"``, or a mix ``{symmetry: count}``.
        kernel_shape: ``(*size, channels, filters)`` of the kernel; for symmetries only, since layers know theirs.
        max_filters: How many filters to show at most, where filters are shown.
        max_channels: How many input channels to show at most, where they are shown.
        title: What to write above; by default the name of the layer or symmetry and what it saves.
        figure: A ``matplotlib`` Figure or SubFigure to draw into; by default a new Figure of fitting size.

    Returns:
        The figure drawn into.

    Raises:
        TypeError: If there is no structured kernel in ``layer_or_symmetry``, or an argument has the wrong type.
        ValueError: If the layer is not built, there is no such symmetry, no kernel of the shape has it, its cells are
            blends of many weights (spectral kernels), or a number is out of range.
        ImportError: If matplotlib is not installed.

    Example:
        >>> figure = plot_orbits("circular", (5, 5, 1, 1))
        >>> [[text.get_text() for text in figure.axes[0].texts][i : i + 5] for i in (0, 5, 10)]
        [['A', 'B', 'B', 'B', 'A'], ['B', 'C', 'C', 'C', 'B'], ['B', 'C', 'D', 'C', 'B']]
        >>> figure.get_suptitle()
        'circular, 5x5: 4 free weights of 25'
    """
    for name, value in (("max_filters", max_filters), ("max_channels", max_channels)):
        check_count(name, value)
    panels, default_title = panels_of(layer_or_symmetry, kernel_shape, max_filters, max_channels)
    names = _Names(panels)
    rows, columns = len(panels), len(panels[0])
    tables = [[flat_picture(panel.cells, NO_CELL) for panel in row] for row in panels]
    height, width = tables[0][0].shape
    title = default_title if title is None else title
    if figure is None:
        cell = float(np.clip(_PANEL_INCHES / max(height, width), *_CELL_INCHES))
        gap = SPACE_INCHES + (0.2 if any(panel.title for row in panels for panel in row) else 0)
        figure = new_figure(
            max(0.065 * len(title) + 0.1, columns * (width * cell + gap)),
            rows * (height * cell + gap) + (0.3 if title else 0) + (0.2 if names.remark else 0),
        )
    inches = figure.bbox.width / figure.dpi / (columns * width)
    grid = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column in range(columns):
            _draw(grid[row, column], tables[row][column], names, min(inches, _CELL_INCHES[1]))
            grid[row, column].set_title(panels[row][column].title, fontsize=7.5, color=PALE_INK, pad=3)
    if title:
        figure.suptitle(title, fontsize=9, color=INK)
    if names.remark:
        figure.supxlabel(names.remark, fontsize=7, color=PALE_INK)
    return figure


class _Names:
    """The letters and colours of the free weights that a picture shows, in the order in which they appear."""

    def __init__(self, panels: list[list[Panel]]) -> None:
        self._own = next((panel.names for row in panels for panel in row if panel.names), {})
        cells = [cell for row in panels for panel in row for cell in panel.cells.flat]
        self._place: dict[Any, int] = {}
        for cell in cells:
            for weight, _ in cell:
                self._place.setdefault(weight, len(self._place))
        remarks = {
            "hatched: always zero": any(not cell for cell in cells),
            "dark: negated": any(coefficient < 0 for cell in cells for _, coefficient in cell),
        }
        self.remark = "; ".join(remark for remark, holds in remarks.items() if holds)

    def text(self, cell: tuple) -> str:
        """Return what is written into a cell."""
        terms = []
        for weight, coefficient in sorted(cell, key=lambda term: self._place[term[0]]):
            sign = _MINUS if coefficient < 0 else ""
            size = abs(coefficient)
            number = "" if len(cell) > 1 or np.isclose(size, 1) else f"{size:.2g}"
            terms.append(f"{sign}{number}{self._own.get(weight) or letters(self._place[weight])}")
        return "+".join(terms).replace(f"+{_MINUS}", _MINUS)

    def colour(self, cell: tuple) -> np.ndarray:
        """Return the colour of a cell: that of its weight, darker where it is negated; white for zeros."""
        if not cell:
            return np.ones(3)
        shares = np.abs([coefficient for _, coefficient in cell])
        hues = np.array([_hue(self._place[weight]) for weight, _ in cell])
        blend = shares @ hues / shares.sum()
        return blend * _SHADE if all(coefficient < 0 for _, coefficient in cell) else blend


def _hue(place: int) -> tuple[float, float, float]:
    import colorsys

    lightness = (0.80, 0.68, 0.88)[place // 8 % 3]
    return colorsys.hls_to_rgb((0.58 + place * _TURN) % 1.0, lightness, 0.62)


def _draw(axes: "Axes", table: np.ndarray, names: _Names, inches: float) -> None:
    from matplotlib.patches import Rectangle

    picture = np.ones((*table.shape, 4))
    for row, column in np.ndindex(table.shape):
        cell: Any = table[row, column]
        if cell is NO_CELL:
            picture[row, column, 3] = 0
            continue
        colour = names.colour(cell)
        picture[row, column, :3] = colour
        edge: dict[str, Any] = {"edgecolor": "white"} if cell else {"edgecolor": "#b6bdc6", "hatch": "////"}
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, linewidth=0.8, **edge))
        text = names.text(cell)
        size = 72 * inches * min(0.52, 1.2 / max(1, len(text)))
        if text and size >= _SMALLEST_TEXT:
            ink = INK if colour.mean() > 0.5 else "white"
            axes.text(column, row, text, ha="center", va="center_baseline", fontsize=size, color=ink)
    axes.imshow(picture, interpolation="nearest")
    frame(axes)
