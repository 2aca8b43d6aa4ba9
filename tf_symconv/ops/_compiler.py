"""Who runs the ops that are being built."""

from typing import Any

import tensorflow as tf


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
