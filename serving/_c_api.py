"""TensorFlow's C API by ctypes: load a SavedModel and run it without the TensorFlow Python package.

The wheel of TensorFlow carries the C API in ``libtensorflow_cc``: the loader, the runtime and the kernels that
TensorFlow Serving is built from. The functions are documented in ``tensorflow/c/c_api.h``, which lies in the wheel.
"""

import contextlib
import ctypes
import functools
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from tf_symconv.serving import _protos
from tf_symconv.serving._dtypes import STRING, dtype_name, dtype_number, numpy_dtype

__all__ = ["Session", "StatusError", "registered_ops", "tensorflow_version"]

_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_LIBRARIES = (
    "libtensorflow_cc.so.2",
    "libtensorflow_cc.so*",
    "libtensorflow_cc.2.dylib",
    "libtensorflow_cc*.dylib",
    "tensorflow_cc*.dll",
    "python/_pywrap_tensorflow_common.dll",
)
_STRING_SIZE = 24  # sizeof(TF_TString) since TensorFlow 2.4.


class StatusError(Exception):
    """An error of TensorFlow: ``code`` is the name of its status, ``message`` the text that came with it."""

    def __init__(self, code: str, message: str):
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("data_deallocator", ctypes.c_void_p),
    )


class _Output(ctypes.Structure):
    _fields_ = (("oper", ctypes.c_void_p), ("index", ctypes.c_int))


_P, _N, _I, _S = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
_INT64S, _STRINGS, _OUTPUTS, _POINTERS = (
    ctypes.POINTER(ctypes.c_int64),
    ctypes.POINTER(_S),
    ctypes.POINTER(_Output),
    ctypes.POINTER(_P),
)
# name: (result, arguments)
_PROTOTYPES = {
    "TF_Version": (_S, ()),
    "TF_NewStatus": (_P, ()),
    "TF_DeleteStatus": (None, (_P,)),
    "TF_GetCode": (_I, (_P,)),
    "TF_Message": (_S, (_P,)),
    "TF_GetAllOpList": (ctypes.POINTER(_Buffer), ()),
    "TF_DeleteBuffer": (None, (ctypes.POINTER(_Buffer),)),
    "TF_NewGraph": (_P, ()),
    "TF_DeleteGraph": (None, (_P,)),
    "TF_GraphOperationByName": (_P, (_P, _S)),
    "TF_OperationNumOutputs": (_I, (_P,)),
    "TF_NewSessionOptions": (_P, ()),
    "TF_DeleteSessionOptions": (None, (_P,)),
    "TF_LoadSessionFromSavedModel": (_P, (_P, _P, _S, _STRINGS, _I, _P, _P, _P)),
    "TF_CloseSession": (None, (_P, _P)),
    "TF_DeleteSession": (None, (_P, _P)),
    "TF_SessionRun": (
        None,
        (_P, _P, _OUTPUTS, _POINTERS, _I, _OUTPUTS, _POINTERS, _I, _POINTERS, _I, _P, _P),
    ),
    "TF_AllocateTensor": (_P, (_I, _INT64S, _I, _N)),
    "TF_DeleteTensor": (None, (_P,)),
    "TF_TensorType": (_I, (_P,)),
    "TF_NumDims": (_I, (_P,)),
    "TF_Dim": (ctypes.c_int64, (_P, _I)),
    "TF_TensorByteSize": (_N, (_P,)),
    "TF_TensorData": (_P, (_P,)),
    "TF_StringInit": (None, (_P,)),
    "TF_StringCopy": (None, (_P, _S, _N)),
    "TF_StringDealloc": (None, (_P,)),
    "TF_StringGetDataPointer": (_P, (_P,)),
    "TF_StringGetSize": (_N, (_P,)),
}


def _find_library() -> Path:
    spec = importlib.util.find_spec("tensorflow")  # Finds the package and does not import it.
    roots = list(spec.submodule_search_locations or ()) if spec else []
    if not roots:
        raise ImportError("TensorFlow is not installed: its C library lies in the package 'tensorflow'")
    for pattern in _LIBRARIES:
        for root in roots:
            found = sorted(Path(root).glob(pattern))
            if found:
                return found[0]
    raise ImportError(f"TensorFlow has no C library: no libtensorflow_cc in {', '.join(roots)}")


@functools.cache
def _library() -> ctypes.CDLL:
    path = _find_library()
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ImportError(f"the C library of TensorFlow does not load: {error}") from error
    return library


@contextlib.contextmanager
def _status() -> Iterator[ctypes.c_void_p]:
    """Make a status to pass to the C API, and raise what it holds at the end of the block."""
    library = _library()
    status = library.TF_NewStatus()
    try:
        yield status
        code = library.TF_GetCode(status)
        if code:
            name = _CODES[code] if 0 <= code < len(_CODES) else f"CODE_{code}"
            raise StatusError(name, library.TF_Message(status).decode(errors="replace"))
    finally:
        library.TF_DeleteStatus(status)


def tensorflow_version() -> str:
    """Version of the C library, for example ``"2.21.0"``."""
    return _library().TF_Version().decode()


