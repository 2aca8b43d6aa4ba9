"""What a comparison depends on, and how the command line spells it."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from tf_symconv import groups
from tf_symconv.training import parse_kernel_size

PLAIN = "plain"
AUGMENTED = "augmented"
METHODS = (PLAIN, AUGMENTED, "symmetric", "flip_bank", "c4", "d4")
BUDGETS = ("parameters", "compute")
REFERENCE = "reference"  # in place of a budget: the plain network is what the others are matched to
GROUP, ANY = "group", "any"  # how images are turned
_EXTENT = ("sizes", "methods", "seeds", "any_angle")


def parse_sizes(text: str) -> tuple[int | None, ...]:
    """Read numbers of training images, ``"50,200,all"``; None stands for all.

    Raises:
        ValueError: if one is neither a positive integer nor ``all``, or comes twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if any(part != "all" and (not part.isascii() or not part.isdigit() or int(part) < 1) for part in parts):
        raise ValueError(f"sizes are positive integers and 'all', as in 50,200,all. Received: {text!r}")
    sizes = tuple(None if part == "all" else int(part) for part in parts)
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"a size must be given once. Received: {text!r}")
    return sizes


def parse_methods(text: str) -> tuple[str, ...]:
    """Read names of methods, ``"plain,c4"``; they are returned in the order of :data:`METHODS`.

    Raises:
        ValueError: if one is none of them, or comes twice.
    """
    names = [part.strip() for part in text.split(",")]
    if not set(names) <= set(METHODS) or len(set(names)) < len(names):
        raise ValueError(f"methods are different names of {', '.join(METHODS)}. Received: {text!r}")
    return tuple(method for method in METHODS if method in names)


def parse_group(text: str) -> str:
    """Read the name of a group of the square.

    Raises:
        ValueError: if there is none of that name.
    """
    groups.get(text, 2)
    return text


def parse_odd_kernel_size(text: str) -> int:
    """Read the size of a square kernel that has a centre.

    Raises:
        ValueError: if it is even, or not square.
    """
    height, width = parse_kernel_size(text)
    if height != width or not height % 2:
        raise ValueError(f"the kernels are square, of an odd size, so that they have a centre. Received: {text!r}")
    return height


@dataclasses.dataclass(frozen=True)
class Trial:
    """One network, trained once.

    Attributes:
        turns: ``"group"`` or ``"any"``: how images are turned.
        size: number of training images.
        seed: of the choice of the images, their turns, their order and the first weights.
        method: one of :data:`METHODS`.
        budget: one of :data:`BUDGETS`, or ``"reference"``.
    """

    turns: str
    size: int
    seed: int
    method: str
    budget: str

    @property
    def name(self) -> str:
        """A name for a file."""
        return f"{self.turns}-{self.size}-{self.seed}-{self.method}-{self.budget}"


@dataclasses.dataclass(frozen=True)
class ComparisonSettings:
    """What the figures of a comparison depend on. The names are those of the flags.

    A directory takes further sizes, seeds and methods; the rest is fixed for all trials in it.

    Attributes:
        dataset: name of the data set.
        group: the group whose elements turn the images, and under which the kernels of the symmetric network are
            invariant.
        sizes: numbers of training images, as :func:`parse_sizes` reads them.
        seeds: how often everything is repeated.
        methods: networks to train, as :func:`parse_methods` reads them.
        any_angle: whether to turn images by any angle too.
        width: channels of the plain network.
        kernel_size: of the square kernels.
        steps: training steps, at every size.
        batch_size: images per step.
        learning_rate: at the start; it falls to zero along a cosine.
        padding: cells of zeros added on each side before images are turned.
        image_size: height and width that images are resized to first, or None.
    """

    dataset: str = "digits"
    group: str = "c4"
    sizes: str = "50,100,200,500,all"
    seeds: int = 3
    methods: str = ",".join(METHODS)
    any_angle: bool = True
    width: int = 24
    kernel_size: str = "3"
    steps: int = 400
    batch_size: int = 32
    learning_rate: float = 0.005
    padding: int = 1
    image_size: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return dataclasses.asdict(self)

    def differences(self, others: dict[str, Any]) -> list[str]:
        """Name the flags whose values differ from ``others``, but for those that only add trials."""
        return [
            f"--{name} ({others.get(name)} there, {value} here)"
            for name, value in self.to_dict().items()
            if name not in _EXTENT and others.get(name) != value
        ]

    @property
    def turns(self) -> tuple[str, ...]:
        """How images are turned."""
        return (GROUP, ANY) if self.any_angle else (GROUP,)

    def trials(self, sizes: Sequence[int]) -> Iterator[Trial]:
        """Yield all trials, seed by seed, so that every figure has its first value early.

        Args:
            sizes: numbers of training images.
        """
        for seed, turns, size in itertools.product(range(self.seeds), self.turns, sizes):
            for method in parse_methods(self.methods):
                for budget in budgets_of(method):
                    yield Trial(turns, size, seed, method, budget)


def budgets_of(method: str) -> tuple[str, ...]:
    """Return what a method's networks are matched to the plain one in."""
    return (REFERENCE,) if method in (PLAIN, AUGMENTED) else BUDGETS
