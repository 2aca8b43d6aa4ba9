"""The variables of a model by the names under which a checkpoint may hold them."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from tf_symconv.compat_v1._graphs import V1Graph
from tf_symconv.compat_v1._module import V1Module

__all__ = ["Target", "targets"]


@dataclasses.dataclass(frozen=True)
class Target:
    """A variable to restore.

    Args:
        name: Its name in messages.
        aliases: The names that stand for it, ``name`` included.
        variable: The variable.
        layer: The layer or module whose kernel map expands the variable, if there is one.
    """

    name: str
    aliases: tuple[str, ...]
    variable: Any
    layer: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the variable."""
        return tuple(self.variable.shape)


def targets(model: Any) -> list[Target]:
    """List the variables of a V1Module, a V1Graph, another ``tf.Module``, or a Keras model without its optimiser.

    A variable of the first two has its TF1 name. A Keras one has its path, with or without the name of the model in
    front of it; a ``tf.Module``'s has the name that it was given and the path of attributes that leads to it.

    Raises:
        TypeError: If ``model`` is something else.
        ValueError: If it has no variables yet.
    """
    if isinstance(model, V1Module | V1Graph):
        found = [Target(name, (name,), variable) for name, variable in model.named_variables.items()]
    elif hasattr(model, "weights") and hasattr(model, "_flatten_layers"):
        found = list(_of_keras(model))
    elif isinstance(model, tf.Module):
        found = list(_of_module(model))
    else:
        raise TypeError(f"The target is a V1Module, a tf.Module or a Keras model. Received: target={model!r}")
    if not found:
        raise ValueError(f"The target has no variables yet: build it or call it once. Received: target={model!r}")
    return found


def _of_keras(model: Any) -> Iterator[Target]:
    structured = _structured(model._flatten_layers())
    for variable in model.weights:
        path = variable.path
        aliases = (path, path.removeprefix(f"{model.name}/"))
        yield Target(path, tuple(dict.fromkeys(aliases)), variable, structured.get(id(variable)))


def _of_module(module: tf.Module) -> Iterator[Target]:
    structured = _structured([module, *module.submodules])
    found = {id(variable): (path, variable) for path, variable in reversed(list(_attributes(module, "", set())))}
    names = collections.Counter(_name(variable) for _, variable in found.values())
    for path, variable in reversed(found.values()):
        name = _name(variable)
        aliases = (name, path) if names[name] == 1 else (path, name)
        yield Target(aliases[0], tuple(dict.fromkeys(aliases)), variable, structured.get(id(variable)))


def _name(variable: tf.Variable) -> str:
    return variable.name.partition(":")[0]


def _attributes(value: Any, path: str, above: set[int]) -> Iterator[tuple[str, tf.Variable]]:
    """Yield the variables under an attribute, each with the path of attributes, keys and places that leads there."""
    if isinstance(value, tf.Variable):
        yield path, value
        return
    if isinstance(value, tf.Module):
        children: Iterable[tuple[Any, Any]] = [
            item for item in sorted(vars(value).items()) if not item[0].startswith(("_self_", "_tf_", "_obj_"))
        ]
    elif isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = enumerate(value)
    else:
        return
    if id(value) not in above:
        for key, child in children:
            yield from _attributes(child, f"{path}/{key}" if path else str(key), above | {id(value)})


def _structured(parts: Iterable[Any]) -> dict[int, Any]:
    """Map the identity of each latent to the layer or module that expands it."""
    return {id(part.latent): part for part in parts if hasattr(part, "kernel_map") and hasattr(part, "latent")}
