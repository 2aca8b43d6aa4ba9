"""Convolutions whose filters come in orbits: a filter, and its flips as further filters."""

import types
from collections.abc import Mapping
from typing import Any

from tf_symconv import kernels
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
