"""The table of layer cases that drives the conformance tests: at least one row for every public layer.

A row is a layer class, the arguments of its constructor, the shape of one input without the batch, and an oracle: a
NumPy function that computes the layer's output before bias and activation from the input and the layer's full kernel.
Rows whose kernel is tied cell by cell also carry the tie, drawn by hand: which free weight each cell is, and its sign.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import scipy.signal

from tests import oracles
from tf_symconv import groups, kernels, layers


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table."""

    layer: type
    arguments: dict[str, Any]
    input_shape: tuple[int, ...]
    oracle: Callable[[Any, np.ndarray], np.ndarray]
    stock: type | None = None
    labels: Any = None
    signs: Any = None
    note: str = ""
    #: For each filter the filter whose flip it is, and the flipped letters; of kernels that are tied between filters.
    twins: tuple[tuple[int, str], ...] = ()
    #: Whether the layer learns from statistics of a batch, which replicas take over their shares of it.
    batch_statistics: bool = False

    @property
    def id(self) -> str:
        """The name of the row in the test report."""
        return f"{self.layer.__name__}{'-' if self.note else ''}{self.note}"

    def make(self, **changes: Any) -> Any:
        """Return a new, unbuilt layer."""
        return self.layer(**{**self.arguments, **changes})

    def make_model(self, **changes: Any) -> keras.Model:
        """Return a model of the layer alone, with a free batch size."""
        return keras.Sequential([keras.Input(self.input_shape), self.make(name="layer", **changes)])

    def inputs(self, batch: int = 2, dtype: str = "float32") -> np.ndarray:
        """Return random inputs; their channels come last."""
        return np.random.default_rng(batch).normal(size=(batch, *self.input_shape)).astype(dtype)


