"""Convolutions whose kernels repeat a small one."""

from typing import Any

from tf_symconv import kernels
from tf_symconv.modules._structured import Structured


class TiledKernel(Structured):
    """Mixin: the kernel repeats a small kernel, whose size is the argument ``kernel_size``.

    The attribute ``kernel_size`` is the full kernel's, since padding and output shapes follow from it.
    """

    def __init__(self, *args: Any, multiples: int | tuple[int, ...] = 2, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_map = tile = kernels.Tile(multiples)
        self.multiples = tile.each(self.rank)
        self.kernel_size = tuple(n * multiple for n, multiple in zip(self.kernel_size, self.multiples, strict=True))
        self.check_structure()

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        small = tuple(n // multiple for n, multiple in zip(self.kernel_size, self.multiples, strict=True))
        return {**super().get_config(), "kernel_size": small, "multiples": self.multiples}
