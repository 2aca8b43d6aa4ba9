"""Structured convolution kernels for TensorFlow 2 and Keras 3.

The subpackages are imported when they are first used, so that a process which needs only a part of the library
(``tf_symconv.serving`` without TensorFlow, the kernel maps without Keras) pays for that part only.
"""

# The names below are there on demand, which pyright cannot see.
# pyright: reportUnsupportedDunderAll=false

import importlib
import importlib.metadata
import types

__version__ = importlib.metadata.version("tf_symconv")

__all__ = [
    "__version__",
    "compat_v1",
    "datasets",
    "distributed",
    "groups",
    "initializers",
    "kernels",
    "layers",
    "libraries",
    "models",
    "modules",
    "ops",
    "plotting",
    "serving",
]


def __getattr__(name: str) -> types.ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
