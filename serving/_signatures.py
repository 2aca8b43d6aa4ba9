"""The signatures of an export: what requests hold and what answers do."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_symconv.serving._core import Core
from tf_symconv.serving._examples import Examples
from tf_symconv.serving._images import ImageReader
from tf_symconv.serving._model import NamedModel

__all__ = ["CLASSIFY", "DEFAULT", "IMAGE_BYTES", "REGRESS", "Endpoint", "check_labels", "endpoints"]

DEFAULT, CLASSIFY, REGRESS, IMAGE_BYTES = "serving_default", "classify", "regress", "serving_bytes"
_PREDICT = "tensorflow/serving/predict"
_METHODS = {CLASSIFY: "tensorflow/serving/classify", REGRESS: "tensorflow/serving/regress"}
_STRINGS = tf.TensorSpec([None], tf.string)


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A signature ready to save.

    Attributes:
        function: a ``tf.function`` from named input tensors to a dict of named outputs.
        examples: a request, and the outputs that the model computes for it.
        method: the method of the server that calls it.
    """

    function: Any
    examples: Examples
    method: str = _PREDICT


def check_labels(labels: Iterable[str] | None) -> list[str] | None:
    """Return the names of classes as a list.

    Raises:
        ValueError: they are something else.
    """
    if labels is None:
        return None
    names = [] if isinstance(labels, str | bytes) else list(labels)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"labels must be names, one for each class. Received: labels={labels!r}")
    return names


def endpoints(
    names: Sequence[str], model: NamedModel, core: Core, labels: list[str] | None, reader: ImageReader | None
) -> dict[str, Endpoint]:
    """Make the signatures of these names.

    Raises:
        ValueError: the model is none for such a signature, or has another number of classes than there are labels.
    """
    with tf.device("CPU:0"):  # The answers of the server's device; a GPU may round to fewer bits.
        tensors = {name: tf.constant(model.examples[name], spec.dtype) for name, spec in model.specs.items()}
        answers = model(list(tensors.values()))
        made = {}
        for name in names:
            if name == DEFAULT:
                # Traced again when it is saved, it shall be the same computation.
                function = _function(lambda *inputs: core.function(*inputs), *core.specs.values())
                made[name] = Endpoint(function, Examples(_arrays(tensors), _arrays(answers)))
            elif name == IMAGE_BYTES and reader is not None:
                made[name] = _image_endpoint(model, core, reader)
            else:
                made[name] = _example_endpoint(name, core, labels, _arrays(tensors), answers)
    return made


def _image_endpoint(model: NamedModel, core: Core, reader: ImageReader) -> Endpoint:
    # In answers and requests by REST, names that end in "_bytes" mark what is base64.
    name = f"{next(iter(model.specs)).removesuffix('_bytes')}_bytes"
    spec = tf.TensorSpec([None], tf.string, name)

    def serve(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        return core.function(reader(tf.ensure_shape(encoded, spec.shape)))

    files = reader.samples()
    answers = _arrays(model([reader(tf.constant(files))]))
    return Endpoint(_function(serve, spec), Examples({name: files}, answers))


def _example_endpoint(
    name: str, core: Core, labels: list[str] | None, inputs: dict[str, np.ndarray], answers: dict[str, tf.Tensor]
) -> Endpoint:
    [(output, spec)] = _only_output(name, core).items()
    features = {each: _feature(name, each, given) for each, given in core.specs.items()}
    shape: Callable[[tf.Tensor], dict[str, tf.Tensor]]
    if name == CLASSIFY:
        _check_classes(spec, labels)
        shape = _classes(labels)
    else:
        shape = _values(spec)

    def serve(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed: Any = tf.io.parse_example(tf.ensure_shape(serialized, [None]), features)
        tensors = [tf.cast(parsed[each], given.dtype) if given.dtype != tf.string else parsed[each]
                   for each, given in core.specs.items()]  # fmt: skip
        return shape(core.function(*tensors)[output])

    count = len(next(iter(inputs.values())))
    rows = [{each: array[index] for each, array in inputs.items()} for index in range(count)]
    serialized = np.empty(count, object)
    serialized[:] = [_serialized(row, features) for row in rows]
    recorded = Examples({"inputs": serialized}, _arrays(shape(answers[output])))
    return Endpoint(_function(serve, tf.TensorSpec([None], tf.string, "inputs")), recorded, _METHODS[name])


def _function(serve: Callable[..., Any], *specs: tf.TensorSpec) -> Any:
    return tf.function(lambda *inputs: serve(*inputs), input_signature=list(specs), autograph=False)


def _only_output(name: str, core: Core) -> dict[str, tf.TensorSpec]:
    outputs = core.outputs
    spec = next(iter(outputs.values()))
    if len(outputs) == 1 and spec.dtype.is_floating and (
        (name == CLASSIFY and spec.shape.rank == 2)
        or (name == REGRESS and (spec.shape.rank == 1 or (spec.shape.rank == 2 and spec.shape[1] == 1)))
    ):  # fmt: skip
        return outputs
    wanted = "(batch, classes)" if name == CLASSIFY else "(batch,) or (batch, 1)"
    found = {each: f"{given.dtype.name} {given.shape}" for each, given in outputs.items()}
    raise ValueError(f"the signature {name!r} needs one floating output of shape {wanted}. Received: outputs={found}")


def _check_classes(spec: tf.TensorSpec, labels: list[str] | None) -> None:
    classes = spec.shape[1]
    if labels is not None and classes not in (None, len(labels)):
        raise ValueError(f"labels must be as many as the model has classes, {classes}. Received: {len(labels)} labels")


def _classes(labels: list[str] | None) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    def shape(scores: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = {"scores": tf.cast(scores, tf.float32)}
        if labels is not None:
            outputs["classes"] = tf.repeat(tf.constant([labels]), tf.shape(scores)[0], axis=0)
        return outputs

    return shape


def _values(spec: tf.TensorSpec) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    return lambda values: {"outputs": tf.cast(values, tf.float32)}


def _feature(signature: str, name: str, spec: tf.TensorSpec) -> Any:
    shape = spec.shape.as_list()
    if not shape or None in shape[1:]:
        raise ValueError(
            f"the signature {signature!r} needs inputs of known shapes. Received: input {name!r} of shape {spec.shape}"
        )
    if spec.dtype == tf.string:
        return tf.io.FixedLenFeature(shape[1:], tf.string)
    return tf.io.FixedLenFeature(shape[1:], tf.float32 if spec.dtype.is_floating else tf.int64)


def _serialized(row: dict[str, np.ndarray], features: dict[str, Any]) -> bytes:
    example = tf.train.Example()
    for name, feature in features.items():
        values = np.asarray(row[name]).ravel()
        target = example.features.feature[name]
        if feature.dtype == tf.string:
            target.bytes_list.value.extend(each.encode() if isinstance(each, str) else bytes(each) for each in values)
        elif feature.dtype == tf.float32:
            target.float_list.value.extend(values.astype(np.float32))
        else:
            target.int64_list.value.extend(values.astype(np.int64).tolist())
    return example.SerializeToString()


def _arrays(tensors: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(tensor.numpy(), object if tensor.dtype == tf.string else None)
        for name, tensor in tensors.items()
    }
