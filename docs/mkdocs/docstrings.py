"""Docstrings made fit for Markdown: roles become links, examples code. Layers show the signature that they have."""

import importlib
import inspect
import re
import types
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|mod|meth|attr|data):`(~?)([\w.]+)`")
_LITERAL = re.compile(r"``([^`]+)``")


#: What every layer has, for Keras to call.
_OF_KERAS = {"add_weight", "build", "call", "compute_output_shape", "convolution_op", "get_config"}


class Docstrings(griffe.Extension):
    """Rewrite the docstrings of a package once all of it is loaded."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Visit every object of the package ``pkg``."""
        self._visit(pkg, pkg)
        for name in ("layers", "modules"):
            home = importlib.import_module(f"{pkg.name}.{name}")
            for layer in home.__all__:
                _sign(pkg[f"{name}.{layer}"].final_target, inspect.signature(getattr(home, layer)))

    def _visit(self, obj: Any, package: griffe.Module) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value, obj, package)
        layer = obj.path.startswith((f"{package.name}.layers.", f"{package.name}.modules."))
        for name, member in list(obj.members.items()):
            if name == "__post_init__" or (layer and obj.is_class and name in _OF_KERAS):
                obj.del_member(name)
            elif not member.is_alias:
                self._visit(member, package)


def _sign(layer: Any, signature: inspect.Signature) -> None:
    """Give a class the parameters that it takes from the layer underneath, as it has them when it runs."""
    init = griffe.Function(
        "__init__",
        parameters=griffe.Parameters(
            *(
                griffe.Parameter(
                    parameter.name,
                    kind=griffe.ParameterKind(parameter.kind.description),
                    default=_written(parameter.default),
                )
                for parameter in signature.parameters.values()
            )
        ),
    )
    layer.set_member("__init__", init)


def _written(default: Any) -> str | None:
    if default is inspect.Parameter.empty:
        return None
    return repr(dict(default) if isinstance(default, types.MappingProxyType) else default)


def markdown(text: str, obj: Any, package: griffe.Module) -> str:
    """Return a docstring of ``obj`` with links and sections that mkdocstrings understands."""

    def link(match: re.Match[str]) -> str:
        short, name = match.groups()
        target = _public(name, obj, package)
        shown = name.rsplit(".", 1)[-1] if short else name
        return f'<autoref identifier="{target}" optional><code>{shown}</code></autoref>' if target else f"`{shown}`"

    text = _LITERAL.sub(r"`\1`", _ROLE.sub(link, text))
    return re.sub(r"^(\s*)Example:\s*$", r"\1Examples:", text, flags=re.MULTILINE)


def _public(name: str, obj: Any, package: griffe.Module) -> str | None:
    """Return the path under which the pages show ``name`` as it is meant in a docstring of ``obj``."""
    parts = obj.path.split(".")
    homes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    homes = [home for home in homes if not any(part.startswith("_") for part in home.split("."))]
    for path in [name, *(f"{home}.{name}" for home in homes)]:
        if path.startswith(f"{package.name}.") and _is_shown(path, package):
            return path
    return None


def _is_shown(path: str, package: griffe.Module) -> bool:
    if any(part.startswith("_") for part in path.split(".")):
        return False
    try:
        package[path.split(".", 1)[1]]
    except (KeyError, griffe.AliasResolutionError):
        return False
    return True
