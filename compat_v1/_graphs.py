"""Graphs of the TF1 era as callables: V1 SavedModels and frozen GraphDefs."""

import difflib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2

from tf_symconv.compat_v1._saved_model import SignatureTensors, Source

__all__ = ["V1Graph", "load_frozen_graph", "load_v1_saved_model", "source_of"]

v1 = tf.compat.v1
_DEFAULT = "serving_default"


@final
class V1Graph(tf.Module):
    """A graph of the TF1 era that TF2 calls, made by :func:`load_v1_saved_model` or :func:`load_frozen_graph`.

    Calls run eagerly and in ``tf.function`` and can be differentiated; the variables are those of the graph, under
    their names, and can be trained further. :func:`export_saved_model` writes the graph again, with the values that the
    variables have then.

    Example:
        >>> import tensorflow as tf
        >>> from tf_symconv import compat_v1
        >>> with tf.Graph().as_default() as graph:
        ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        ...     y = tf.add(x, 1.0, name="y")
        >>> plus_one = compat_v1.load_frozen_graph(graph.as_graph_def(), outputs=["y"])
        >>> plus_one(tf.zeros([1, 2]))["y"].numpy()
        array([[1., 1.]], dtype=float32)
    """

    def __init__(self, directory: tempfile.TemporaryDirectory, name: str | None = None):
        super().__init__(name=name)
        if not tf.executing_eagerly():
            raise RuntimeError("A V1Graph is for TF2. In a tf.Graph, use tf.import_graph_def or tf.saved_model.load.")
        # The files of lookup tables stay where the loaded graph finds them.
        self._directory = directory
        self._loaded = tf.saved_model.load(str(_version(directory)))

    @property
    def signatures(self) -> dict[str, Any]:
        """The functions of the graph by name; each takes tensors as keyword arguments and returns a dict."""
        return dict(self._loaded.signatures)

    @property
    def named_variables(self) -> dict[str, tf.Variable]:
        """The variables by their TF1 name (without ``:0``)."""
        return {variable.name.partition(":")[0]: variable for variable in self._loaded.variables}

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """The variables."""
        return tuple(self._loaded.variables)

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The variables that TF1 would have trained."""
        return tuple(variable for variable in self._loaded.variables if variable.trainable)

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, tf.Tensor]:
        """Call the signature ``serving_default``, or the only one.

        Args:
            *args: A tensor for the only input, or a dict of tensors.
            **kwargs: Tensors by the names of the inputs.

        Returns:
            Tensors by the names of the outputs.

        Raises:
            TypeError: If the arguments do not fit the inputs.
            ValueError: If there are several signatures and none is the default.
        """
        signatures = self.signatures
        name = _DEFAULT if _DEFAULT in signatures else next(iter(signatures))
        if name != _DEFAULT and len(signatures) > 1:
            raise ValueError(f"The graph has no default; call one of signatures. Received: {sorted(signatures)}")
        function = signatures[name]
        specs = function.structured_input_signature[1]
        if len(args) == 1 and isinstance(args[0], Mapping) and not kwargs:
            kwargs, args = dict(args[0]), ()
        elif len(args) == 1 and len(specs) == 1 and not kwargs:
            kwargs, args = {next(iter(specs)): args[0]}, ()
        if args or set(kwargs) != set(specs):
            raise TypeError(
                f"{name} takes the inputs {sorted(specs)} by name. "
                f"Received: {len(args)} positional arguments and {sorted(kwargs)}"
            )
        return function(**{key: tf.convert_to_tensor(value, specs[key].dtype) for key, value in kwargs.items()})


def load_v1_saved_model(directory: str | os.PathLike[str], tags: Sequence[str] = ("serve",)) -> V1Graph:
    """Load a SavedModel that TensorFlow 1 wrote.

    ``tf.saved_model.load`` loads some of them; the reference variables that TensorFlow 1 made unless told otherwise
    come out of it without values.

    Args:
        directory: The directory that holds ``saved_model.pb``.
        tags: Tags of the graph.

    Raises:
        ValueError: If there is no such SavedModel or it has no signature.
    """
    with tf.Graph().as_default(), v1.Session() as session:
        written = _written(restore(session, directory, tags))
    return V1Graph(written)


def load_frozen_graph(
    graph: str | os.PathLike[str] | Any,
    inputs: Mapping[str, str] | Sequence[str] | None = None,
    outputs: Mapping[str, str] | Sequence[str] | None = None,
) -> V1Graph:
    """Load a GraphDef whose variables are constants.

    Args:
        graph: A ``GraphDef``, or the path of one, binary or (``.pbtxt``) text.
        inputs: Names of tensors or operations (``"x:0"`` or ``"x"``) to feed, or a dict of them by the names that
            the inputs shall have. By default all placeholders.
        outputs: What to return, likewise. By default what no operation uses.

    Raises:
        ValueError: If the file is no GraphDef, the graph has variables, or a name is unknown (the message lists the
            nearest ones).
    """
    graph_def: Any = _read(Path(graph)) if isinstance(graph, str | os.PathLike) else graph
    variables = [node.name for node in graph_def.node if node.op in ("Variable", "VariableV2", "VarHandleOp")]
    if variables:
        raise ValueError(f"A frozen graph has no variables; freeze it first. Received: {variables[:8]}")
    with tf.Graph().as_default() as loaded:
        tf.import_graph_def(graph_def, name="")
        used = {tensor.name for op in loaded.get_operations() for tensor in op.inputs}
        if inputs is None:
            inputs = [op.name for op in loaded.get_operations() if op.type == "Placeholder"]
        if outputs is None:
            outputs = [t.name for op in loaded.get_operations() for t in op.outputs if t.name not in used]
        signature = SignatureTensors(_tensors(loaded, inputs), _tensors(loaded, outputs))
        if not signature.outputs:
            raise ValueError(f"The graph has no outputs. Received: outputs={outputs!r}")
        with v1.Session() as session:
            written = _written(Source(session, {_DEFAULT: signature}))
    return V1Graph(written)


def restore(session: tf.compat.v1.Session, directory: str | os.PathLike[str], tags: Sequence[str]) -> Source:
    """Load a SavedModel into a session."""
    path = os.fspath(directory)
    try:
        meta = v1.saved_model.load(session, list(tags), path)
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"The SavedModel cannot be loaded: {reason}. Received: directory={path!r}") from None
    graph = session.graph
    signatures = {
        name: SignatureTensors(
            {key: graph.get_tensor_by_name(info.name) for key, info in definition.inputs.items()},
            {key: graph.get_tensor_by_name(info.name) for key, info in definition.outputs.items()},
            definition.method_name,
        )
        for name, definition in meta.signature_def.items()
        if not name.startswith("__saved_model")
    }
    if not signatures:
        raise ValueError(f"The SavedModel has no signature. Received: directory={path!r}")
    files = {asset.tensor_info.name: str(Path(path).resolve() / "assets" / asset.filename) for asset in _assets(meta)}
    return Source(session, signatures, files)


def _assets(meta: Any) -> list[Any]:
    """Return what a SavedModel says of its files; TensorFlow 1 said it in a collection."""
    definitions = list(meta.asset_file_def)
    for packed in meta.collection_def["saved_model_assets"].any_list.value if not definitions else ():
        definitions.append(meta_graph_pb2.AssetFileDef())
        packed.Unpack(definitions[-1])
    return definitions


def source_of(graph: V1Graph) -> Source:
    """Return a loaded graph with the present values of its variables; its session is the caller's to close."""
    values = {name: variable.numpy() for name, variable in graph.named_variables.items()}
    session = v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        source = restore(session, _version(graph._directory), ("serve",))
        for variable in v1.global_variables():
            session.run(variable.initializer, {variable.initializer.inputs[1]: values[variable.op.name]})
    return source


