"""What a graph asks of the runtime: ops that stock TensorFlow lacks, Python, XLA.

The stock TensorFlow Serving has neither the Python of an exported model nor XLA on the CPU, and finds out at the
first request, not when it loads.
"""

import dataclasses
from collections.abc import Collection, Iterator

from tf_symconv.serving import _protos
from tf_symconv.serving._dtypes import dtype_name

__all__ = ["Finding", "Graph"]

_PYTHON_OPS = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
_MUST_COMPILE = "_XlaMustCompile"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A node that the stock server cannot run.

    Attributes:
        what: the op, or the function that demands XLA.
        node: the name of the node; its scope names the layer that made it. Empty when no node calls the function.
        function: the function that holds the node; empty for the main graph.
    """

    what: str
    node: str
    function: str = ""

    def __str__(self) -> str:
        place = f" at {self.node}" if self.node else ", called by no node"
        return f"{self.what}{place}" + (f" in {self.function}" if self.function else "")


class Graph:
    """A GraphDef: its nodes and those of its function library."""

    def __init__(self, proto: _protos.Message):
        self._proto = proto

    @classmethod
    def parse(cls, serialized: bytes) -> "Graph":
        """Read a serialised GraphDef."""
        proto = _protos.new("Graph")
        proto.ParseFromString(serialized)
        return cls(proto)

    @property
    def functions(self) -> frozenset[str]:
        """Names of the functions in the library."""
        return frozenset(function.signature.name for function in self._proto.library.function)

    @property
    def ops(self) -> frozenset[str]:
        """Names of all ops in use; a call of a library function by its name is none."""
        return frozenset(node.op for _, node in self._nodes()) - self.functions

    @property
    def dtypes(self) -> frozenset[str]:
        """Names of all element types that nodes compute with."""
        numbers = set()
        for _, node in self._nodes():
            for attr in node.attr:
                numbers.update((attr.value.type, *attr.value.list.type))
        return frozenset(dtype_name(number) for number in numbers - {0})

    def foreign_ops(self, registered: Collection[str] | None = None) -> tuple[Finding, ...]:
        """List the nodes that call back to Python, or whose op is not in ``registered`` (unless that is None)."""
        functions = self.functions
        return tuple(
            Finding(node.op, node.name, function)
            for function, node in self._nodes()
            if node.op in _PYTHON_OPS
            or (registered is not None and node.op not in registered and node.op not in functions)
        )

    def xla_demands(self) -> tuple[Finding, ...]:
        """List the functions and ops that run only where XLA does, one finding per node that needs them."""
        compiled = {
            function.signature.name
            for function in self._proto.library.function
            if any(attr.key == _MUST_COMPILE and attr.value.b for attr in function.attr)
        }
        findings = [
            Finding(what, node.name, function)
            for function, node in self._nodes()
            if (what := _xla_need(node, compiled))
        ]
        called = {finding.what for finding in findings}
        return (*findings, *(Finding(name, "") for name in sorted(compiled - called)))

    def _nodes(self) -> Iterator[tuple[str, _protos.Message]]:
        yield from (("", node) for node in self._proto.node)
        for function in self._proto.library.function:
            yield from ((function.signature.name, node) for node in function.node_def)


def _xla_need(node: _protos.Message, compiled: Collection[str]) -> str:
    """Return the function or op by which ``node`` needs XLA; empty if it does not."""
    called = [node.op]
    must_compile = False
    for attr in node.attr:
        called += [attr.value.func.name, *(function.name for function in attr.value.list.func)]
        must_compile |= attr.key == _MUST_COMPILE and attr.value.b
    for name in called:
        if name in compiled:
            return name
    if node.op.startswith(("Xla", "_Xla")):
        return node.op
    return next(filter(None, called[1:]), node.op) if must_compile else ""
