"""Which free weights each cell of a kernel is made of, read off a kernel map."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tf_symconv.kernels import KernelMap, SpatialMap

#: A place in a picture that is no cell of the kernel.
NO_CELL: Any = None

_MOST_TERMS = 2
_LONGEST_LABEL = 44


@dataclasses.dataclass(frozen=True)
class Panel:
    """The cells of one kernel.

    Attributes:
        cells: Objects of the spatial shape: for each cell its terms, pairs of a free weight and its coefficient; an
            empty tuple for a structural zero.
        title: What to write above; may be empty.
        names: What the free weights are called, where the structure names them.
    """

    cells: np.ndarray
    title: str = ""
    names: dict[Any, str] = dataclasses.field(default_factory=dict)


def letters(place: int) -> str:
    """Return A to Z, then AA, AB, ... as spreadsheets name their columns.

    >>> [letters(place) for place in (0, 25, 26, 27, 702)]
    ['A', 'Z', 'AA', 'AB', 'AAA']
    """
    text = ""
    while place >= 0:
        place, digit = divmod(place, 26)
        text, place = chr(ord("A") + digit) + text, place - 1
    return text


def panels_of(
    source: Any, kernel_shape: Sequence[int] | None, max_filters: int, max_channels: int
) -> tuple[list[list[Panel]], str]:
    """Return rows of panels, and a title: see :func:`tf_symconv.plotting.plot_orbits`."""
    from tf_symconv import kernels

    if hasattr(source, "built") or hasattr(source, "kernel_map"):
        kernel_map, shape, name = _of_layer(source, kernel_shape)
    else:
        kernel_map = kernels.get(source)
        if kernel_shape is None:
            raise ValueError(
                "A symmetry by itself needs the kernel_shape (*size, channels, filters). Received: kernel_shape=None"
            )
        shape, name = tuple(kernel_shape), source if isinstance(source, str) else _label(kernel_map)
    free = int(np.prod(kernel_map.latent_shape(shape)))
    if isinstance(kernel_map, kernels.SwapChannels):
        kernel_map, shape = kernel_map.inner, (*shape[:-2], shape[-1], shape[-2])
    spatial, (channels, filters) = shape[:-2], shape[-2:]
    size = "x".join(map(str, spatial))
    cells = int(np.prod(spatial))
    twins: Any = source
    if hasattr(twins, "flipped_axes"):
        own = _free_panel(spatial, "a filter")
        flip = np.empty(spatial, object)
        flip[...] = np.flip(own.cells, twins.flipped_axes)
        return [[own, Panel(flip, f"its flip, {twins.axes}")]], f"{name}: {size}, each filter and its flip"
    if isinstance(kernel_map, kernels.SpatialMap):
        weights = kernel_map.table(spatial).size
        return [[_spatial_panel(kernel_map, spatial)]], f"{name}, {size}: {weights} free weights of {cells}"
    if isinstance(kernel_map, kernels.Free):
        return [[_free_panel(spatial)]], f"{name}, {size}: all {cells} weights are free"
    title = f"{name}, {size}: {free:,} free weights of {cells * channels * filters:,}"
    if isinstance(kernel_map, kernels.Mix) and all(
        isinstance(part, kernels.SpatialMap | kernels.Free) for part, _ in kernel_map.parts
    ):
        parts = zip([*(part for part, _ in kernel_map.parts), kernels.Free()], kernel_map.counts(filters), strict=True)
        return [[_part_panel(part, count, spatial, i) for i, (part, count) in enumerate(parts) if count]], title
    return _probed(kernel_map, shape, max_filters, max_channels), title


def _of_layer(layer: Any, kernel_shape: Any) -> tuple["KernelMap", tuple[int, ...], str]:
    if kernel_shape is not None:
        raise ValueError(f"A layer knows the shape of its kernel. Received: kernel_shape={kernel_shape}")
    if not hasattr(layer, "kernel_map"):
        raise TypeError(f"A layer must have a structured kernel. Received: {type(layer).__name__} {layer.name!r}")
    if getattr(layer, "kernel_shape", None) is None:
        raise ValueError(f"A layer has a kernel once it is built. Received: unbuilt layer {layer.name!r}")
    return layer.kernel_map, tuple(layer.kernel_shape), layer.name


def _label(kernel_map: "KernelMap") -> str:
    from tf_symconv import groups, kernels

    names = [*groups.names(3), "circular", "free"]
    written = repr(kernel_map) if len(repr(kernel_map)) <= _LONGEST_LABEL else type(kernel_map).__name__
    return next((name for name in names if kernels.get(name) == kernel_map), written)


def _spatial_panel(
    kernel_map: "SpatialMap", spatial: tuple[int, ...], title: str = "", part: int | None = None
) -> Panel:
    table = kernel_map.table(spatial)
    cells = np.empty(int(np.prod(spatial)), object)
    for cell in range(len(cells)):
        terms: dict[int, float] = {}
        for index, weight in zip(table.index[:, cell], table.weight[:, cell], strict=True):
            terms[int(index)] = terms.get(int(index), 0.0) + float(weight)
        terms = {index: weight for index, weight in terms.items() if abs(weight) > 1e-9}
        if len(terms) > _MOST_TERMS:
            raise ValueError(_blends(kernel_map))
        cells[cell] = tuple((index if part is None else (part, index), weight) for index, weight in terms.items())
    labels = getattr(kernel_map, "labels", None)
    names = {}
    if labels is not None and part is None:
        order = dict.fromkeys(label for row in labels for label in row if label != ".")
        names = {index: str(label) for index, label in enumerate(order)}
    return Panel(cells.reshape(spatial), title, names)


def _free_panel(spatial: tuple[int, ...], title: str = "", part: int = 0) -> Panel:
    cells = np.empty(int(np.prod(spatial)), object)
    for cell in range(len(cells)):
        cells[cell] = (((part, cell), 1.0),)
    return Panel(cells.reshape(spatial), title)


def _part_panel(part: Any, count: int, spatial: tuple[int, ...], number: int) -> Panel:
    from tf_symconv import kernels

    title = f"{_label(part)}: {count} filter{'s' if count > 1 else ''}"
    if isinstance(part, kernels.SpatialMap):
        return _spatial_panel(part, spatial, title, number)
    return _free_panel(spatial, title, number)


def _probed(kernel_map: "KernelMap", shape: tuple[int, ...], max_filters: int, max_channels: int) -> list[list[Panel]]:
    """Return a panel for each channel and filter of a map whose cells are single free weights, up to a factor."""
    latent_shape = kernel_map.latent_shape(shape)
    numbers = np.arange(1.0, np.prod(latent_shape) + 1)

    def expand(latent: Any) -> np.ndarray:
        return np.asarray(kernel_map.expand(latent.reshape(latent_shape), shape))

    factor, numbered = expand(np.ones(numbers.size)), expand(numbers)
    index = np.rint(np.divide(numbered, factor, out=np.ones_like(factor), where=np.abs(factor) > 1e-9)).astype(int) - 1
    check = np.random.default_rng(0).normal(size=numbers.size)
    if index.min() < 0 or index.max() >= check.size or not np.allclose(expand(check), factor * check[index]):
        raise ValueError(_blends(kernel_map))
    rows = []
    for channel in range(min(max_channels, shape[-2])):
        row = []
        for filter_ in range(min(max_filters, shape[-1])):
            cells = np.empty(shape[:-2], object)
            for place in np.ndindex(shape[:-2]):
                weight = factor[(*place, channel, filter_)]
                cells[place] = ((int(index[(*place, channel, filter_)]), float(weight)),) if weight else ()
            row.append(Panel(cells, f"filter {filter_}" if channel == 0 else ""))
        rows.append(row)
    return rows


def _blends(kernel_map: Any) -> str:
    return (
        "The cells of the kernel must be free weights, or blends of two, for a picture of which are tied. "
        f"Received: {kernel_map!r}, whose cells blend many"
    )