def _written(source: Source) -> tempfile.TemporaryDirectory:
    """Write the graph in the form that ``tf.saved_model.load`` makes callables of."""
    directory = tempfile.TemporaryDirectory(prefix="symconv_v1_graph_")
    _version(directory).mkdir()
    source.write(_version(directory))
    return directory


def _version(directory: tempfile.TemporaryDirectory) -> Path:
    return Path(directory.name) / "1"


def _read(path: Path) -> Any:
    graph_def = v1.GraphDef()
    try:
        if path.suffix == ".pbtxt":
            text_format.Parse(path.read_text(), graph_def)
        else:
            graph_def.ParseFromString(path.read_bytes())
    except (OSError, DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"The file is a GraphDef: {error}. Received: graph={str(path)!r}") from None
    return graph_def


def _tensors(graph: tf.Graph, names: Mapping[str, str] | Sequence[str]) -> dict[str, Any]:
    if isinstance(names, str):
        raise ValueError(f"Names come in a list or a dict. Received: {names!r}")
    pairs = names.items() if isinstance(names, Mapping) else [(name.removesuffix(":0"), name) for name in names]
    known = [op.name for op in graph.get_operations() if op.outputs]
    tensors = {}
    for key, name in pairs:
        try:
            tensors[key.replace("/", "_").replace(":", "_")] = graph.get_tensor_by_name(
                name if ":" in name else f"{name}:0"
            )
        except (KeyError, ValueError):
            near = difflib.get_close_matches(name.partition(":")[0], known, n=3, cutoff=0.5)
            hint = f"; nearest: {', '.join(map(repr, near))}" if near else ""
            raise ValueError(f"The graph has no tensor {name!r}{hint}. Received: {names!r}") from None
    return tensors
