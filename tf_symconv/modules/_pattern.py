"""Convolutions whose kernels are tied by a drawn pattern."""

from typing import Any, ClassVar, final

from tf_symconv import kernels
from tf_symconv.modules._bases import Conv1D, Conv2D
from tf_symconv.modules._convolutions import StructuredConv
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


@final
class PatternConv1D(PatternKernel1D, StructuredConv, Conv1D):
    """1-D convolution whose kernels are tied by a drawn pattern.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.PatternConv1D`, without regularisers and
    constraints.

    Args:
        filters, pattern, ...: As there; activations and initialisers are names or callables.
        implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = PatternConv1D(4, "AB.BA")
        >>> module(tf.zeros((2, 10, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 4], [2, 3, 4])
    """


@final
class PatternConv2D(PatternKernel, StructuredConv, Conv2D):
    """2-D convolution whose kernels are tied by a drawn pattern.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.PatternConv2D`, without regularisers and
    constraints.

    Args:
        filters, pattern, ...: As there; activations and initialisers are names or callables.
        implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = PatternConv2D(4, "AABCC/AABCC/DDEFF/GGHII/GGHII", padding="same")
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 8, 8, 4], [9, 3, 4])
    """
