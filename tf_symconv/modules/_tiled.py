"""Convolutions whose kernels repeat a small one."""

from typing import Any, final

from tf_symconv import kernels
from tf_symconv.modules._bases import Conv1D, Conv2D, Conv3D
from tf_symconv.modules._convolutions import StructuredConv
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


@final
class TiledConv1D(TiledKernel, StructuredConv, Conv1D):
    """1-D convolution whose kernels repeat a small kernel.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.TiledConv1D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        multiples, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = TiledConv1D(4, 2, multiples=3)
        >>> module(tf.zeros((2, 10, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 5, 4], [2, 3, 4])
    """


@final
class TiledConv2D(TiledKernel, StructuredConv, Conv2D):
    """2-D convolution whose kernels repeat a small kernel.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.TiledConv2D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        multiples, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = TiledConv2D(4, (1, 5), padding="same", multiples=(5, 1))
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 8, 8, 4], [1, 5, 3, 4])
    """


@final
class TiledConv3D(TiledKernel, StructuredConv, Conv3D):
    """3-D convolution whose kernels repeat a small kernel.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.TiledConv3D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        multiples, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = TiledConv3D(4, (1, 2, 2), multiples=(3, 1, 1))
        >>> module(tf.zeros((1, 5, 5, 5, 2))).shape.as_list(), module.latent.shape.as_list()
        ([1, 3, 4, 4, 4], [1, 2, 2, 2, 4])
    """
