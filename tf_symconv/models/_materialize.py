"""A model of the library's layers turned into one of plain Keras layers."""

from collections import Counter
from typing import Any

import keras
import numpy as np

from tf_symconv.models._materialize_layers import plain
from tf_symconv.models._rebuild import Replacement, copy_layer, is_graph, rebuild

_PACKAGE = "tf_symconv"
_TRAINING = ("_initializer", "_regularizer", "_constraint")


def materialize(model: keras.Model, fold_batch_norm: bool = False) -> keras.Model:
    """Return a model of plain Keras layers that computes what ``model`` computes in inference.

    The new model saves to a file that loads where this library is not installed. Convolutions have the full kernels and
    one bias for each channel; group normalisations have an entry for each channel. A layer that takes more than one
    plain layer becomes a small model of its name: the maximum or minimum over twin flips, ``GroupPooling``,
    ``FourierConv2D`` and ``SpectralPooling`` (these two at fixed spatial sizes), ``GlobalConv1D``, ``TopKPooling1D``,
    and separable convolutions with strides or dilations that the stock layer does not take.

    It is made to be used, not to be trained: its weights are free to lose the structure, regularisers and constraints
    of free weights are gone, frequency dropout and checks of equivariance too, and it is not compiled. ``model`` is
    left as it is. The small models take ``channels_first`` where stock Keras layers do. On TensorFlow, Keras compiles
    grouped convolutions by XLA, which TensorFlow Serving does not run: export such models by
    :mod:`tf_symconv.serving` instead.

    Args:
        model: A built functional or Sequential model; models in it become plain alike. Shared layers stay shared.
        fold_batch_norm: Multiply every batch normalisation into the layer before it, where that is a convolution or a
            Dense layer without an activation whose outputs go nowhere else, and drop it.

    Returns:
        The new model.

    Raises:
        TypeError: If ``model`` is no Keras model.
        ValueError: If ``model`` is subclassed or not built; or if a layer has no plain form (the error names it): a
            layer that has layers of the library inside, or one that needs fixed spatial sizes.

    Example:
        >>> import keras, numpy as np
        >>> from tf_symconv.layers import SymmetricConv2D
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), SymmetricConv2D(4, 3), keras.layers.Flatten()])
        >>> plain = materialize(model)
        >>> x = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
        >>> np.testing.assert_allclose(plain(x), model(x), atol=1e-5)
        >>> [type(layer).__name__ for layer in plain.layers]
        ['Conv2D', 'Flatten']
    """
    if not isinstance(fold_batch_norm, bool):
        raise TypeError(f"fold_batch_norm must be True or False. Received: fold_batch_norm={fold_batch_norm!r}")
    new = rebuild(model, _plain)
    return rebuild(new, _Folding(new)) if fold_batch_norm else new


def _plain(path: str, layer: Any) -> Replacement | None:
    try:
        if type(layer).__module__.split(".")[0] == _PACKAGE:
            return plain(layer)
        return _without_ours(layer)
    except ValueError as error:
        message = f"The layer {path!r} ({type(layer).__name__}) cannot become plain Keras layers: {error}"
        raise ValueError(message) from error


def _without_ours(layer: Any) -> Replacement | None:
    """Return a copy of a stock layer without the library's initialisers, regularisers and constraints, if it has any.

    Raises:
        ValueError: If it holds something else of the library.
    """
    inside = [one for one in layer._flatten_layers(include_self=False) if type(one).__module__.startswith(_PACKAGE)]
    if inside:
        kinds = sorted({type(one).__name__ for one in inside})
        raise ValueError(f"it holds layers of the library where they cannot be exchanged. Received: {', '.join(kinds)}")
    config = layer.get_config()
    plain_config = _stripped(config)
    if _names_ours(plain_config):
        raise ValueError(f"its configuration names the library. Received: {plain_config}")
    if not _names_ours(config):
        return None
    return Replacement(type(layer).from_config(plain_config), tuple(layer.get_weights()))


def _is_ours(thing: Any) -> bool:
    """Whether a part of a configuration stands for something of the library."""
    if not isinstance(thing, dict):
        return type(thing).__module__.split(".")[0] == _PACKAGE
    places = [str(thing.get("registered_name")).split(">")[0], str(thing.get("module")).split(".")[0]]
    return "class_name" in thing and _PACKAGE in places


