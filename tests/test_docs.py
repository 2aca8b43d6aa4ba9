"""Every example in a docstring runs, and every public name has a docstring."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import tf_symconv
import tf_symconv.benchmarks

# A checkout maps the last three packages into the first, out of sight of a walk over its folder.
PACKAGES = (tf_symconv, tf_symconv.benchmarks, tf_symconv.compat_v1, tf_symconv.serving)
MODULES = sorted(
    {package.__name__ for package in PACKAGES}
    | {name for package in PACKAGES for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")}
)


def public_names():
    for name in MODULES:
        if not any(part.startswith("_") for part in name.split(".")):
            module = importlib.import_module(name)
            for public in getattr(module, "__all__", ()):
                yield f"{name}.{public}", getattr(module, public)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


def test_the_walk_finds_the_packages():
    assert {"tf_symconv.groups", "tf_symconv.kernels._mirror", "tf_symconv.serving._verify"} <= set(MODULES)


def test_every_public_name_has_a_docstring():
    names = dict(public_names())
    assert len(names) > 20
    missing = [
        name
        for name, value in names.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not (value.__doc__ or "").strip()
    ]
    assert not missing


def test_every_public_class_of_layers_documents_shapes_errors_and_an_example():
    from tf_symconv import layers

    for name in layers.__all__:
        text = getattr(layers, name).__doc__
        for heading in ("Args:", "Input shape:", "Output shape:", "Raises:", "Example:", ">>>"):
            assert heading in text, f"{name} lacks {heading}"