def registered_ops() -> frozenset[str]:
    """Names of all ops that the C library knows."""
    library = _library()
    buffer = library.TF_GetAllOpList()
    try:
        ops = _protos.new("OpList")
        ops.ParseFromString(ctypes.string_at(buffer.contents.data, buffer.contents.length))
    finally:
        library.TF_DeleteBuffer(buffer)
    return frozenset(op.name for op in ops.op)


class Session:
    """A loaded SavedModel.

    Use it as a context manager, or call ``close``.

    Args:
        path: directory of the SavedModel.
        tags: tags of the graph to load.

    Raises:
        StatusError: the SavedModel does not load.
    """

    def __init__(self, path: str | Path, tags: Sequence[str] = ("serve",)):
        library = _library()
        self._session = None
        self._graph = library.TF_NewGraph()
        options = library.TF_NewSessionOptions()
        labels = (ctypes.c_char_p * len(tags))(*(tag.encode() for tag in tags))
        try:
            with _status() as status:
                self._session = library.TF_LoadSessionFromSavedModel(
                    options, None, str(path).encode(), labels, len(tags), self._graph, None, status
                )
        except StatusError:
            self.close()
            raise
        finally:
            library.TF_DeleteSessionOptions(options)

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> list[np.ndarray]:
        """Feed tensors and fetch others.

        Args:
            feeds: arrays by the name of the tensor in the graph (``"x:0"``). Arrays of bytes, str or objects are fed
                as strings.
            fetches: names of the tensors to compute.

        Returns:
            One array per name in ``fetches``; strings come as arrays of objects (bytes).

        Raises:
            StatusError: TensorFlow refused or failed.
            TypeError: an array with an element type that TensorFlow lacks.
        """
        library = _library()
        results = (ctypes.c_void_p * len(fetches))()
        with contextlib.ExitStack() as stack:
            tensors = [stack.enter_context(_tensor(array)) for array in feeds.values()]
            sources = (_Output * len(feeds))(*map(self._output, feeds))
            targets = (_Output * len(fetches))(*map(self._output, fetches))
            values = (ctypes.c_void_p * len(tensors))(*tensors)
            try:
                with _status() as status:
                    library.TF_SessionRun(
                        self._session, None, sources, values, len(tensors), targets, results, len(fetches),
                        None, 0, None, status,
                    )  # fmt: skip
                return [_array(result) for result in results]
            finally:
                for result in results:
                    if result:
                        library.TF_DeleteTensor(result)

    def close(self) -> None:
        """Free the session and its graph."""
        library = _library()
        if self._session:
            session, self._session = self._session, None
            with contextlib.suppress(StatusError), _status() as status:
                library.TF_CloseSession(session, status)
            with contextlib.suppress(StatusError), _status() as status:
                library.TF_DeleteSession(session, status)
        if self._graph:
            graph, self._graph = self._graph, None
            library.TF_DeleteGraph(graph)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _output(self, name: str) -> _Output:
        if not self._session:
            raise StatusError("FAILED_PRECONDITION", "the session is closed")
        operation_name, _, index = name.partition(":")
        operation = _library().TF_GraphOperationByName(self._graph, operation_name.encode())
        if not operation or int(index or 0) >= _library().TF_OperationNumOutputs(operation):
            raise StatusError("NOT_FOUND", f"the graph has no tensor {name!r}")
        return _Output(operation, int(index or 0))


@contextlib.contextmanager
def _tensor(array: np.ndarray) -> Iterator[ctypes.c_void_p]:
    """Make a tensor with a copy of ``array``, freed at the end of the block."""
    library = _library()
    array = np.asarray(array)
    number = dtype_number(array)
    strings = dtype_name(number) == STRING
    size = array.size * (_STRING_SIZE if strings else array.itemsize)
    tensor = library.TF_AllocateTensor(number, (ctypes.c_int64 * array.ndim)(*array.shape), array.ndim, size)
    if not tensor:
        raise MemoryError(f"no tensor of {size} bytes could be allocated")
    data = library.TF_TensorData(tensor)
    # The slots that hold a string; each owns memory once it is set.
    slots = range(data, data + size, _STRING_SIZE) if strings and size else ()
    try:
        for slot in slots:
            library.TF_StringInit(slot)
        if strings:
            for slot, value in zip(slots, array.ravel(), strict=True):
                encoded = value.encode() if isinstance(value, str) else bytes(value)
                library.TF_StringCopy(slot, encoded, len(encoded))
        elif size:
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
        yield tensor
    finally:
        for slot in slots:
            library.TF_StringDealloc(slot)
        library.TF_DeleteTensor(tensor)


def _array(tensor: int) -> np.ndarray:
    """Copy a tensor to an array."""
    library = _library()
    name = dtype_name(library.TF_TensorType(tensor))
    dtype = numpy_dtype(name)
    shape = tuple(library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor)))
    data, size = library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor)
    if name != STRING:
        return np.frombuffer(ctypes.string_at(data, size), dtype).reshape(shape).copy()
    count = int(np.prod(shape, dtype=np.int64))
    array = np.empty(count, object)
    for index in range(count):
        slot = data + index * _STRING_SIZE
        start, length = library.TF_StringGetDataPointer(slot), library.TF_StringGetSize(slot)
        array[index] = ctypes.string_at(start, length) if length else b""
    return array.reshape(shape)
