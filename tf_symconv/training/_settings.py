"""What a run depends on, and how the command line spells it."""

import dataclasses
import re
from typing import Any

SYMMETRIC = "symmetric"
PLAIN = "plain"
ROLES = (SYMMETRIC, PLAIN)  # in the order in which they are trained and shown


def parse_kernel_size(text: str) -> tuple[int, int]:
    """Read ``"5"`` or ``"3x5"`` (height x width).

    Raises:
        ValueError: if it is neither, or a size is 0.
    """
    match = re.fullmatch(r"\s*(\d{1,4})(?:\s*[x,]\s*(\d{1,4}))?\s*", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if 0 in size:
        raise ValueError(f"a kernel size is a number from 1, or two as in 3x5 (height x width). Received: {text!r}")
    return size


def parse_symmetry(text: str) -> str | dict[str, int | str]:
    """Read a name such as ``"hv"``, or a mix such as ``"hv=50%,circular=4"``.

    Which names there are, and whether the counts fit the filters, is for the layer to say.

    Returns:
        The name, or a dict of counts (int) and percentages (str, ending in "%").

    Raises:
        ValueError: if it is neither.
    """
    text = text.strip()
    if text and not set(text) & set("=,"):
        return text
    mix: dict[str, int | str] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([\w-]+)\s*=\s*(\d+|\d+(?:\.\d+)?\s*%)\s*", part)
        if not match or match[1] in mix:
            raise ValueError(
                "a symmetry is a name (hv), or a mix of different names with counts or percentages "
                f"(hv=50%,circular=4). Received: {text!r}"
            )
        mix[match[1]] = match[2].replace(" ", "") if match[2].endswith("%") else int(match[2])
    return mix


def parse_parity(text: str) -> str | tuple[str, ...]:
    """Read ``"even"`` or ``"odd"``, or one of them per axis as in ``"even,odd"``.

    Raises:
        ValueError: if it is neither.
    """
    parts = tuple(part.strip() for part in text.split(","))
    if not set(parts) <= {"even", "odd"}:
        raise ValueError(f"a parity is even or odd, or one of them per axis as in even,odd. Received: {text!r}")
    return parts[0] if len(parts) == 1 else parts


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the weights at the end of a run depend on. The names are those of the flags.

    Attributes:
        dataset: name of the data set.
        symmetry: as :func:`parse_symmetry` reads it.
        parity: as :func:`parse_parity` reads it.
        filters: filters of the convolutions in the first block; each further block has twice as many.
        kernel_size: as :func:`parse_kernel_size` reads it.
        epochs: passes over the training images.
        batch_size: images per step.
        seed: of the first weights, the dropout and the order of the images.
        learning_rate: at the start; it falls to zero along a cosine.
        image_size: height and width that images are resized to, or None.
        mixed_precision: whether to compute in 16 bits.
        jit_compile: whether to compile the training step with XLA.
    """

    dataset: str = "digits"
    symmetry: str = "hv"
    parity: str = "even"
    filters: int = 16
    kernel_size: str = "5"
    epochs: int = 20
    batch_size: int = 64
    seed: int = 0
    learning_rate: float = 0.003
    image_size: int | None = None
    mixed_precision: bool = False
    jit_compile: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return dataclasses.asdict(self)

    def differences(self, others: dict[str, Any]) -> list[str]:
        """Name the flags whose values differ from ``others``, as ``--epochs (30 there, 10 here)``."""
        return [
            f"--{name} ({others.get(name)} there, {value} here)"
            for name, value in self.to_dict().items()
            if others.get(name) != value
        ]
