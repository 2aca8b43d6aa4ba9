"""Sessions and graphs of TensorFlow 1 as what an export is made of."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tf_symconv.compat_v1 import V1Graph
from tf_symconv.compat_v1._export import record, signature_tensors, write
from tf_symconv.compat_v1._graphs import source_of
from tf_symconv.compat_v1._saved_model import GRAPH_LIMIT, Source, variable_bytes
from tf_symconv.serving._core import KERNELS
from tf_symconv.serving._examples import Examples

__all__ = ["session_writer"]

_NEEDED = {"inputs", "outputs"}
_PARTS = {*_NEEDED, "method"}


def session_writer(
    session: Any, signatures: Any, kernels: str, freeze: bool | None, examples: Any
) -> Callable[[Path], dict[str, tuple[str, Examples]]]:
    """Return what writes a session's graph and tells the method and the examples of each signature.

    Raises:
        ValueError: signatures of another form, or none; and what :func:`compat_v1.export_saved_model` refuses.
    """
    if kernels not in KERNELS:
        raise ValueError(f"kernels must be one of {', '.join(map(repr, KERNELS))}. Received: kernels={kernels!r}")
    if freeze and kernels == "trainable":
        raise ValueError("freeze must not be True where kernels='trainable', whose weights stay variables")

    def save(directory: Path) -> dict[str, tuple[str, Examples]]:
        if not isinstance(session, V1Graph):
            return _save(_source(session, signatures), directory)
        if signatures is not None:
            raise ValueError("a V1Graph has its own signatures. Received: signatures")
        source = source_of(session)
        with source.session:
            return _save(source, directory)

    def _save(source: Source, directory: Path) -> dict[str, tuple[str, Examples]]:
        given = examples if len(source.signatures) > 1 else dict.fromkeys(source.signatures, examples)
        recorded = record(source, given or {})
        wanted = kernels != "trainable" and freeze is not False
        write(source, directory, wanted and (freeze is True or variable_bytes(source) < GRAPH_LIMIT))
        return {name: (signature.method, recorded[name]) for name, signature in source.signatures.items()}

    return save


def _source(session: Any, signatures: Any) -> Source:
    """Return the signatures of a session."""
    well_formed = (
        isinstance(signatures, Mapping)
        and signatures
        and all(isinstance(parts, Mapping) and _NEEDED <= set(parts) <= _PARTS for parts in signatures.values())
    )
    if not well_formed:
        raise ValueError(
            "signatures of a session must be a dict of dicts with the keys 'inputs' and 'outputs', and 'method' if it "
            f"is not 'predict'. Received: signatures={signatures!r}"
        )
    found = {
        name: signature_tensors(session.graph, parts["inputs"], parts["outputs"], parts.get("method", "predict"))
        for name, parts in signatures.items()
    }
    return Source(session, found)
