"""A module that is ``tensorflow`` as TensorFlow 1 was: the names of ``tf.compat.v1`` at the top."""

import difflib
import types
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tf_symconv.compat_v1 import _removed

__all__ = ["API_VERSION", "NO_KERAS", "Guarded", "TensorFlow1"]

#: The version that scripts see: the last one with this interface.
API_VERSION = "1.15.5"
#: Why parts of TensorFlow 1 that are built on Keras 2 are out of reach.
NO_KERAS = "needs Keras 2, the package tf-keras: pip install 'tf_symconv[tf1]' brings it"


class TensorFlow1(types.ModuleType):
    """The module ``tensorflow`` of a TF1 script.

    Attributes are those of ``tf.compat.v1``. What TensorFlow 1 had and this one lacks raises an AttributeError that
    names it and its successor.

    Args:
        members: Modules to put in it, ``contrib`` for instance.
    """

    def __init__(self, members: Mapping[str, Any]):
        super().__init__("tensorflow", tf.compat.v1.__doc__)
        self.__dict__.update(
            __path__=list(tf.__path__),
            __file__=tf.__file__,
            __spec__=tf.__spec__,
            __loader__=tf.__loader__,
            __package__="tensorflow",
            __version__=API_VERSION,
            VERSION=API_VERSION,
            **members,
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            value = getattr(tf.compat.v1, name)
        except AttributeError:
            reason = _removed.explain(name, tf.__version__)
            near = difflib.get_close_matches(name, dir(tf.compat.v1), n=3)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise AttributeError(reason or f"module 'tensorflow' has no attribute {name!r}{hint}") from None
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*dir(tf.compat.v1), *self.__dict__})


class Guarded(types.ModuleType):
    """A module whose attributes are out of reach; each access says why.

    Args:
        name: Full name of the module, such as ``"tensorflow.layers"``.
        why: What it needs.
    """

    def __init__(self, name: str, why: str):
        super().__init__(name)
        self.__dict__.update(__path__=[], _why=why)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"tf{self.__name__.removeprefix('tensorflow')}.{name} {self._why}.")
