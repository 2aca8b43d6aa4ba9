"""One graph of a function of the TF1 era: its variables, outputs and collections, for one kind of arguments."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["Trace", "constants", "values"]

_KEYS = tf.compat.v1.GraphKeys


class Trace:
    """The graph of the function for one signature."""

    def __init__(
        self,
        fn: Callable[..., Any],
        known: Mapping[str, tf.Variable],
        args: tuple,
        kwargs: dict[str, Any],
        seed: int | None,
    ):
        self.variables: dict[str, tf.Variable] = {}
        self.collections: dict[str, list[Any]] = {}
        self._known = known
        self._initial: dict[str, tf.Tensor] = {}
        self._places: list[tf.Tensor] = []
        self._outputs: Any = None

        def traced(*tensors: tf.Tensor) -> list[tf.Tensor]:
            self._places = list(tensors)
            call_args, call_kwargs = _replace(args, kwargs, tensors)
            graph = tf.compat.v1.get_default_graph()
            if seed is not None:
                # Every graph counts its random operations from zero, so two modules would start from the same values.
                tf.compat.v1.set_random_seed(seed)
            with tf.variable_creator_scope(self._create):
                self._outputs = tf.nest.map_structure(_as_tensor, fn(*call_args, **call_kwargs))
                for key in graph.get_all_collection_keys():
                    entries = graph.get_collection(key)
                    self.collections[key] = (
                        list(entries) if key == _KEYS.UPDATE_OPS else [_as_tensor(entry) for entry in entries]
                    )
            return []

        self._specs = _specs(args, kwargs)
        self._wrapped = tf.compat.v1.wrap_function(traced, self._specs)
        self._pruned: dict[Hashable, Callable[..., Any]] = {}
        for name, variable in self.variables.items():
            variable.assign(self.without_arguments(self._initial[name], f"The initial value of the variable {name!r}"))

    def _create(self, next_creator: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
        """Return the variable that the name stands for; make it if there is none."""
        graph = tf.compat.v1.get_default_graph()
        name = graph.unique_name(kwargs.get("name") or "Variable", mark_as_used=False)
        if name in self._known:
            graph.unique_name(kwargs.get("name") or "Variable")
            _check(name, self._known[name], kwargs)
            _collect(self._known[name], kwargs.get("collections"))
            return self._known[name]
        initial: Any = kwargs["initial_value"]
        # The value is computed by this graph when it is whole: it may depend on variables made before.
        with tf.name_scope(f"{name}/Initializer/"), tf.control_dependencies(None):
            source: Any = initial() if callable(initial) else initial
            value = tf.convert_to_tensor(source, dtype=kwargs.get("dtype"))
        if not value.shape.is_fully_defined():
            raise ValueError(f"The variable {name!r} needs a shape that is known. Received: shape={value.shape}")
        kwargs.update(initial_value=lambda: tf.zeros(value.shape, value.dtype), dtype=value.dtype, use_resource=True)
        self.variables[name] = variable = next_creator(**kwargs)
        self._initial[name] = value
        if variable.name != f"{name}:0":
            raise RuntimeError(f"TensorFlow named the variable {name!r} {variable.name!r}.")
        return variable

    def accepts(self, args: tuple, kwargs: dict[str, Any]) -> bool:
        """Tell whether the graph takes tensors of these shapes and types."""
        return all(_fits(spec, mine) for mine, spec in zip(self._specs, _specs(args, kwargs), strict=True))

    def call(self, args: tuple, kwargs: dict[str, Any], run_update_ops: bool) -> Any:
        """Return the outputs of the function."""
        updates = [_operation(entry) for entry in self.collections.get(_KEYS.UPDATE_OPS, ())] if run_update_ops else []
        leaves = tf.nest.flatten(self._outputs, expand_composites=True)
        tensors = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, tf.Tensor)}
        values, _ = self._run("call", (list(tensors.values()), updates), args, kwargs)
        computed = dict(zip(tensors, values, strict=True))
        leaves = [computed.get(i, leaf) for i, leaf in enumerate(leaves)]
        return tf.nest.pack_sequence_as(self._outputs, leaves, expand_composites=True)

    def collect(self, key: str, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
        """Return the values of the tensors of a collection; its operations run."""
        entries = [
            entry if isinstance(entry, tf.Tensor) else _operation(entry) for entry in self.collections.get(key, ())
        ]
        return self._run(("collect", key), entries, args, kwargs)

    def without_arguments(self, tensor: tf.Tensor, what: str) -> tf.Tensor:
        """Return the value of a tensor that depends on variables only."""
        if tensor.name not in self._pruned:
            if _reaches(tensor, self._places):
                raise ValueError(f"{what} depends on the arguments of the function. Received: {tensor.name!r}")
            self._pruned[tensor.name] = self._wrapped.prune([], tensor)
        return self._pruned[tensor.name]()

    def _run(self, key: Hashable, fetches: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if not tf.nest.flatten(fetches):
            return fetches
        if key not in self._pruned:
            self._pruned[key] = self._wrapped.prune(self._places, fetches)
        leaves = _flatten(*values(args, kwargs))
        return self._pruned[key](*[tf.convert_to_tensor(leaf) for leaf in leaves if _is_tensor(leaf)])


def values(args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """Read the variables among the arguments: the function gets tensors."""
    return tf.nest.map_structure(
        lambda leaf: tf.convert_to_tensor(leaf) if isinstance(leaf, tf.Variable) else leaf, (args, kwargs)
    )


def _flatten(args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    return tf.nest.flatten((args, kwargs), expand_composites=True)


def _replace(args: tuple, kwargs: dict[str, Any], tensors: Sequence[tf.Tensor]) -> tuple[tuple, dict[str, Any]]:
    given = iter(tensors)
    leaves = [next(given) if _is_tensor(leaf) else leaf for leaf in _flatten(args, kwargs)]
    return tf.nest.pack_sequence_as((args, kwargs), leaves, expand_composites=True)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, tf.Tensor | tf.TensorSpec) or hasattr(leaf, "__array__")


def _spec(leaf: Any) -> tf.TensorSpec:
    if isinstance(leaf, tf.TensorSpec):
        return leaf
    leaf = tf.convert_to_tensor(leaf)
    return tf.TensorSpec(leaf.shape, leaf.dtype)


def _specs(args: tuple, kwargs: dict[str, Any]) -> list[tf.TensorSpec]:
    return [_spec(leaf) for leaf in _flatten(args, kwargs) if _is_tensor(leaf)]


def _fits(spec: tf.TensorSpec, wider: tf.TensorSpec) -> bool:
    """Tell whether every tensor of ``spec`` is one of ``wider``."""
    if spec.dtype != wider.dtype or wider.shape.rank not in (None, spec.shape.rank):
        return False
    return wider.shape.rank is None or all(
        size is None or size == own for own, size in zip(spec.shape.as_list(), wider.shape.as_list(), strict=True)
    )


def constants(args: tuple, kwargs: dict[str, Any]) -> Hashable:
    """Return what two calls share that one graph can serve: the nest and the values that are no tensors."""
    leaves = [None if _is_tensor(leaf) else (type(leaf), leaf) for leaf in _flatten(args, kwargs)]
    structure = tf.nest.map_structure(
        lambda leaf: type(leaf) if tf.is_tensor(leaf) and not isinstance(leaf, tf.Tensor) else None, (args, kwargs)
    )
    return repr(structure), tuple(leaves)


def _as_tensor(entry: Any) -> Any:
    """Return what a fetch of a session would return a value of; other things stay."""
    composite = tf.Operation | tf.SparseTensor | tf.RaggedTensor | tf.IndexedSlices
    if isinstance(entry, tf.Tensor | composite) or not hasattr(entry, "dtype"):
        return entry
    return tf.convert_to_tensor(entry)


def _operation(entry: Any) -> Any:
    return entry if isinstance(entry, tf.Operation) else entry.op


def _reaches(tensor: tf.Tensor, places: Sequence[tf.Tensor]) -> bool:
    """Tell whether the tensor is computed from one of the places."""
    targets, seen, pending = {id(place.op) for place in places}, set(), [tensor.op]
    while pending:
        op = pending.pop()
        if id(op) in targets:
            return True
        if id(op) not in seen:
            seen.add(id(op))
            pending += [source.op for source in op.inputs] + list(op.control_inputs)
    return False


def _collect(variable: tf.Variable, collections: Sequence[str] | None) -> None:
    keys = list(collections or [_KEYS.GLOBAL_VARIABLES])
    if variable.trainable and _KEYS.TRAINABLE_VARIABLES not in keys:
        keys.append(_KEYS.TRAINABLE_VARIABLES)
    for key in keys:
        tf.compat.v1.add_to_collection(key, variable)


def _check(name: str, variable: tf.Variable, wanted: dict[str, Any]) -> None:
    shape, dtype = wanted.get("shape"), wanted.get("dtype")
    if shape is None and hasattr(wanted.get("initial_value"), "shape"):
        shape = wanted["initial_value"].shape
    if (shape is not None and not variable.shape.is_compatible_with(shape)) or (
        dtype is not None and tf.as_dtype(dtype).base_dtype != variable.dtype.base_dtype
    ):
        raise ValueError(
            f"The variable {name!r} has shape {tuple(variable.shape)} and type {variable.dtype.base_dtype.name} from "
            f"an earlier call. Received: shape={shape}, dtype={dtype}"
        )
