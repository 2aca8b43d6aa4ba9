"""What can be measured: layers, the grid of shapes, and the profiles that pick from it. Free of TensorFlow."""

import dataclasses
import fnmatch
import math
from collections.abc import Callable, Iterable, Sequence

KINDS = ("inference", "training")
KERNELS = (3, 5, 7, 11)
CHANNELS = ((3, 64), (32, 32), (64, 64), (128, 128))
SIZES = (32, 56)
BATCHES = (1, 8, 32)


@dataclasses.dataclass(frozen=True)
class Case:
    """One layer at one shape, for inference or for a training step.

    Args:
        layer: A name out of :data:`LAYERS`.
        kernel: The size of the full kernel along each axis.
        channels_in: Input channels.
        channels_out: Output channels.
        size: Height and width of the input, as :meth:`Layer.spatial` reads it.
        batch: Examples in a batch.
        kind: ``"inference"`` or ``"training"``.
    """

    layer: str
    kernel: int
    channels_in: int
    channels_out: int
    size: int
    batch: int
    kind: str

    @property
    def shape(self) -> str:
        """The shape, for people: channels, spatial axes, batch."""
        space = "x".join(map(str, LAYERS[self.layer].spatial(self.size)))
        return f"{self.channels_in}->{self.channels_out} {space} b{self.batch}"

    @property
    def key(self) -> str:
        """The name of the case: one word."""
        return (
            f"{self.layer}/k{self.kernel}/{self.channels_in}-{self.channels_out}/s{self.size}/b{self.batch}/{self.kind}"
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input, channels last."""
        return (self.batch, *LAYERS[self.layer].spatial(self.size), self.channels_in)

    @property
    def work(self) -> float:
        """Multiplications of the dense layer, roughly: cases are measured in the order of it."""
        layer = LAYERS[self.layer]
        passes = 3 if self.kind == "training" else 1
        cells = math.prod(self.input_shape[:-1]) * self.kernel**layer.rank
        return float(cells * self.channels_in * (1 if layer.depthwise else self.channels_out) * passes)


@dataclasses.dataclass(frozen=True)
class Layer:
    """What the grid has to know about a layer.

    Args:
        title: The layer in a few words.
        aim: Multiplications of the folded form for a kernel size, as a share of the dense one's.
        rank: The number of spatial axes.
        kernels: The kernel sizes that make sense; None for all odd ones.
        order: What the output channels must be a multiple of; the input's too where ``regular``.
        regular: Whether the input carries the group.
        depthwise: Whether every channel has its own kernels, so that channels in and out must agree.
    """

    title: str
    aim: Callable[[int], float]
    rank: int = 2
    kernels: tuple[int, ...] | None = None
    order: int = 1
    regular: bool = False
    depthwise: bool = False

    def spatial(self, size: int) -> tuple[int, ...]:
        """Return the spatial shape with about as many cells as an image of this size, but for 3-D, which has fewer."""
        if self.rank == 1:
            return (size * size,)
        return (size, size) if self.rank == 2 else (max(size // 4, 2),) * 3

    def takes(self, case: Case) -> bool:
        """Return whether the layer exists at this shape."""
        if self.kernels is not None and case.kernel not in self.kernels:
            return False
        if case.channels_out % self.order or (self.regular and case.channels_in % self.order):
            return False
        return not self.depthwise or case.channels_in == case.channels_out


def _half(kernel: int) -> float:
    return math.ceil(kernel / 2) / kernel


def _quarter(kernel: int) -> float:
    return _half(kernel) ** 2


def _turned(kernel: int) -> float:
    return math.ceil(kernel**2 / 2) / kernel**2


def _none(kernel: int) -> float:
    del kernel
    return 1.0


LAYERS: dict[str, Layer] = {
    "mirror-v": Layer("kernels mirrored up-down", _half),
    "mirror-h": Layer("kernels mirrored left-right", _half),
    "mirror-hv": Layer("kernels mirrored both ways", _quarter),
    "c2": Layer("kernels equal to their half turn", _turned),
    "c4": Layer("kernels equal to their quarter turns", _turned),
    "d4": Layer("kernels with all symmetries of the square", _quarter),
    "circular": Layer("kernels that depend on the radius", _quarter),
    "tile-rows": Layer("k equal rows: a (1, k) kernel, (k, 1) times", lambda k: 1 / k),
    "tile-columns": Layer("k equal columns: a (k, 1) kernel, (1, k) times", lambda k: 1 / k),
    "pattern": Layer("pattern AABCC/AABCC/DDEFF/GGHII/GGHII", lambda k: 9 / 25, kernels=(5,)),
    "twin-max": Layer("a filter and its left-right flip, the larger output", _half),
    "twin-sum": Layer("a filter and its left-right flip, the sum", lambda k: _half(k) / 2),
    "twin-concat": Layer("a filter and its left-right flip, both outputs", _half, order=2),
    "bank-hv": Layer("flip bank, all filters in quadruples", _quarter, order=4),
    "depthwise": Layer("depthwise, mirrored both ways", _quarter, depthwise=True),
    "separable": Layer("separable, mirrored both ways", _none),
    "mirror-1d": Layer("1-D, mirrored", _half, rank=1),
    "mirror-3d": Layer("3-D, mirrored along all axes", lambda k: _half(k) ** 3, rank=3, kernels=(3, 5)),
    "spectral": Layer("kernels stored as spectra", _none),
    "group-c4-lift": Layer("group convolution, c4, from an image", _turned, order=4),
    "group-c4-regular": Layer("group convolution, c4 to c4", _turned, order=4, regular=True),
    "group-d4-lift": Layer("group convolution, d4, from an image", _half, order=8),
    "group-d4-regular": Layer("group convolution, d4 to d4", _half, order=8, regular=True),
}


def grid(
    layers: Iterable[str],
    kernels: Sequence[int] = KERNELS,
    channels: Sequence[tuple[int, int]] = CHANNELS,
    sizes: Sequence[int] = SIZES,
    batches: Sequence[int] = BATCHES,
    kinds: Sequence[str] = KINDS,
) -> list[Case]:
    """Return all cases that exist out of these, the cheap ones first."""
    cases = [
        Case(layer, kernel, *pair, size, batch, kind)
        for layer in layers
        for kernel in kernels
        for pair in channels
        for size in sizes
        for batch in batches
        for kind in kinds
    ]
    return sorted((case for case in cases if LAYERS[case.layer].takes(case)), key=lambda case: case.work)


def matching(wanted: Sequence[str]) -> list[str]:
    """Return the layers that are named: exactly, by their beginning, or with ``*``.

    Raises:
        ValueError: If a name fits no layer.
    """
    found = []
    for text in wanted:
        names = [text] if text in LAYERS else [n for n in LAYERS if n.startswith(text) or fnmatch.fnmatch(n, text)]
        if not names or not text:
            raise ValueError(f"no layer is named {text!r}; there are {', '.join(LAYERS)}")
        found += names
    return [name for name in LAYERS if name in found]