def convolution(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return the plain convolution with the layer's kernel."""
    return oracles.convolve(
        x, np.asarray(layer.kernel), layer.strides, layer.padding, layer.dilation_rate, layer.groups
    )


def _convolution_case(rank: int, note: str, labels: Any = None, signs: Any = None, **arguments: Any) -> Case:
    stock = [keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D][rank - 1]
    layer = [layers.SymmetricConv1D, layers.SymmetricConv2D, layers.SymmetricConv3D][rank - 1]
    shape = [(9, 4), (7, 8, 4), (5, 6, 5, 4)][rank - 1]
    return Case(layer, {"filters": 6, "kernel_size": 3, **arguments}, shape, convolution, stock, labels, signs, note)


def transposed_convolution(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return the plain transposed convolution with the layer's kernel."""
    return oracles.convolve_transposed(
        x, np.asarray(layer.kernel), layer.strides, layer.padding, layer.output_padding, layer.dilation_rate
    )


def depthwise_convolution(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return the convolution of every channel with its own kernels."""
    kernel = np.asarray(layer.kernel)
    *spatial, channels, multiplier = kernel.shape
    kernel = kernel.reshape(*spatial, 1, channels * multiplier)
    return oracles.convolve(x, kernel, layer.strides, layer.padding, layer.dilation_rate, channels)


def separable_convolution(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return the depthwise convolution, its channels then mixed."""
    return depthwise_convolution(layer, x) @ np.asarray(layer.pointwise_kernel).reshape(-1, layer.filters)


def twin_convolution(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return the reduction of the convolutions with the filters and with their flips."""
    kernel = np.asarray(layer.kernel)
    flipped = np.flip(kernel, tuple(layer.rank - 1 - "hvz".index(letter) for letter in layer.axes))
    arguments = (layer.strides, layer.padding, layer.dilation_rate, layer.groups)
    pair = [oracles.convolve(x, one, *arguments) for one in (kernel, flipped)]
    if layer.reduction == "concat":
        return np.concatenate(pair, axis=-1)
    reduce = {"max": np.max, "min": np.min, "sum": np.sum, "mean": np.mean}[layer.reduction]
    return reduce(np.stack(pair), axis=0)


def global_convolution(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return what each position gets from itself and from each of the others, in as many steps as pairs."""
    itself, others = np.asarray(layer.kernel, np.float64)
    x = x[..., None] if x.ndim == 2 else x
    length = x.shape[1]
    rows = [sum(x[:, j] @ (itself if i == j else others) for j in range(length)) for i in range(length)]
    return np.stack(rows, axis=1)


def _case(layer: type, note: str = "", labels: Any = None, twins: Any = (), **arguments: Any) -> Case:
    """Return a row of a layer that replaces the Keras layer of its name."""
    name = next(base.__name__ for base in layer.__mro__ if base.__module__.startswith("keras."))
    rank = int(next(letter for letter in name if letter.isdigit()))
    oracle = next(oracle for family, oracle in _ORACLES.items() if family in layer.__name__)
    shape = [(9, 4), (6, 7, 4), (4, 3, 5, 2)][rank - 1]
    own = {"kernel_size": 3} if "pattern" not in arguments else {}
    if "Depthwise" not in name:
        own["filters"] = 6
    stock = getattr(keras.layers, name)
    return Case(layer, {**own, **arguments}, shape, oracle, stock, labels, None, note, twins)


_ORACLES = {
    "Transpose": transposed_convolution,
    "Depthwise": depthwise_convolution,
    "Separable": separable_convolution,
    "TwinFlip": twin_convolution,
    "": convolution,
}


def circular_convolution(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return the convolution of the image that continues beyond its borders with itself."""
    pads = [((size - 1) // 2, size // 2) for size in layer.kernel_size]
    return oracles.convolve(np.pad(x, [(0, 0), *pads, (0, 0)], mode="wrap"), np.asarray(layer.kernel))


def split_channels(layer: Any, x: np.ndarray) -> np.ndarray:
    """Split the channels of the input into group channels and elements."""
    return x.reshape(*x.shape[:-1], -1, groups.get(layer.group).order).astype(np.float64)


def batch_normalization(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return the input divided by the standard deviation at the start: 1."""
    split = split_channels(layer, x)
    scale = np.asarray(layer.gamma) / np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
    return ((split - np.asarray(layer.moving_mean)[:, None]) * scale[:, None]).reshape(x.shape)


def layer_normalization(layer: Any, x: np.ndarray) -> np.ndarray:
    """Return the input normalised over all channels at each position."""
    x = x.astype(np.float64)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.epsilon)


def _group_case(note: str, oracle: Any = convolution, **arguments: Any) -> Case:
    channels = 8 if arguments.get("input_group") else 3
    arguments = {"filters": 16, "kernel_size": 3, "padding": "same", **arguments}
    return Case(layers.GroupConv2D, arguments, (7, 7, channels), oracle, keras.layers.Conv2D, note=note)


CASES = [
    _convolution_case(1, "h", [0, 1, 0]),
    _convolution_case(1, "causal", [0, 1, 2, 1, 0], kernel_size=5, padding="causal", dilation_rate=2),
    _convolution_case(1, "odd", [0, -1, 0], [1, 0, -1], parity="odd", strides=2),
    _convolution_case(2, "hv", [[0, 1, 0], [2, 3, 2], [0, 1, 0]], padding="same", activation="relu"),
    _convolution_case(2, "c4", [[0, 1, 0], [1, 2, 1], [0, 1, 0]], symmetry="c4", groups=2, strides=2, padding="same"),
    _convolution_case(
        2,
        "v-odd",
        [[0, 1], [-1, -1], [0, 1]],
        [[1, 1], [0, 0], [-1, -1]],
        symmetry="v",
        parity="odd",
        kernel_size=(3, 2),
        dilation_rate=(1, 2),
        use_bias=False,
    ),
    _convolution_case(2, "mix", symmetry={"d4": "50%", kernels.Circular("linear"): 2}, kernel_size=5, padding="same"),
    _convolution_case(
        3,
        "hvz",
        [[[0, 1, 0], [2, 3, 2], [0, 1, 0]], [[4, 5, 4], [6, 7, 6], [4, 5, 4]], [[0, 1, 0], [2, 3, 2], [0, 1, 0]]],
        symmetry="hvz",
        padding="same",
    ),
    _convolution_case(3, "c4", [[[0, 0], [0, 0]]], symmetry="c4", kernel_size=(1, 2, 2), strides=(1, 2, 1), groups=2),
    _group_case("lift-c4", group="c4", activation="relu"),
    _group_case("c4", group="c4", input_group="c4", strides=2),
    _group_case("d4", group="d4", input_group="d4", kernel_size=2, padding="valid"),
    _group_case("hv", group="hv", input_group="hv", kernel_size=(3, 5), groups=2),
    Case(
        layers.GroupConv2DTranspose,
        {"filters": 16, "kernel_size": 4, "strides": 2, "padding": "same", "group": "d4", "input_group": "d4"},
        (5, 6, 8),
        transposed_convolution,
        keras.layers.Conv2DTranspose,
    ),
    Case(
        layers.GroupBatchNormalization,
        {"group": "d4", "epsilon": 0.1},
        (5, 5, 16),
        batch_normalization,
        keras.layers.BatchNormalization,
        batch_statistics=True,
    ),
    Case(
        layers.GroupLayerNormalization, {"group": "c4"}, (5, 5, 8), layer_normalization, keras.layers.LayerNormalization
    ),
    Case(layers.GroupPooling, {"group": "c4"}, (5, 5, 8), lambda layer, x: split_channels(layer, x).max(-1)),
    Case(
        layers.GroupPooling,
        {"group": "d4", "reduction": "mean"},
        (5, 5, 16),
        lambda layer, x: split_channels(layer, x).mean(-1),
        note="mean",
    ),
    _case(layers.SymmetricConv1DTranspose, "h", [0, 1, 0], strides=2, output_padding=1, padding="same"),
    _case(
        layers.SymmetricConv2DTranspose,
        "c4",
        [[0, 1, 0], [1, 2, 1], [0, 1, 0]],
        symmetry="c4",
        strides=(2, 1),
        activation="relu",
    ),
    _case(layers.SymmetricConv2DTranspose, "mix", symmetry={"hv": "50%", "circular": 2}, dilation_rate=2),
    _case(
        layers.SymmetricConv3DTranspose,
        "hvz",
        [[[0, 0], [0, 0]], [[0, 0], [0, 0]]],
        symmetry="hvz",
        kernel_size=2,
        strides=(1, 2, 1),
        padding="same",
    ),
    _case(layers.SymmetricDepthwiseConv1D, "odd", parity="odd", dilation_rate=2, depth_multiplier=2),
    _case(layers.SymmetricDepthwiseConv2D, "v", [[0, 1, 2], [3, 4, 5], [0, 1, 2]], symmetry="v", strides=2),
    _case(
        layers.SymmetricDepthwiseConv2D,
        "mix",
        symmetry={"hv": "50%", "d4": 1},
        depth_multiplier=4,
        strides=(2, 1),
        dilation_rate=(1, 2),
        padding="same",
    ),
    _case(layers.SymmetricSeparableConv1D, strides=2, padding="same"),
    _case(layers.SymmetricSeparableConv2D, symmetry={"c4": 1}, depth_multiplier=2, activation="relu"),
    _case(layers.TiledConv1D, "", [0, 1, 0, 1, 0, 1], kernel_size=2, multiples=3, padding="causal"),
    _case(
        layers.TiledConv2D,
        "rows",
        [[0, 1, 2, 3, 4]] * 5,
        kernel_size=(1, 5),
        multiples=(5, 1),
        padding="same",
        groups=2,
    ),
    _case(layers.TiledConv3D, "", [[[0], [1]]] * 2, kernel_size=(1, 2, 1), multiples=(2, 1, 1), strides=2),
    _case(layers.PatternConv1D, "", [0, 1, -1, 1, 0], pattern="AB.BA"),
    _case(
        layers.PatternConv2D,
        "text",
        [[0, 0, 1, 2, 2], [0, 0, 1, 2, 2], [3, 3, 4, 5, 5], [6, 6, 7, 8, 8], [6, 6, 7, 8, 8]],
        pattern="AABCC/AABCC/DDEFF/GGHII/GGHII",
        padding="same",
    ),
    _case(layers.PatternConv2D, "array", [[0, 1], [1, 0]], pattern=np.array([[5, 3], [3, 5]]), strides=2, groups=2),
    _case(layers.FlipBankConv1D, symmetry={"h": 4}, padding="same", twins=((2, "h"), (3, "h"))),
    _case(layers.FlipBankConv2D, filters=16, symmetry={"hv": "50%", "v": 2, "h": 4}, strides=2),
    _case(layers.FlipBankConv2D, "own-bias", filters=8, symmetry={"h": 4}, groups=2, share_bias=False),
    _case(layers.FlipBankConv3D, filters=18, symmetry={"hz": 4, "hvz": 8, "z": "12%"}, padding="same"),
    _case(
        layers.FlipBankConv2DTranspose,
        filters=8,
        symmetry={"hv": 4, "v": 2},
        strides=2,
        twins=((1, "v"), (0, "v"), (3, "h"), (5, "v"), (5, "h")),
    ),
    _case(layers.FlipBankConv3DTranspose, filters=9, kernel_size=2, padding="same"),
    _case(layers.TwinFlipConv1D, "min", reduction="min", padding="causal", dilation_rate=2),
    _case(layers.TwinFlipConv2D, "max", axes="hv", padding="same", activation="relu"),
    _case(layers.TwinFlipConv2D, "concat", axes="v", reduction="concat", filters=8, groups=2, strides=2),
    _case(layers.TwinFlipConv3D, "mean", axes="z", reduction="mean", kernel_size=(2, 1, 3)),
    Case(layers.GlobalConv1D, {"filters": 3, "activation": "tanh"}, (5, 4), global_convolution, note="channels"),
    Case(layers.GlobalConv1D, {"filters": 3}, (6,), global_convolution, note="features"),
    Case(layers.TopKPooling1D, {"k": 3}, (7, 2), lambda layer, x: -np.sort(-x, axis=1)[:, : layer.k]),
    Case(
        layers.SpectralConv1D,
        {"filters": 6, "kernel_size": 4, "padding": "causal"},
        (9, 4),
        convolution,
        keras.layers.Conv1D,
    ),
    Case(
        layers.SpectralConv2D,
        {"filters": 6, "kernel_size": (3, 4), "padding": "same", "groups": 2, "activation": "relu"},
        (7, 8, 4),
        convolution,
        keras.layers.Conv2D,
    ),
    Case(layers.FourierConv2D, {"filters": 6, "kernel_size": (3, 4)}, (7, 8, 4), circular_convolution),
    Case(layers.SpectralPooling1D, {"output_size": 6}, (9, 4), lambda layer, x: scipy.signal.resample(x, 6, axis=1)),
    Case(
        layers.SpectralPooling2D,
        {"pool_size": 2, "frequency_dropout": 0.5},
        (8, 7, 4),
        lambda layer, x: scipy.signal.resample(scipy.signal.resample(x, 4, axis=1), 3, axis=2),
    ),
]
