"""What the symmetric convolutions of CNN-Symmetry do, whether Keras 3 or Keras 2 holds their variables."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.compat_v1._old_convolutions import fresh, one_of
from tf_symconv.kernels import FlipBank, KernelMap, draw_latent, swap_channels
from tf_symconv.modules._structured import Structured

__all__ = ["CustomSymmetricConv", "SymmetricConv", "SymmetricConvTranspose"]

_IMAGES = {"h": 2, "v": 2, "hv": 4, "nonsym": 1}
_KERNELS = {"h": "kernel_sym_h", "v": "kernel_sym_v", "hv": "kernel_sym_hv", "nonsym": "kernel_nonsym"}
#: The originals list shared biases in another order than filters.
_BIAS_ORDERS = {"original": ("v", "h", "hv", "nonsym"), "filters": ("h", "v", "hv", "nonsym")}


class _Parts:
    """A class attribute that stores variables when it is set, and joins them when it is read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        if f"_{self._name}" not in layer.__dict__:
            raise AttributeError(f"A layer has a {self._name} once it is built. Received: unbuilt layer {layer.name!r}")
        parts = layer.__dict__[f"_{self._name}"]
        return None if parts is None else layer._joined(self._name, parts)

    def __set__(self, layer: Any, parts: Any) -> None:
        setattr(layer, f"_{self._name}", parts)


class _PartOf:
    """Draws a part of the unique filters as our layers draw all of them: the initialiser sees the whole kernel."""

    def __init__(
        self, base: Callable[..., Any], kernel_map: KernelMap, kernel_shape: Sequence[int], start: int
    ) -> None:
        self.base = base
        self.kernel_map = kernel_map
        self.kernel_shape = tuple(kernel_shape)
        self.start = start

    def __call__(self, shape: Sequence[int], dtype: Any = None, **kwargs: Any) -> Any:
        """Return the value of a variable of this shape."""
        del kwargs
        latent = draw_latent(self.base, self.kernel_map, self.kernel_shape, dtype)
        return latent[..., self.start : self.start + int(shape[-1])]


