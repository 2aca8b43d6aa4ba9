"""What the convolution layers of the TF1 era do, whether Keras 3 or Keras 2 holds their variables.

Each mixin has the arguments of an original, its variables (names, shapes, order) and its quirks, and takes the
convolution from :mod:`tf_symconv.modules`. It imports no Keras.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tf_symconv.compat_v1._old_kernels import PlanesFirst, Spread
from tf_symconv.kernels import GroupRegular, KernelMap
from tf_symconv.modules._group_conv import GroupKernel
from tf_symconv.modules._structured import Structured
from tf_symconv.modules._tiled import TiledKernel

__all__ = ["ORDERS", "CustomConv", "GConv", "OldKernel", "TiledConv", "fresh", "group_order", "one_of"]

#: The stabilisers of the plane groups by their old names, and their orders.
ORDERS = {"Z2": 1, "C4": 4, "D4": 8}


def group_order(argument: str, value: Any, among: Sequence[str] = tuple(ORDERS)) -> int:
    """Return the order of a group by its old name.

    Raises:
        ValueError: If there is no such group.
    """
    return ORDERS[one_of(argument, value, among)]


def one_of(argument: str, value: Any, among: Sequence[str]) -> str:
    """Return a value if it is one of these.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"{argument} must be one of {', '.join(map(repr, among))}. Received: {argument}={value!r}")
    return value


def fresh(initializer: Any) -> Any:
    """Return an initialiser that draws other values: those of today give every variable of a shape the same ones.

    One with a seed keeps it, and one that is a function is left as it is.
    """
    if hasattr(initializer, "get_config") and hasattr(initializer, "from_config"):
        return type(initializer).from_config(initializer.get_config())
    return initializer


class DrawnAsStored:
    """Draws a variable with its own shape, as the originals did, not with that of the kernel it stands for."""

    def __init__(self, base: Callable[..., Any]) -> None:
        self.base = base

    def __call__(self, shape: Sequence[int], dtype: Any = None, **kwargs: Any) -> Any:
        """Return the value of a variable of this shape."""
        return self.base(shape, dtype=dtype, **kwargs)

    def draw_latent(self, kernel_map: KernelMap, kernel_shape: Sequence[int], dtype: Any) -> Any:
        """Return the latent of a kernel of this shape."""
        return self.base(kernel_map.latent_shape(kernel_shape), dtype=dtype)


class OldKernel(Structured):
    """Mixin: the initialiser sees the variable, as in the originals; with ``fans="kernel"`` the kernel, as in ours."""

    def __init__(self, *args: Any, fans: str = "variable", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fans = one_of("fans", fans, ("variable", "kernel"))

    def add_weight(self, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Add a weight."""
        if name == self.structured_weight and self.fans == "variable":
            kwargs["initializer"] = DrawnAsStored(kwargs["initializer"])
        return super().add_weight(*args, name=name, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "fans": self.fans}


class TiledConv(OldKernel, TiledKernel):
    """Mixin: ``Conv2DTiledKernel``."""

    def __init__(
        self, filters: int, kernel_size: Any, multiplies: Any, *, use_bias: bool = False, **kwargs: Any
    ) -> None:
        try:
            super().__init__(filters, kernel_size, multiples=multiplies, use_bias=use_bias, **kwargs)
        except ValueError as error:
            raise ValueError(str(error).replace("multiples", "multiplies")) from None

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        config = super().get_config()
        config["multiplies"] = config.pop("multiples")
        return config


class CustomConv(OldKernel):
    """Mixin: ``CustomConv2D``."""

    def __init__(self, filters: int, *, use_bias: bool = False, **kwargs: Any) -> None:
        super().__init__(filters, (5, 5), use_bias=use_bias, **kwargs)
        self.kernel_map = Spread()

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        config = super().get_config()
        del config["kernel_size"]
        return config


class GConv(OldKernel, GroupKernel):
    """Mixin: ``GConv2D``."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        h_input: str,
        h_output: str,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        group_order("h_input", h_input)
        order = group_order("h_output", h_output, ("C4", "D4"))
        if h_input not in ("Z2", h_output):
            raise ValueError(
                f"h_input must be 'Z2' (the input is an image) or that of the output, {h_output!r}. "
                f"Received: h_input={h_input!r}, h_output={h_output!r}"
            )
        if not isinstance(filters, int) or isinstance(filters, bool) or filters < 1:
            raise ValueError(f"filters must be a positive number of group channels. Received: filters={filters!r}")
        if not isinstance(kernel_size, int) and len(set(kernel_size)) != 1:
            raise ValueError(f"kernel_size must be that of a square kernel. Received: kernel_size={kernel_size!r}")
        super().__init__(
            filters * order,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            group=h_output.lower(),
            input_group=None if h_input == "Z2" else h_input.lower(),
            **{"equivariance": "relaxed", **kwargs},
        )
        self.h_input = h_input
        self.h_output = h_output

    def as_stored(self, kernel_map: KernelMap) -> KernelMap:
        """Return the map for variables that hold the planes of the input group before its channels."""
        stored = super().as_stored(kernel_map)
        return PlanesFirst(stored.group) if isinstance(stored, GroupRegular) else stored

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        config = super().get_config()
        del config["group"], config["input_group"]
        channels = self.filters // ORDERS[self.h_output]
        own = {"filters": channels, "h_input": self.h_input, "h_output": self.h_output}
        return {**config, **own}
