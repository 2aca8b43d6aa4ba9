"""The networks that are compared: one plan, with the convolutions of each method, matched to the plain one."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras

from tf_symconv import groups, layers, models
from tf_symconv.comparison._settings import AUGMENTED, BUDGETS, PLAIN, budgets_of
from tf_symconv.models._zoo_parts import halve

_HEAD = 64
_LAST_SIZE = 8
_CONVOLUTIONS_PER_BLOCK = 2


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of a method.

    Attributes:
        method: one of the methods.
        orbits: independent filters of each convolution.
        channels: channels of each convolution; ``orbits`` times the filters that come with each.
        weights: trainable numbers.
        multiplications: of all convolutions and matrix products for one image, with the full kernels.
    """

    method: str
    orbits: int
    channels: int
    weights: int
    multiplications: int

    def figures(self) -> dict[str, int]:
        """Return the numbers, for JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "method"}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all networks have in common.

    Attributes:
        image_shape: (size, size, channels).
        classes: number of classes.
        kernel_size: of the square kernels.
        group: under which the kernels of the symmetric network are invariant.
    """

    image_shape: tuple[int, int, int]
    classes: int
    kernel_size: int
    group: str

    def build(self, method: str, orbits: int) -> keras.Model:
        """Build a network.

        Blocks of two convolutions, each with batch normalisation and ReLU; a mean that halves the image between blocks,
        until it is eight cells wide or fewer; the mean over the image; a hidden layer, of as many units in all
        networks, whose maximum over the group is taken in group networks; a dense layer to the classes' scores. All of
        it is exact: an image turned by the network's group gets the same scores.
        """
        group = method if method in ("c4", "d4") else None
        order = orbit_size(method)
        inputs = keras.Input(self.image_shape, name="image")
        x: Any = inputs
        number = 0
        while True:
            for _ in range(_CONVOLUTIONS_PER_BLOCK):
                number += 1
                arguments = {"padding": "same", "use_bias": False, "name": f"conv{number}"}
                x = self._convolution(method, orbits * order, first=number == 1, **arguments)(x)
                norm: dict[str, Any] = {"momentum": 0.9, "name": f"conv{number}_norm"}
                if group is None:
                    x = keras.layers.BatchNormalization(**norm)(x)
                else:
                    x = layers.GroupBatchNormalization(group=group, **norm)(x)
                x = keras.layers.ReLU(name=f"conv{number}_relu")(x)
            if x.shape[1] <= _LAST_SIZE:
                break
            x = halve(x, f"conv{number}_pool")
        x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
        if group is None:
            x = keras.layers.Conv2D(_HEAD, 1, activation="relu", name="hidden")(x)
        else:
            own = {"group": group, "input_group": group}
            x = layers.GroupConv2D(_HEAD * order, 1, activation="relu", name="hidden", **own)(x)
            x = layers.GroupPooling(group, "max", name="group_pool")(x)
        x = keras.layers.Flatten(name="features")(x)
        return keras.Model(inputs, keras.layers.Dense(self.classes, name="scores")(x))

    def _convolution(self, method: str, channels: int, first: bool, **arguments: Any) -> keras.layers.Layer:
        size: Any = self.kernel_size
        if method in (PLAIN, AUGMENTED):
            return keras.layers.Conv2D(channels, size, **arguments)
        if method == "symmetric":
            return layers.SymmetricConv2D(channels, size, symmetry=self.group, **arguments)
        if method == "flip_bank":
            return layers.FlipBankConv2D(channels, size, symmetry={"hv": channels}, **arguments)
        return layers.GroupConv2D(channels, size, group=method, input_group=None if first else method, **arguments)

    def measure(self, method: str, orbits: int) -> Network:
        """Build a network to count its weights and multiplications."""
        model = self.build(method, orbits)
        weights = sum(math.prod(variable.shape) for variable in model.trainable_variables)
        return Network(method, orbits, orbits * orbit_size(method), weights, models.summary(model).multiplications or 0)


def orbit_size(method: str) -> int:
    """Return how many filters come with each independent one, itself included."""
    return {"flip_bank": 4, "c4": groups.get("c4").order, "d4": groups.get("d4").order}.get(method, 1)


def match(plan: Plan, method: str, budget: str, width: int, reference: Network) -> Network:
    """Return the network of a method whose weights, or multiplications, are nearest to those of a plain one.

    Args:
        plan: what the networks have in common.
        method: that of the network sought.
        budget: ``"parameters"`` or ``"compute"``.
        width: channels of the plain network.
        reference: the plain network.
    """
    count: Callable[[Network], int] = {
        "parameters": lambda network: network.weights,
        "compute": lambda network: network.multiplications,
    }[budget]
    per_kernel = 1.0
    if method == "symmetric":
        cells = groups.get(plan.group, 2).orbits((plan.kernel_size,) * 2)
        per_kernel = (int(cells.max()) + 1) / cells.size
    order = orbit_size(method)
    guess = width / math.sqrt(per_kernel * order) if budget == "parameters" else width / order
    best = plan.measure(method, max(1, round(guess)))
    step = 1 if count(best) < count(reference) else -1
    while best.orbits + step >= 1:
        following = plan.measure(method, best.orbits + step)
        if abs(count(following) - count(reference)) >= abs(count(best) - count(reference)):
            break
        best = following
    return best


def networks(plan: Plan, width: int, methods: tuple[str, ...]) -> dict[tuple[str, str], Network]:
    """Return the network of every method and budget."""
    reference = plan.measure(PLAIN, width)
    found = {}
    for method in methods:
        for budget in budgets_of(method):
            found[method, budget] = (
                match(plan, method, budget, width, reference)
                if budget in BUDGETS
                else dataclasses.replace(reference, method=method)
            )
    return found
