"""A model built anew, layer by layer, on layers of one's choice."""

import dataclasses
from collections.abc import Callable
from typing import Any, final

import keras

from tf_symconv.models._equivariance_walk import check_model


@final
@dataclasses.dataclass(frozen=True)
class Replacement:
    """What stands in the place of a layer.

    Attributes:
        layer: A new layer, or None to hand the input on as it is.
        weights: The weights of the new layer, in the order of ``layer.weights``; set once the model is built.
    """

    layer: Any
    weights: tuple[Any, ...] = ()


Replace = Callable[[str, Any], Replacement | None]


def rebuild(model: keras.Model, replace: Replace) -> keras.Model:
    """Return a new model with the weights of ``model``, on new layers; ``model`` is left as it is.

    Layers that are called more than once stay shared. The new model is not compiled.

    Args:
        model: A functional or Sequential model; models in it, and what ``TimeDistributed`` wraps, are rebuilt alike.
        replace: Called once for each layer as ``replace(path, layer)``. Paths name a layer of a model in the model as
            ``"inner/layer"``. None stands for a copy of the layer with its weights.

    Raises:
        TypeError: If ``model`` is no Keras model.
        ValueError: If it is a subclassed model, or not built.
    """
    check_model(model)
    if not model.built:
        raise ValueError(
            "model must be built, so that it has weights: call it, or give it an Input. "
            f"Received: the unbuilt model {model.name!r}"
        )
    builder = _Rebuild(replace)
    rebuilt = builder.graph(model, "")
    for layer, weights in builder.weights:
        layer.set_weights(weights)
        for each in layer._flatten_layers():
            if isinstance(each, keras.layers.Normalization):
                # It computes with constants that it derives from its weights.
                each.finalize_state()
    return rebuilt


def copy_layer(layer: Any) -> Any:
    """Return a new, unbuilt layer with the configuration of ``layer``."""
    if isinstance(layer, keras.layers.Lambda):
        # From its configuration Keras would refuse a Python function, which here comes from no file.
        config = {name: value for name, value in layer.get_config().items() if name in ("name", "trainable")}
        shape = layer._output_shape
        arguments = {"mask": layer.mask, "arguments": layer.arguments, "dtype": layer.dtype_policy}
        return keras.layers.Lambda(layer.function, output_shape=shape, **arguments, **config)
    config = layer.get_config()
    return type(layer).from_config({**config, **live_activation(layer, config)})


def live_activation(layer: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Return the activation of a layer as the function that it is, which may be one that Keras cannot look up."""
    activation = getattr(layer, "activation", None)
    if "activation" not in config or not callable(activation):
        return {}
    return {"activation": copy_layer(activation) if isinstance(activation, keras.layers.Layer) else activation}


def is_graph(layer: Any) -> bool:
    """Whether a layer is a model whose graph of layers is known."""
    functional = isinstance(layer, keras.Model) and isinstance(layer, keras.Function)
    return isinstance(layer, keras.Sequential) or (functional and type(layer).call.__module__.startswith("keras."))


class _Rebuild:
    """One rebuild: the new layers by the old ones, and the weights that they are to have."""

    def __init__(self, replace: Replace) -> None:
        self._replace = replace
        self._new: dict[int, Any] = {}
        self.weights: list[tuple[Any, Any]] = []

    def graph(self, model: Any, prefix: str) -> Any:
        """Return a model built anew."""
        if isinstance(model, keras.Sequential):
            layers = [self._layer(layer, prefix) for layer in model.layers]
            start = _input_like(model.inputs[0])
            new: Any = keras.Sequential([start, *(layer for layer in layers if layer is not None)], name=model.name)
        else:
            functional: Any = model
            inputs = keras.tree.map_structure(_input_like, functional.input)
            outputs = functional._run_through_graph(inputs, operation_fn=lambda layer: self._operation(layer, prefix))
            new = keras.Model(inputs, outputs, name=model.name)
        if not model.trainable:
            new.trainable = False
        return new

    def _operation(self, layer: Any, prefix: str) -> Callable[..., Any]:
        new = self._layer(layer, prefix)
        return (lambda inputs, *args, **kwargs: inputs) if new is None else new

    def _layer(self, layer: Any, prefix: str) -> Any:
        if id(layer) not in self._new:
            self._new[id(layer)] = self._make(layer, prefix)
        return self._new[id(layer)]

    def _make(self, layer: Any, prefix: str) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            return copy_layer(layer)
        path = prefix + layer.name
        if is_graph(layer):
            return self.graph(layer, f"{path}/")
        if type(layer) is keras.layers.TimeDistributed:
            inner = self._layer(layer.layer, f"{path}/")
            return keras.layers.TimeDistributed(inner, name=layer.name, dtype=layer.dtype_policy)
        replacement = self._replace(path, layer)
        if replacement is None:
            replacement = Replacement(copy_layer(layer), tuple(layer.get_weights()))
        if replacement.weights:
            self.weights.append((replacement.layer, list(replacement.weights)))
        return replacement.layer


def _input_like(tensor: Any) -> Any:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, sparse=tensor.sparse, name=tensor.name)
