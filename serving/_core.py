"""The computation that all signatures of an export share: a model traced, baked and made a function again."""

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from tf_symconv.ops import constant_kernels
from tf_symconv.serving._affine import fold_affine
from tf_symconv.serving._baking import bake
from tf_symconv.serving._flat import Flat, as_function, flatten
from tf_symconv.serving._graph import Finding, Graph
from tf_symconv.serving._model import NamedModel
from tf_symconv.serving._reshapes import fix_reshapes
from tf_symconv.serving._stock import implementation, stock_convolutions

__all__ = ["KERNELS", "Core", "make_core"]

KERNELS = ("auto", "dense", "trainable")
_GRAPH_LIMIT = 2**31 - 2**24  # bytes of a protocol buffer, less what a SavedModel adds to the graph
_SMALL = 1024  # bytes; shapes and the like are constants always


@dataclasses.dataclass(frozen=True)
class Core:
    """A model's inference.

    Attributes:
        function: a concrete function from the inputs, in the order of ``specs``, to a dict of the outputs.
        specs: of the inputs, by name.
        variables: what it reads, to be saved with it.
        resources: tables that it looks up, likewise.
    """

    function: Any
    specs: dict[str, tf.TensorSpec]
    variables: Sequence[tf.Variable]
    resources: Sequence[Any]

    @property
    def outputs(self) -> dict[str, tf.TensorSpec]:
        """What the outputs are, by name."""
        outputs = self.function.structured_outputs
        return {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in outputs.items()}


def make_core(model: NamedModel, kernels: str = "auto", freeze: bool | None = None) -> Core:
    """Trace a model's inference: shapes checked, batch dimension free, no XLA, no Python; and bake its kernels.

    Args:
        model: the model.
        kernels: ``"auto"`` computes all kernels now, for the form in which the layers run fastest; ``"dense"`` for
            plain convolutions; ``"trainable"`` leaves the variables and what is computed from them.
        freeze: whether weights become constants of the graph instead of variables. None: where they fit.

    Raises:
        ValueError: layers that demand XLA or call back to Python; constants that do not fit into a graph.
    """
    if kernels not in KERNELS:
        raise ValueError(f"kernels must be one of {', '.join(map(repr, KERNELS))}. Received: kernels={kernels!r}")
    if freeze and kernels == "trainable":
        raise ValueError("freeze must not be True where kernels='trainable', whose weights stay variables")
    specs = list(model.specs.values())

    def serve(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return model([tf.ensure_shape(tensor, spec.shape) for tensor, spec in zip(inputs, specs, strict=True)])

    own = implementation(model.model, "dense" if kernels == "dense" else None)
    setting = contextlib.nullcontext() if kernels == "trainable" else constant_kernels()
    with stock_convolutions(), own, setting:
        concrete: Any = tf.function(serve, input_signature=specs, autograph=False).get_concrete_function()
    _check(model, concrete)
    read = list(concrete.graph.variables)
    resources = _resources(model.model, concrete)
    if kernels == "trainable":
        return Core(concrete, model.specs, _distinct([*read, *_variables(model.model)]), resources)
    flat = fold_affine(bake(fix_reshapes(flatten(concrete))))
    captured = [variable for variable in read if _is_captured(variable, flat)]
    held = {} if _are_constants(flat, freeze) else _held(flat)
    return Core(as_function(flat, specs, held), model.specs, [*captured, *held.values()], resources)


def _are_constants(flat: Flat, freeze: bool | None) -> bool:
    size = flat.weight_bytes + flat.graph.ByteSize()
    if freeze and size > _GRAPH_LIMIT:
        raise ValueError(
            "the constants of a graph must be at most 2 GB; leave freeze out. "
            f"Received: freeze=True with {size:,} bytes"
        )
    return size <= _GRAPH_LIMIT if freeze is None else freeze


def _held(flat: Flat) -> dict[str, tf.Variable]:
    with tf.device("CPU:0"):
        return {
            name: tf.Variable(tf.constant(array), trainable=False, name=re.sub(r"[^\w.\\/-]", "_", name))
            for name, array in flat.weights.items()
            if array.nbytes >= _SMALL and tf.as_dtype(array.dtype).is_floating
        }


def _is_captured(variable: tf.Variable, flat: Flat) -> bool:
    present = {node.name for node in flat.graph.node}
    handle: Any = variable.handle
    return any(name in present and outer is handle for name, outer in flat.captures.items())


def _resources(model: Any, concrete: Any) -> list[Any]:
    """Return the objects behind captured handles that are no variables."""
    handles = {id(variable.handle) for variable in concrete.graph.variables}
    others = [outer for outer, _ in concrete.graph.captures if outer.dtype == tf.resource and id(outer) not in handles]
    if not others:
        return []
    owned = {
        id(part.resource_handle): part
        for part in tf.train.TrackableView(model).descendants()
        if not isinstance(part, tf.Variable) and hasattr(part, "resource_handle")
    }
    missing = [outer for outer in others if id(outer) not in owned]
    if missing:
        raise ValueError(f"the model must hold all tables that it uses as attributes. Received: {missing[0]}")
    return [owned[id(outer)] for outer in others]


def _variables(model: Any) -> list[tf.Variable]:
    return [getattr(variable, "value", variable) if not isinstance(variable, tf.Variable) else variable
            for variable in model.variables]  # fmt: skip


def _distinct(variables: Iterable[tf.Variable]) -> list[tf.Variable]:
    return list({id(variable): variable for variable in variables}.values())


def _check(model: NamedModel, concrete: Any) -> None:
    """Refuse what the stock server does not run."""
    graph = Graph.parse(concrete.graph.as_graph_def().SerializeToString())
    demands = graph.xla_demands()
    if demands:
        raise ValueError(
            "no layer may demand XLA, which the stock server has disabled on the CPU. "
            f"Received: {_layers(model, demands)}"
        )
    callbacks = graph.foreign_ops()
    if callbacks:
        raise ValueError(
            f"no layer may call back to Python, which the server does not have. Received: {_layers(model, callbacks)}"
        )


def _layers(model: NamedModel, findings: Iterable[Finding]) -> str:
    """Name the layers whose scopes hold the nodes, for an error message."""
    found = []
    for finding in findings:
        scopes = [re.sub(r"_\d+$", "", scope) for scope in finding.node.split("/")]
        scopes += finding.node.split("/")
        layer = next((name for name in model.layer_names if name in scopes), None)
        found.append(f"layer {layer!r}" if layer else str(finding))
    return ", ".join(dict.fromkeys(found))
