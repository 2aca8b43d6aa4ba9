"""Convolutions whose filters come in orbits: a filter, and its flips as further filters."""

import types
from collections.abc import Mapping
from typing import Any, final

from tf_symconv import kernels
from tf_symconv.modules._bases import Conv1D, Conv2D, Conv2DTranspose, Conv3D, Conv3DTranspose
from tf_symconv.modules._convolutions import StructuredConv, StructuredConvTranspose
from tf_symconv.modules._structured import Structured

Bank = Mapping[str, kernels.Count] | kernels.FlipBank

_ALL_H = types.MappingProxyType({"h": "100%"})
_ALL_HV = types.MappingProxyType({"hv": "100%"})
_ALL_HVZ = types.MappingProxyType({"hvz": "100%"})


class FlipBankKernel(Structured):
    """Mixin: the filters come in orbits under flips, as :class:`~tf_symconv.kernels.FlipBank` orders them."""

    def __init__(
        self,
        *args: Any,
        symmetry: Bank,
        share_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.bank = symmetry if isinstance(symmetry, kernels.FlipBank) else kernels.FlipBank(symmetry)
        self.kernel_map = self.as_stored(self.bank)
        if not isinstance(share_bias, bool):
            raise ValueError(f"share_bias must be True or False. Received: share_bias={share_bias!r}")
        self.share_bias = share_bias
        self.check_structure()
        self.shared_bias = tuple(self.bank.orbits(self.filters).tolist()) if share_bias else None

    @property
    def symmetry(self) -> dict[str, kernels.Count]:
        """The count of output filters of each block."""
        return dict(self.bank.symmetry)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "symmetry": self.symmetry, "share_bias": self.share_bias}


class FlipBankKernel1D(FlipBankKernel):
    """Mixin: the same in 1-D, all filters in the largest orbits by default."""

    def __init__(self, *args: Any, symmetry: Bank = _ALL_H, **kwargs: Any) -> None:
        super().__init__(*args, symmetry=symmetry, **kwargs)


class FlipBankKernel2D(FlipBankKernel):
    """Mixin: the same in 2-D, all filters in the largest orbits by default."""

    def __init__(self, *args: Any, symmetry: Bank = _ALL_HV, **kwargs: Any) -> None:
        super().__init__(*args, symmetry=symmetry, **kwargs)


class FlipBankKernel3D(FlipBankKernel):
    """Mixin: the same in 3-D, all filters in the largest orbits by default."""

    def __init__(self, *args: Any, symmetry: Bank = _ALL_HVZ, **kwargs: Any) -> None:
        super().__init__(*args, symmetry=symmetry, **kwargs)


@final
class FlipBankConv1D(FlipBankKernel1D, StructuredConv, Conv1D):
    """1-D convolution whose filters come in orbits under flips.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.FlipBankConv1D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, share_bias, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = FlipBankConv1D(8, 3)
        >>> module(tf.zeros((2, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 8], [3, 3, 4])
    """


@final
class FlipBankConv2D(FlipBankKernel2D, StructuredConv, Conv2D):
    """2-D convolution whose filters come in orbits under flips.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.FlipBankConv2D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, share_bias, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = FlipBankConv2D(8, 3)
        >>> module(tf.zeros((2, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 8], [3, 3, 3, 2])
    """


@final
class FlipBankConv3D(FlipBankKernel3D, StructuredConv, Conv3D):
    """3-D convolution whose filters come in orbits under flips.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.FlipBankConv3D`, without regularisers and
    constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, share_bias, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = FlipBankConv3D(8, 3)
        >>> module(tf.zeros((2, 8, 8, 8, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 6, 8], [3, 3, 3, 3, 1])
    """


@final
class FlipBankConv2DTranspose(FlipBankKernel2D, StructuredConvTranspose, Conv2DTranspose):
    """2-D transposed convolution whose filters come in orbits under flips.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.FlipBankConv2DTranspose`, without regularisers
    and constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, share_bias, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = FlipBankConv2DTranspose(8, 3)
        >>> module(tf.zeros((2, 4, 4, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 8], [3, 3, 3, 2])
    """


@final
class FlipBankConv3DTranspose(FlipBankKernel3D, StructuredConvTranspose, Conv3DTranspose):
    """3-D transposed convolution whose filters come in orbits under flips.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.FlipBankConv3DTranspose`, without regularisers
    and constraints.

    Args:
        filters, kernel_size, ...: As there; activations and initialisers are names or callables.
        symmetry, share_bias, implementation: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = FlipBankConv3DTranspose(8, 3)
        >>> module(tf.zeros((2, 4, 4, 4, 3))).shape.as_list(), module.latent.shape.as_list()
        ([2, 6, 6, 6, 8], [3, 3, 3, 3, 1])
    """
