"""What the networks of the zoo are made of: each layer as a group layer, or as its plain twin."""

import dataclasses
from typing import Any, final

import keras

from tf_symconv import groups, layers
from tf_symconv.models._filters import equal_parameter_filters


def check_positive(**numbers: int) -> None:
    """Raise unless every number is a positive integer."""
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise TypeError(f"{name} must be an integer. Received: {name}={number!r}")
        if number < 1:
            raise ValueError(f"{name} must be positive. Received: {name}={number}")


def check_dropout(dropout: float) -> None:
    """Raise unless this is a share of activations that training can drop."""
    if not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be a number from 0 to below 1. Received: dropout={dropout!r}")


@final
@dataclasses.dataclass(frozen=True)
class Parts:
    """Layers of a network that is equivariant under a group, or of its plain twin.

    Attributes:
        group: The name of the group, or None for the plain twin.
    """

    group: str | None

    def __post_init__(self) -> None:
        if self.group is not None:
            groups.get(self.group, 2)

    def channels(self, width: int) -> int:
        """Return how many group channels take the place of ``width`` plain ones, at equal numbers of weights."""
        return width if self.group is None else equal_parameter_filters(width, self.group)

    def image(self, input_shape: Any) -> Any:
        """Return the input."""
        shape = tuple(input_shape)
        if len(shape) != 3 or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in shape):
            raise ValueError(
                f"input_shape must be (height, width, channels), positive integers. Received: input_shape={input_shape}"
            )
        if self.group is not None and not groups.get(self.group, 2).preserves(shape[:2]):
            raise ValueError(
                f"The group {self.group!r} exchanges height and width, so images must be square. "
                f"Received: input_shape={input_shape}"
            )
        return keras.Input(shape, name="image")

    def conv(self, x: Any, channels: int, size: int, name: str, *, lift: bool = False, **arguments: Any) -> Any:
        """Convolve.

        Args:
            x: The input.
            channels: The number of group channels.
            size: That of the kernel.
            name: That of the layer.
            lift: Whether the input is the image.
            arguments: Further ones of ``keras.layers.Conv2D``.
        """
        arguments = {"kernel_initializer": "he_normal", "data_format": "channels_last", **arguments, "name": name}
        if self.group is None:
            return keras.layers.Conv2D(channels, size, **arguments)(x)
        filters = channels * groups.get(self.group, 2).order
        source = None if lift else self.group
        return layers.GroupConv2D(filters, size, group=self.group, input_group=source, **arguments)(x)

    def norm(self, x: Any, name: str) -> Any:
        """Normalise over the batch."""
        if self.group is None:
            return keras.layers.BatchNormalization(name=name)(x)
        return layers.GroupBatchNormalization(group=self.group, name=name)(x)

    def norm_relu(self, x: Any, name: str) -> Any:
        """Normalise over the batch and rectify."""
        return keras.layers.ReLU(name=f"{name}_relu")(self.norm(x, f"{name}_norm"))

    def pool_group(self, x: Any, reduction: str) -> Any:
        """Pool over the elements of the group."""
        if self.group is None:
            return x
        return layers.GroupPooling(self.group, reduction, name="group_pool")(x)


def halve(x: Any, name: str) -> Any:
    """Halve height and width by a mean, at every size such that both ends are treated alike.

    Pools of two cells fit an even size; an odd one takes pools of three, which overlap by one.
    """
    size = [2 if n % 2 == 0 else 3 for n in x.shape[1:3]]
    return keras.layers.AveragePooling2D(size, 2, "same", data_format="channels_last", name=name)(x)


def classify(x: Any, classes: int, activation: Any) -> Any:
    """Average over the positions and classify."""
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="pool")(x)
    x = keras.layers.Dense(classes, name="logits")(x)
    return activate(x, activation)


def activate(x: Any, activation: Any) -> Any:
    """Make the classes' scores the output, in float32 under every policy."""
    return keras.layers.Activation(activation, dtype="float32", name="predictions")(x)
