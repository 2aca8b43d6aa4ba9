"""Modules of the TF1 era by the paths under which scripts import them."""

import importlib
import importlib.abc
import importlib.machinery
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

__all__ = ["KERAS_3_LAYERS", "LAYERS", "LIBRARIES", "Finder", "contrib", "layer_library", "library"]

_HOME = "tf_symconv.compat_v1"
_GROUPY_TF = "groupy.gconv.tensorflow_gconv"
_INDICES = ("flatten_indices", "make_c4_p4_indices", "make_c4_z2_indices", "make_d4_p4m_indices", "make_d4_z2_indices")
_TRANSFORMS = ("transform_filter_2d_nchw", "transform_filter_2d_nhwc")

#: Module path -> the names of this package that it holds. Packages hold none of their own.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "groupy": (),
    "groupy.gconv": (),
    "groupy.gconv.make_gconv_indices": _INDICES,
    _GROUPY_TF: (),
    f"{_GROUPY_TF}.gconv_util": ("gconv2d_util",),
    f"{_GROUPY_TF}.splitgconv2d": ("gconv2d", "gconv2d_addbias", "gconv2d_util", *_INDICES, *_TRANSFORMS),
    f"{_GROUPY_TF}.transform_filter": _TRANSFORMS,
    "keras_gcnn": (),
    "keras_gcnn.transform_filter": ("transform_filter_2d_nhwc",),
}
_GCNN = ("GBatchNorm", "GConv2D", "GroupPool")
#: Module path -> the layers for Keras 2 that it holds, by the names that they have there.
LAYERS: dict[str, dict[str, str]] = {
    "keras_gcnn.layers": {name: name for name in _GCNN},
    "keras_gcnn.layers.convolutional": {"GConv2D": "GConv2D"},
    "keras_gcnn.layers.normalization": {"GBatchNorm": "GBatchNorm"},
    "keras_gcnn.layers.pooling": {"GroupPool": "GroupPool"},
    "custom_layers": {
        "Conv2DTiledKernel": "Conv2DTiledKernel",
        "CustomConv2D": "CustomConv2D",
        "GlobalConv1D": "GlobalConv1D",
        "SymmetricConv2D": "CustomSymmetricConv2D",
        "TopKPool": "TopKPool",
    },
    "symmetric_layers_tf1": {name: name for name in ("SymmetricConv2D", "SymmetricConv2DTranspose")},
}
#: The layers of this package that Keras 3 holds.
KERAS_3_LAYERS = {own for layers in LAYERS.values() for own in layers.values()}
_CONTRIB = {
    "layers": ("_contrib_layers", "_contrib_functions"),
    "framework": ("_arg_scope",),
    "slim": ("_contrib_layers", "_contrib_functions", "_arg_scope"),
}
#: Second names that scripts use for the same functions.
_SYNONYMS = {
    "convolution2d": "conv2d",
    "convolution2d_transpose": "conv2d_transpose",
    "relu": "fully_connected",
}
#: What ``contrib.framework`` and ``contrib.slim`` had that ``tf.train`` and ``tf`` have.
_FRAMEWORK = {
    "assert_global_step": ("train", "assert_global_step"),
    "create_global_step": ("train", "create_global_step"),
    "get_global_step": ("train", "get_global_step"),
    "get_or_create_global_step": ("train", "get_or_create_global_step"),
    "list_variables": ("train", "list_variables"),
    "load_checkpoint": ("train", "load_checkpoint"),
    "load_variable": ("train", "load_variable"),
    "init_from_checkpoint": ("train", "init_from_checkpoint"),
    "nest": (None, "nest"),
}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules in a table before anything else is asked.

    Args:
        builders: For each module path, a function that returns the module.
        renames: For a package, the package that it and all below it are imported from.
        refusals: For the start of a path, a function that returns why the modules below it cannot be imported; None
            lets the import go on.
    """

    def __init__(
        self,
        builders: Mapping[str, Callable[[], types.ModuleType]],
        renames: Mapping[str, str],
        refusals: Mapping[str, Callable[[str], str | None]],
    ):
        self._builders = dict(builders)
        self._renames = dict(renames)
        self._refusals = dict(refusals)
        self._specs: dict[str, Any] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for what the table has; refuse what it names as gone."""
        if fullname in self._builders or fullname.partition(".")[0] in self._renames:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        for start, explain in self._refusals.items():
            if fullname == start or fullname.startswith(f"{start}."):
                reason = explain(fullname)
                if reason is not None:
                    raise ModuleNotFoundError(reason, name=fullname)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Build the module, or import it under its own name."""
        if spec.name in self._builders:
            return self._builders[spec.name]()
        package, dot, rest = spec.name.partition(".")
        module = importlib.import_module(self._renames[package] + dot + rest)
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module as it is: it is whole. One under a second name keeps its own spec."""
        name = module.__spec__.name if module.__spec__ else ""
        if name in self._specs:
            module.__spec__ = self._specs.pop(name)


