"""The process of one TF1 script: make ``tensorflow`` TensorFlow 1, then run the script as ``__main__``.

Started as a file by :func:`tf_symconv.compat_v1.run` with ``[--keep=MODULE ...] -- SCRIPT [ARGS...]``.
"""

import importlib
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from absl import flags

from tf_symconv import compat_v1
from tf_symconv.compat_v1 import _aliases, _removed, _tf1

__all__ = ["main"]

#: Names of Python's own types that NumPy had when TF1 scripts were written.
_NUMPY_NAMES = {"int": int, "float": float, "bool": bool, "object": object, "str": str, "complex": complex}


def main(argv: list[str]) -> NoReturn:
    """Run the script; never return."""
    end = argv.index("--")
    keep = {argument.removeprefix("--keep=") for argument in argv[:end]}
    script, *args = argv[end + 1 :]
    _become_tensorflow_1(keep, Path(script).resolve().parent)
    _run_as_main(script, args)


def _become_tensorflow_1(keep: set[str], directory: Path) -> None:
    # This package is written for TensorFlow 2, so it must have met that one before.
    # Its layers are for Keras 3, which has no graph mode: scripts get those for Keras 2, from the same parts.
    for name in compat_v1.__all__:
        if name not in _aliases.KERAS_3_LAYERS:
            getattr(compat_v1, name)
    for part in ("_old_convolutions", "_old_pointwise", "_old_symmetric"):
        importlib.import_module(f"tf_symconv.compat_v1.{part}")
    v1: Any = tf.compat.v1
    level = v1.logging.get_verbosity()
    v1.logging.set_verbosity(v1.logging.ERROR)
    v1.disable_v2_behavior()
    v1.logging.set_verbosity(level)

    def explain(symbol: str) -> str | None:
        return _removed.explain(symbol.removeprefix("tensorflow."), tf.__version__)

    modules = _aliases.contrib(v1, explain)
    members: dict[str, Any] = {"contrib": modules["tensorflow.contrib"]}
    renames: dict[str, str] = {}
    refusals: dict[str, Callable[[str], str | None]] = {
        f"tensorflow.{part}": explain for part in ("contrib", "estimator", "examples")
    }
    if _has_keras_2(v1):
        renames["keras"] = "tf_keras"
    else:
        refusals["keras"] = lambda symbol: f"import {symbol} {_tf1.NO_KERAS}."
        for part in ("layers", "keras"):
            members[part] = modules[f"tensorflow.{part}"] = _tf1.Guarded(f"tensorflow.{part}", _tf1.NO_KERAS)
        v1.nn.rnn_cell = _tf1.Guarded("tensorflow.nn.rnn_cell", _tf1.NO_KERAS)
    builders: dict[str, Any] = {path: lambda module=module: module for path, module in modules.items()}
    for path, names in _aliases.LIBRARIES.items():
        if path.partition(".")[0] not in keep:
            builders[path] = lambda path=path, names=names: _aliases.library(path, names)
            _warn_of_shadow(path, directory)
    for path, layers in _aliases.LAYERS.items():
        if path.partition(".")[0] not in keep:
            if "keras" in renames:
                builders[path] = lambda path=path, layers=layers: _aliases.layer_library(path, layers)
            else:
                refusals[path] = lambda symbol: f"import {symbol} {_tf1.NO_KERAS}."
            _warn_of_shadow(path, directory)
    for table in (renames, refusals):
        for name in keep:
            table.pop(name, None)
    if "keras" not in keep:
        # TensorFlow may have loaded Keras 3, which has no graph mode. What it uses of it, it holds.
        for name in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
            del sys.modules[name]
    sys.meta_path.insert(0, _aliases.Finder(builders, renames, refusals))
    sys.modules["tensorflow"] = _tf1.TensorFlow1(members)
    for name, kind in _NUMPY_NAMES.items():
        if name not in vars(np):
            setattr(np, name, kind)
    # absl's logging defines --log_dir, --v and others, which scripts of that time define themselves.
    for name in flags.FLAGS:
        flags.FLAGS[name].allow_override = True


def _has_keras_2(v1: Any) -> bool:
    """Tell whether this TensorFlow has the parts that are built on Keras 2."""
    try:
        return callable(v1.layers.dense)
    except (AttributeError, ImportError):
        return False


def _warn_of_shadow(path: str, directory: Path) -> None:
    """Say so when a module beside the script has the name of one of the libraries."""
    if "." not in path and any((directory / name).exists() for name in (path, f"{path}.py")):
        sys.stderr.write(
            f"symconv run-v1: {path} is that of tf_symconv.compat_v1, not the one beside the script; "
            f"--keep={path} imports the latter\n"
        )


def _run_as_main(script: str, args: list[str]) -> NoReturn:
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=script, __builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = module
    sys.argv = [script, *args]
    # Python put the directory of this file there, unless it was told to put nothing.
    if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
        del sys.path[0]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        exec(compile(Path(script).read_bytes(), script, "exec"), module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        # The first frame is this function's.
        error.__traceback__ = None if trace is None else trace.tb_next
        if sys.excepthook is sys.__excepthook__:
            traceback.print_exception(error)
        else:
            sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 1) from None
    raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
