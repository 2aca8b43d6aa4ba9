"""A directory for PYTHONPATH that makes every import of TensorFlow or Keras fail, in the process and its children."""

from pathlib import Path

__all__ = ["write_hook"]

_HOOK = """
import importlib.abc
import importlib.machinery
import sys


class Refuse(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name not in ("tensorflow", "keras"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = self
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        raise ImportError(f"{module.__name__} is refused here")


sys.meta_path.insert(0, Refuse())
"""


def write_hook(directory: Path) -> Path:
    """Write the hook into a new ``directory`` and return it."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(_HOOK)
    return directory