def library(path: str, names: Collection[str]) -> types.ModuleType:
    """Return a module that holds names of this package."""
    module = types.ModuleType(path, f"Stands for {path}: functions of {_HOME}.")
    home = importlib.import_module(_HOME)
    for name in names:
        setattr(module, name, getattr(home, name))
    return module


def layer_library(path: str, names: Mapping[str, str]) -> types.ModuleType:
    """Return a module that holds layers for Keras 2; the package tf-keras must be there."""
    module = types.ModuleType(path, f"Stands for {path}: layers of {_HOME}.")
    home = importlib.import_module(f"{_HOME}._keras2_layers")
    for name, own in names.items():
        setattr(module, name, getattr(home, own))
    return module


def contrib(v1: Any, explain: Callable[[str], str | None]) -> dict[str, types.ModuleType]:
    """Return the parts of ``tf.contrib`` that exist, by module path, ``tensorflow.contrib`` itself first.

    Args:
        v1: ``tf.compat.v1``.
        explain: Says why a symbol such as ``"contrib.rnn"`` is gone.
    """
    root = _Described("tensorflow.contrib", explain)
    modules: dict[str, types.ModuleType] = {"tensorflow.contrib": root}
    for part, homes in _CONTRIB.items():
        module = _Described(f"tensorflow.contrib.{part}", explain)
        for home in homes:
            source = importlib.import_module(f"{_HOME}.{home}")
            for name in source.__all__:
                setattr(module, name, getattr(source, name))
        for name, same in _SYNONYMS.items():
            if hasattr(module, same):
                setattr(module, name, getattr(module, same))
        if part != "layers":
            for name, (place, real) in _FRAMEWORK.items():
                setattr(module, name, getattr(getattr(v1, place) if place else v1, real))
        modules[module.__name__] = module
        setattr(root, part, module)
    linear = modules["tensorflow.contrib.layers"].__dict__["fully_connected"]
    for part in ("layers", "slim"):
        module = modules[f"tensorflow.contrib.{part}"]
        module.__dict__["linear"] = _without_activation(linear)
    modules["tensorflow.contrib.slim"].__dict__["losses"] = v1.losses
    return modules


class _Described(types.ModuleType):
    """A module whose missing attributes say what became of them."""

    def __init__(self, name: str, explain: Callable[[str], str | None]):
        super().__init__(name)
        self.__dict__.update(__path__=[], _explain=explain)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        symbol = f"{self.__name__.removeprefix('tensorflow.')}.{name}"
        raise AttributeError(self._explain(symbol) or f"module {self.__name__!r} has no attribute {name!r}")


def _without_activation(fully_connected: Callable[..., Any]) -> Callable[..., Any]:
    def linear(inputs: Any, num_outputs: int, **kwargs: Any) -> Any:
        """Call ``fully_connected`` without an activation."""
        return fully_connected(inputs, num_outputs, **{"activation_fn": None, **kwargs})

    return linear
