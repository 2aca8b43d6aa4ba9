"""Convolutions whose kernels are tied by a drawn pattern."""

from typing import Any, ClassVar

from tf_symconv import kernels
from tf_symconv.modules._structured import Structured


class PatternKernel(Structured):
    """Mixin: a pattern, given in the place of ``kernel_size``, says which cells of the kernel share a weight."""

    renamed_arguments: ClassVar[dict[str, str]] = {"kernel_size": "pattern"}

    def __init__(self, filters: int, pattern: Any, *args: Any, **kwargs: Any) -> None:
        kernel_map = pattern if isinstance(pattern, kernels.Pattern) else kernels.Pattern(pattern)
        super().__init__(filters, self._size(kernel_map), *args, **kwargs)
        self.kernel_map = self._pattern = kernel_map
        self.check_structure()

    def _size(self, pattern: kernels.Pattern) -> tuple[int, ...]:
        """Return the size of the kernel that has this pattern."""
        return pattern.shape

    @property
    def pattern(self) -> tuple[tuple[str | int, ...], ...]:
        """The labels, row by row."""
        return self._pattern.labels

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        config = super().get_config()
        del config["kernel_size"]
        return {**config, "pattern": [list(row) for row in self.pattern]}


class PatternKernel1D(PatternKernel):
    """Mixin: the same in 1-D, where a pattern has one row."""

    def _size(self, pattern: kernels.Pattern) -> tuple[int, ...]:
        if pattern.shape[0] != 1:
            raise ValueError(f"In 1-D a pattern has one row. Received: pattern={pattern.labels}")
        return pattern.shape[1:]
