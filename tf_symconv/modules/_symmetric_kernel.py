"""Kernels that reflections or rotations leave as they are, for every kind of convolution."""

from collections.abc import Sequence
from typing import Any

from tf_symconv import kernels
from tf_symconv.modules._structured import Structured


class SymmetricKernel(Structured):
    """Mixin: the kernel is invariant under reflections or rotations, or has another structure given by ``symmetry``."""

    def __init__(
        self,
        *args: Any,
        symmetry: kernels.Symmetry = "hv",
        parity: str | Sequence[str] = "even",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        kernel_map = kernels.get(symmetry, parity)
        self.kernel_map = self.as_stored(kernel_map)
        self.symmetry = symmetry if isinstance(symmetry, str) else kernel_map
        self.parity = parity if isinstance(parity, str) else tuple(parity)
        self.check_structure()

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        symmetry = self.symmetry if isinstance(self.symmetry, str) else kernels.serialize(self.symmetry)
        parity = self.parity if isinstance(self.parity, str) else list(self.parity)
        return {**super().get_config(), "symmetry": symmetry, "parity": parity}


class SymmetricKernel1D(SymmetricKernel):
    """Mixin: the same in 1-D, where kernels are mirrored by default."""

    def __init__(self, *args: Any, symmetry: kernels.Symmetry = "h", **kwargs: Any) -> None:
        super().__init__(*args, symmetry=symmetry, **kwargs)
