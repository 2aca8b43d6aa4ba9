"""Malformed requests for a signature."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from tf_symconv.serving._dtypes import STRING, numpy_dtype
from tf_symconv.serving._saved_model import Signature, TensorSpec

__all__ = ["Probe", "blank_request", "probes"]

_ANY_SIZE = 8  # stands for a dimension that the signature leaves open
_ANY_RANK = 1  # stands for a rank that the signature leaves open
_MOST_RANK = 5


@dataclasses.dataclass(frozen=True)
class Probe:
    """A request with one thing wrong.

    Attributes:
        input: the input that is wrong; ``"*"`` for all of them.
        kind: ``"wrong rank"``, ``"wrong shape"``, ``"wrong dtype"`` or ``"empty batch"``.
        sent: type and shape of what is sent for that input.
        feeds: the whole request, by input name.
        allowed: the signature admits the request, so that an answer is right too.
    """

    input: str
    kind: str
    sent: str
    feeds: Mapping[str, np.ndarray]
    allowed: bool


def blank_request(signature: Signature) -> dict[str, np.ndarray]:
    """Make a request of zeros and empty strings that the signature admits: one example."""
    return {name: _blank(spec.dtype, _plain_shape(spec)) for name, spec in signature.inputs.items()}


def probes(signature: Signature, request: Mapping[str, np.ndarray]) -> Iterator[Probe]:
    """Make malformed variants of ``request``, a right one."""
    for name, spec in signature.inputs.items():
        for kind, bad in _variants(spec, request[name]):
            yield _probe(signature, name, kind, bad, {**request, name: bad})
    batched = [name for name, spec in signature.inputs.items() if request[name].ndim and _free_batch(spec)]
    if len(batched) > 1:
        empty = {name: request[name][:0] if name in batched else request[name] for name in request}
        yield _probe(signature, "*", "empty batch", empty[batched[0]], empty)


def _probe(signature: Signature, name: str, kind: str, bad: np.ndarray, feeds: Mapping[str, np.ndarray]) -> Probe:
    allowed = all(spec.admits(feeds[each]) for each, spec in signature.inputs.items())
    dtype = STRING if bad.dtype == object else bad.dtype.name
    sizes = ", ".join(map(str, bad.shape))
    return Probe(name, kind, f"{dtype} ({sizes})", feeds, allowed)


def _variants(spec: TensorSpec, right: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    shape = right.shape
    for rank in range(max(_MOST_RANK, right.ndim + 1) + 1):
        if rank != right.ndim:
            yield "wrong rank", _blank(spec.dtype, (shape + (1,) * rank)[:rank])
    for axis, size in enumerate(shape):
        fixed = spec.shape is not None and spec.shape[axis] is not None
        if axis == 0 and not fixed:
            yield "empty batch", right[:0]
            continue
        for other in {0, size - 1, size + 1} - {-1} if fixed else {0, 1} - {size}:
            yield "wrong shape", _blank(spec.dtype, (*shape[:axis], other, *shape[axis + 1 :]))
    for dtype in (STRING, "int32", "float32", "complex64"):
        if dtype != spec.dtype:
            yield "wrong dtype", _blank(dtype, shape)


def _free_batch(spec: TensorSpec) -> bool:
    return spec.shape is None or spec.shape[:1] == (None,)


def _plain_shape(spec: TensorSpec) -> tuple[int, ...]:
    if spec.shape is None:
        return (1,) * _ANY_RANK
    batch = (1 if size is None else size for size in spec.shape[:1])
    return (*batch, *(_ANY_SIZE if size is None else size for size in spec.shape[1:]))


def _blank(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, b"", object) if dtype == STRING else np.zeros(shape, numpy_dtype(dtype))
