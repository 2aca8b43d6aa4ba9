"""What is known of how the ops that are being built will run."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import tensorflow as tf

_Function = TypeVar("_Function", bound=Callable[..., Any])


def unconverted(function: _Function) -> _Function:
    """Keep AutoGraph from rewriting a function and all that it calls, which takes seconds where it is traced first.

    Nothing here needs that: what depends on tensors is told by ops.
    """
    return cast(_Function, tf.autograph.experimental.do_not_convert(function))


def compiled_by_xla() -> bool:
    """Return whether this is the body of a ``tf.function(jit_compile=True)``.

    XLA and the kernels of TensorFlow differ in which ops are fast: depthwise and strided convolutions take XLA up to
    twenty times as long on a CPU. TensorFlow marks such a body as it traces it; where that mark cannot be read, the
    answer is no, which costs time but no accuracy.
    """
    graph: Any = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        context = getattr(graph, "_get_control_flow_context", lambda: None)()
        while context is not None:
            if getattr(context, "IsXLAContext", lambda: False)():
                return True
            context = getattr(context, "outer_context", None)
        graph = getattr(graph, "outer_graph", None)
    return False


_constant = contextvars.ContextVar("constant", default=False)
_training = contextvars.ContextVar("training", default=False)


@contextlib.contextmanager
def _set(variable: contextvars.ContextVar[bool], value: bool) -> Iterator[None]:
    before = variable.set(value)
    try:
        yield
    finally:
        variable.reset(before)


def constant_kernels() -> contextlib.AbstractContextManager[None]:
    """Choose, for convolutions that are traced in the block, as fits kernels that are constants and take no gradients.

    What is done to such a kernel costs nothing where the graph is made once and run often; no memory is kept for
    gradients, so large batches are not cut up, and none has a say in the choice.
    """
    return _set(_constant, True)


def kernels_are_constant() -> bool:
    """Return whether this is within :func:`constant_kernels`."""
    return _constant.get()


def training_step(whether: bool = True) -> contextlib.AbstractContextManager[None]:
    """Choose, for convolutions that are traced in the block, as makes a whole training step cheap, not inference.

    Args:
        whether: False: as for inference.
    """
    return _set(_training, whether)


def in_training_step() -> bool:
    """Return whether this is within :func:`training_step`."""
    return _training.get()
