"""Modules, operations and kernel maps do without Keras."""

import ast
import importlib.util
import pathlib
import subprocess
import sys

from tests.layers.cases import CASES
from tests.modules.test_modules import MODULES


def sources_reached(*starts):
    """Return the files of the library that these modules import, and those that these import."""
    found, todo = {}, list(starts)
    while todo:
        name = todo.pop()
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or name in found:
            continue
        found[name] = pathlib.Path(spec.origin)
        for node in ast.walk(ast.parse(found[name].read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            todo += [one for one in names if one.startswith("tf_symconv.") and is_module(one)]
    return found


def is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_no_file_that_modules_need_imports_keras():
    found = sources_reached("tf_symconv.modules", "tf_symconv.ops", "tf_symconv.kernels")
    assert {"tf_symconv.modules._structured", "tf_symconv.ops._dense", "tf_symconv.groups"} <= set(found)
    assert "tf_symconv.layers" not in found
    for name, path in found.items():
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(one.split(".")[0] in ("keras", "tf_keras") for one in names), name
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "tf.keras"), name


BLOCKED = """
import sys
import tensorflow as tf  # TensorFlow itself imports Keras

for name in [name for name in sys.modules if name.split(".")[0] in ("keras", "tf_keras")]:
    del sys.modules[name]


class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tf_keras"):
            raise ImportError(f"blocked: {name}")


sys.meta_path.insert(0, Block())
from tf_symconv import modules

for name, arguments, shape in %r:
    module = getattr(modules, name)(**arguments)
    predict = tf.function(module, input_signature=[tf.TensorSpec((None, *shape))])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(predict(tf.ones((2, *shape))))
    tape.gradient(loss, module.trainable_variables)
    tf.saved_model.save(module, f"{sys.argv[1]}/{module.name}", signatures=predict)
assert not any(name.split(".")[0] in ("keras", "tf_keras") for name in sys.modules)
print("used", len(%r))
"""


def test_modules_work_where_keras_cannot_be_imported(tmp_path):
    first = {}
    for case in CASES:
        plain = all(isinstance(value, str | int | tuple | list | dict) for value in case.arguments.values())
        if case.layer.__name__ in MODULES and plain and "mix" not in case.note:
            first.setdefault(case.layer.__name__, (case.layer.__name__, case.arguments, case.input_shape))
    uses = list(first.values())
    assert len(uses) >= len(MODULES) - 2
    script = BLOCKED % (uses, uses)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"used {len(uses)}" in done.stdout