class SymmetricConv(Structured):
    """Mixin: ``SymmetricConv2D``. Each block of filters has a variable, and each block of shared biases."""

    kernel = _Parts()
    bias = _Parts()

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        symmetry: Mapping[str, int | str] | None = None,
        share_bias: bool = True,
        *,
        bias_order: str = "original",
        fans: str = "variable",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        counts = self._counts({} if symmetry is None else symmetry)
        if not isinstance(share_bias, bool):
            raise ValueError(f"share_bias must be True or False. Received: share_bias={share_bias!r}")
        self.share_bias = share_bias
        self.bias_order = one_of("bias_order", bias_order, tuple(_BIAS_ORDERS))
        self.fans = one_of("fans", fans, ("variable", "kernel"))
        self.h, self.v, self.hv = (counts[name] for name in ("h", "v", "hv"))
        self.filters_sym = self.h + self.v + self.hv
        self.filters_nonsym = self.filters - self.filters_sym
        self.kernel_map = self.as_stored(FlipBank(counts))
        self.check_structure()

    def _counts(self, symmetry: Mapping[str, int | str]) -> dict[str, int]:
        """Return the number of filters of each kind."""
        return resolve({"h": 0, "v": 0, "hv": 0, **_checked(symmetry)}, self.filters)

    @property
    def _unique(self) -> dict[str, int]:
        """How many filters of their own the blocks have, without those that have none."""
        counts = {"h": self.h, "v": self.v, "hv": self.hv, "nonsym": self.filters_nonsym}
        return {name: count // _IMAGES[name] for name, count in counts.items() if count}

    @property
    def latent(self) -> Any:
        """The unique filters of all blocks: a tensor."""
        parts = self.__dict__.get("_kernel")
        if parts is None:
            raise AttributeError(f"A layer has a latent once it is built. Received: unbuilt layer {self.name!r}")
        return tf.concat([tf.convert_to_tensor(part) for part in parts], -1)

    def _joined(self, name: str, parts: Any) -> Any:
        if name == "kernel":
            return self.kernel_map.expand(self.latent, self.kernel_shape)
        if not self.share_bias:
            return parts[0]
        names = [part for part in _BIAS_ORDERS[self.bias_order] if part in self._unique]
        tensors = [tf.convert_to_tensor(part) for part in parts]
        return tf.concat(
            [each for name, part in zip(names, tensors, strict=True) for each in [part] * _IMAGES[name]], 0
        )

    def add_weight(self, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Add a weight; for the kernel and shared biases one for each block."""
        add = super(Structured, self).add_weight
        if name == "kernel":
            self.kernel_shape = shape = tuple(kwargs.pop("shape"))
            *cell, _ = self.kernel_map.latent_shape(shape)
            base, start, parts = kwargs.pop("initializer"), 0, []
            for block, unique in self._unique.items():
                draw = fresh(base) if self.fans == "variable" else _PartOf(base, self.kernel_map, shape, start)
                parts.append(add(*args, name=_KERNELS[block], shape=(*cell, unique), initializer=draw, **kwargs))
                start += unique
            return parts
        if name == "bias" and not self.share_bias:
            return [add(*args, name=name, **kwargs)]
        if name == "bias":
            del kwargs["shape"]
            base = kwargs.pop("initializer")
            return [
                add(*args, name=f"bias_{block}", shape=(self._unique[block],), initializer=fresh(base), **kwargs)
                for block in _BIAS_ORDERS[self.bias_order]
                if block in self._unique
            ]
        return add(*args, name=name, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        own = {
            "symmetry": {"h": self.h, "v": self.v, "hv": self.hv},
            "share_bias": self.share_bias,
            "bias_order": self.bias_order,
            "fans": self.fans,
        }
        return {**super().get_config(), **own}


class CustomSymmetricConv(SymmetricConv):
    """Mixin: ``SymmetricConv2D`` of ``custom_layers``: flipped filters by default, and a dict that it fills in."""

    _DEFAULTS = {"h": "30%", "v": "20%", "hv": "20%"}  # noqa: RUF012
    _shared: dict[str, int | str] = {}  # noqa: RUF012

    def __init__(self, filters: int, kernel_size: Any, symmetry: Any = None, share_bias: bool = True, **kwargs: Any):
        symmetry = type(self)._shared if symmetry is None else symmetry
        super().__init__(filters, kernel_size, symmetry, share_bias, **kwargs)

    def _counts(self, symmetry: Mapping[str, int | str]) -> dict[str, int]:
        counts = resolve({**self._DEFAULTS, **_checked(symmetry)}, self.filters)
        if isinstance(symmetry, MutableMapping):
            symmetry.update(counts)
        return counts


class SymmetricConvTranspose(SymmetricConv):
    """Mixin: ``SymmetricConv2DTranspose``."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        output_padding: Any = None,
        dilation_rate: Any = (1, 1),
        *,
        orbits: str = "channels",
        **kwargs: Any,
    ) -> None:
        one_of("orbits", orbits, ("channels", "filters"))
        # The constructor of the kernel map asks for it before Keras has attributes.
        self.__dict__["orbits"] = orbits
        super().__init__(
            filters, kernel_size, strides=strides, output_padding=output_padding, dilation_rate=dilation_rate, **kwargs
        )

    def as_stored(self, kernel_map: Any) -> Any:
        """Return the map for kernels of shape ``(height, width, filters, channels)``."""
        return kernel_map if self.orbits == "channels" else swap_channels(kernel_map)

    def build(self, input_shape: Any) -> None:
        """Create the variables for inputs of this shape."""
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        if self.orbits == "channels" and channels != self.filters:
            raise ValueError(
                f"SymmetricConv2DTranspose flips along its input channels, as the original, so it needs as many as "
                f"filters; orbits='filters' flips along the filters and takes any number. "
                f"Received: filters={self.filters}, {channels} input channels"
            )
        super().build(input_shape)

    def check_structure(self) -> None:
        """Raise a ValueError if no kernel of this size and these filters has the structure."""
        self.kernel_map.latent_shape((*self.kernel_size, self.filters, self.filters))

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "orbits": self.orbits}


def _checked(symmetry: Any) -> dict[str, Any]:
    if not isinstance(symmetry, Mapping) or set(symmetry) - {"h", "v", "hv"}:
        raise ValueError(
            "symmetry must be a dict with keys out of 'h', 'v', 'hv' and counts or percentages of filters. "
            f"Received: symmetry={symmetry!r}"
        )
    return dict(symmetry)


def resolve(symmetry: Mapping[str, int | str], filters: int) -> dict[str, int]:
    """Return the number of filters of each kind; percentages are rounded, then cut down to pairs or quadruples.

    Raises:
        ValueError: If a count is not whole pairs or quadruples, or the filters are fewer.
    """
    counts = {}
    for name, value in symmetry.items():
        images, count = _IMAGES[name], value
        if isinstance(value, str):
            try:
                count = round(float(value.removesuffix("%")) * filters / 100) // images * images
            except (ValueError, OverflowError):
                count = -1
            count = count if value.endswith("%") else -1
        if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 0 or count % images:
            raise ValueError(
                f"symmetry must hold multiples of {images} for {name!r}, or percentages such as '50%'. "
                f"Received: symmetry={dict(symmetry)!r}"
            )
        counts[name] = int(count)
    if sum(counts.values()) > filters:
        raise ValueError(
            f"symmetry must not claim more filters than there are, {filters}. Received: symmetry={dict(symmetry)!r}, "
            f"which is {sum(counts.values())} filters"
        )
    return counts
