"""Functions of the TF1 era as ``tf.Module``: the module owns the variables that ``get_variable`` makes."""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Callable, Hashable
from typing import Any, final

import tensorflow as tf

from tf_symconv.compat_v1 import _trace

__all__ = ["V1Module"]

_KEYS = tf.compat.v1.GraphKeys


@final
class V1Module(tf.Module):
    """A function of the TF1 era that can be called from TF2.

    The function runs in a graph of its own, once for every signature, as TF1 would run it: ``get_variable``,
    ``variable_scope``, ``tf.Variable``, reuse, custom getters, regularisers, collections and control dependencies
    work as they did, and variables get the names that they had. The module owns the variables and hands the same ones
    to every later call. Calls work eagerly, in ``tf.function`` and under ``tf.GradientTape``; the variables appear in
    ``trainable_variables``, in ``tf.train.Checkpoint`` and in a SavedModel.

    Two calls of ``get_variable`` with one name in one call of the function are an error unless the scope reuses, as in
    TF1. Between calls everything is reused.

    Args:
        fn: Function of tensors (and Python values, which are constants) that returns tensors in any nest.
        name: Name of the module.
        run_update_ops: Whether a call also runs what the function put into the collection ``UPDATE_OPS``, such as the
            moving averages of batch normalisation. If False, ``collect`` runs them.

    Example:
        >>> import tensorflow as tf
        >>> from tf_symconv import compat_v1
        >>> def head(x):
        ...     w = tf.compat.v1.get_variable("w", [x.shape[-1], 3])
        ...     return tf.matmul(x, w)
        >>> module = compat_v1.V1Module(head)
        >>> module(tf.ones([2, 5])).shape
        TensorShape([2, 3])
        >>> list(module.named_variables)
        ['w']
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, *, run_update_ops: bool = True):
        if not callable(fn):
            raise TypeError(f"fn is a function. Received: fn={fn!r}")
        super().__init__(name=name)
        self._fn = fn
        self._run_update_ops = bool(run_update_ops)
        self._store: dict[str, tf.Variable] = {}
        self._traces = _Traces()

    @property
    def named_variables(self) -> dict[str, tf.Variable]:
        """The variables by their TF1 name (without ``:0``), in the order in which the function made them."""
        return dict(self._store)

    @tf.function(autograph=False)
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function.

        Raises:
            ValueError: If the call wants a variable with another shape or type than an earlier one.
            RuntimeError: In a ``tf.Graph``, where the function itself can be called.
        """
        return self._trace(args, kwargs).call(args, kwargs, self._run_update_ops)

    def build(self, *args: Any, **kwargs: Any) -> None:
        """Make the variables without running the function.

        Args:
            *args: What the function takes, with ``tf.TensorSpec`` or tensors for its tensors.
            **kwargs: Likewise.
        """
        self._trace(args, kwargs)

    def regularization_losses(self) -> list[tf.Tensor]:
        """Return the losses of the regularisers of all variables made so far, one scalar each.

        Raises:
            ValueError: If a loss depends on the arguments of the function; :meth:`collect` reaches it.
        """
        losses: dict[str, tf.Tensor] = {}
        for trace in itertools.chain.from_iterable(self._traces.by_constants.values()):
            for tensor in trace.collections.get(_KEYS.REGULARIZATION_LOSSES, ()):
                if tensor.name not in losses:
                    losses[tensor.name] = trace.without_arguments(tensor, "A regularisation loss")
        return list(losses.values())

    def collect(self, key: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Compute what the function puts into a graph collection when it is called with these arguments.

        Args:
            key: Name of the collection, such as ``tf.compat.v1.GraphKeys.UPDATE_OPS`` or ``LOSSES``.
            *args: Arguments of the function.
            **kwargs: Likewise.

        Returns:
            One value for each entry; None for an operation without a value, which has run.
        """
        return self._trace(args, kwargs).collect(key, args, kwargs)

    def _trace(self, args: tuple, kwargs: dict[str, Any]) -> _trace.Trace:
        args, kwargs = _trace.values(args, kwargs)
        traces = self._traces.by_constants.setdefault(_trace.constants(args, kwargs), [])
        for trace in traces:
            if trace.accepts(args, kwargs):
                return trace
        with tf.init_scope():
            if not tf.executing_eagerly():
                raise RuntimeError("A V1Module is for TF2. In a tf.Graph, call its function itself.")
            seeded, seed = tf.compat.v1.get_seed(None)
        # A thread of its own has no function under construction, whose rules for variables would apply.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            trace = pool.submit(
                _trace.Trace, self._fn, self._store, args, kwargs, None if seeded is None else seed
            ).result()
        self._store.update(trace.variables)
        traces.append(trace)
        return trace


@dataclasses.dataclass
class _Traces:
    """Keeps the graphs out of sight of ``tf.Module``, which tracks dictionaries."""

    by_constants: dict[Hashable, list[_trace.Trace]] = dataclasses.field(default_factory=dict)