def _names_ours(config: Any) -> bool:
    if isinstance(config, dict):
        return _is_ours(config) or any(map(_names_ours, config.values()))
    return any(map(_names_ours, config)) if isinstance(config, list | tuple) else _is_ours(config)


def _stripped(config: Any) -> Any:
    """Return a configuration without initialisers, regularisers and constraints of the library."""
    if isinstance(config, dict):
        kept = {name: each for name, each in config.items() if not (str(name).endswith(_TRAINING) and _is_ours(each))}
        return {name: _stripped(each) for name, each in kept.items()}
    return type(config)(map(_stripped, config)) if type(config) in (list, tuple) else config


#: How the output channels of a kernel are found, by the class of the layer.
_FOLDABLE: dict[type, str] = {
    **dict.fromkeys((keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense), "last"),
    **dict.fromkeys((keras.layers.SeparableConv1D, keras.layers.SeparableConv2D), "last"),
    **dict.fromkeys((keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D), "both"),
    **dict.fromkeys(
        (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose), "last but one"
    ),
}


class _Folding:
    """The replacements that multiply batch normalisations into the layers before them."""

    def __init__(self, model: Any) -> None:
        self._calls: Counter[int] = Counter()
        found = self._find(model, set())
        pairs = [(before, norm) for before, norm in found if self._calls[id(before)] == self._calls[id(norm)] == 1]
        self._pairs = {id(before): norm for before, norm in pairs}
        self._dropped = {id(norm) for _, norm in pairs}

    def __call__(self, path: str, layer: Any) -> Replacement | None:
        if id(layer) in self._dropped:
            return Replacement(None)
        return _folded(layer, self._pairs[id(layer)]) if id(layer) in self._pairs else None

    def _find(self, model: Any, seen: set[int]) -> list[tuple[Any, Any]]:
        """Count the calls of all layers in each model, and return the pairs of a layer and its normalisation."""
        seen.add(id(model))
        graph: Any = model._functional if isinstance(model, keras.Sequential) else model
        uses = Counter(id(tensor) for tensor in graph.outputs)
        nodes = [node for depth in graph._nodes_by_depth.values() for node in depth if not node.is_input]
        made = {id(tensor): node.operation for node in nodes for tensor in node.outputs}
        found = []
        for node in nodes:
            uses.update(id(tensor) for tensor in node.input_tensors)
            self._calls[id(node.operation)] += 1
        for node in nodes:
            if is_graph(node.operation) and id(node.operation) not in seen:
                found += self._find(node.operation, seen)
            source = node.input_tensors[0] if node.input_tensors else None
            before = made.get(id(source))
            if uses[id(source)] == 1 and _fits(before, node.operation) and not node.arguments.kwargs.get("training"):
                found.append((before, node.operation))
        return found


def _fits(before: Any, norm: Any) -> bool:
    """Whether a batch normalisation acts on the output channels of a linear layer."""
    if type(norm) is not keras.layers.BatchNormalization or type(before) not in _FOLDABLE:
        return False
    last = getattr(before, "data_format", "channels_last") == "channels_last"
    shape: Any = norm.get_build_config()
    rank = len(shape["input_shape"])
    return before.activation in (None, keras.activations.linear) and norm.axis % rank == (rank - 1 if last else 1)


def _folded(layer: Any, norm: Any) -> Replacement:
    mean, variance = _wide(norm.moving_mean), _wide(norm.moving_variance)
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    scale = scale if norm.gamma is None else scale * _wide(norm.gamma)
    offset = -mean * scale if norm.beta is None else _wide(norm.beta) - mean * scale
    weights = [_wide(weight) for weight in layer.weights]
    bias = weights.pop() * scale + offset if layer.use_bias else offset
    *kernels, kernel = weights
    place = _FOLDABLE[type(layer)]
    if place == "both":
        kernel = kernel * scale.reshape(kernel.shape[-2:])
    else:
        kernel = kernel * (scale if place == "last" else scale[:, None])
    new = copy_layer(layer)
    new.use_bias = True
    return Replacement(new, (*kernels, kernel, bias))


def _wide(weight: Any) -> np.ndarray:
    return weight.numpy().astype(np.float64)
