"""Write docs/conversion.md: which layers convert to LiteRT and ONNX, run there, and agree.

Run: python -m docs.conversion_table (it needs the extra ``test``). A test recomputes every row and compares.
"""

import contextlib
import inspect
import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.layers.cases import CASES, Case
from tf_symconv import models

PAGE = Path(__file__).with_name("conversion.md")
TOLERANCE = 1e-5
YES = "yes"
_START, _END = "<!-- table: python -m docs.conversion_table -->", "<!-- end of table -->"


def litert(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Convert by TensorFlow's converter, with its built-in operations alone; return what runs the result."""
    with contextlib.redirect_stdout(io.StringIO()):
        flat = tf.lite.TFLiteConverter.from_keras_model(model).convert()

    def run(inputs: np.ndarray) -> np.ndarray:
        interpreter = _interpreter(flat)
        place = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(place, inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, inputs)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


def _interpreter(flat: bytes) -> Any:
    """Return the interpreter of the package ai-edge-litert, or the one that TensorFlow still has."""
    try:
        from ai_edge_litert.interpreter import Interpreter  # pyright: ignore
    except ImportError:
        Interpreter = tf.lite.Interpreter
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow announces the end of its own
        return Interpreter(model_content=flat)


def onnx(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Convert by tf2onnx; return what runs the result in ONNX Runtime."""
    import onnxruntime  # pyright: ignore
    import tf2onnx  # pyright: ignore

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype, name="inputs") for tensor in model.inputs]
    function = tf.function(lambda inputs: model(inputs, training=False), input_signature=signature)
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature)

    def run(inputs: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: inputs})[0]

    return run


def outcome(convert: Callable[..., Any], case: Case, plain: bool = False, **changes: Any) -> str:
    """Return what becomes of a model of one layer, or of its plain form."""
    keras.utils.set_random_seed(3)
    model = case.make_model(**changes)
    inputs = case.inputs()
    wanted = np.asarray(model(inputs, training=False))
    try:
        run = convert(models.materialize(model) if plain else model)
    except ImportError:
        raise
    except Exception:
        return "does not convert"
    try:
        outputs = run(inputs)
    except Exception:
        return "does not run"
    agrees = np.abs(outputs - wanted).max() <= TOLERANCE * np.abs(wanted).max()
    return YES if agrees else "differs"


def cell(convert: Callable[..., Any], layer: type) -> str:
    """Return what becomes of all cases of a layer, and, where that is not well, of their plain forms."""
    cases = [case for case in CASES if case.layer is layer]
    found = {outcome(convert, case) for case in cases}
    found |= {outcome(convert, case, implementation="folded") for case in cases if _folds(case)}
    found = sorted(found - {YES})
    if not found:
        return YES
    plain = sorted({outcome(convert, case, plain=True) for case in cases} - {YES})
    return f"{', '.join(found)}; its plain form: {', '.join(plain) or YES}"


def _folds(case: Case) -> bool:
    """Return whether a case has a folded form."""
    if "implementation" not in inspect.signature(case.layer).parameters or not hasattr(case.layer, "plan"):
        return False
    layer = case.make(implementation="folded")
    layer.build((None, *case.input_shape))
    return layer.plan((None, *case.input_shape)).implementation == "folded"


def layers() -> list[type]:
    """Return every layer that has cases, by name."""
    return sorted({case.layer for case in CASES}, key=lambda layer: layer.__name__)


def row(layer: type) -> tuple[str, str, str]:
    """Return a row of the table."""
    return f"`{layer.__name__}`", cell(litert, layer), cell(onnx, layer)


def rows_of(page: str) -> list[tuple[str, ...]]:
    """Return the rows that a page has."""
    table = page.split(_START)[1].split(_END)[0]
    lines = re.findall(r"^\| (`.*) \|$", table, re.MULTILINE)
    return [tuple(line.split(" | ")) for line in lines]


def write(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the page with other rows."""
    before, rest = PAGE.read_text().split(_START)
    after = rest.split(_END)[1]
    lines = ["| layer | LiteRT (TFLite) | ONNX |", "|---|---|---|", *(f"| {' | '.join(each)} |" for each in rows)]
    return "\n".join([before + _START, "", *lines, "", _END + after])


if __name__ == "__main__":
    PAGE.write_text(write([row(layer) for layer in layers()]))
