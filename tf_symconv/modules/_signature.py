"""Signatures of classes that take the arguments of the layer underneath and their own."""

import inspect
import itertools
from typing import TypeVar

ClassT = TypeVar("ClassT", bound=type)


def with_signature_of(cls: ClassT, underneath: type) -> ClassT:
    """Give a class the signature of one of its bases, followed by its own arguments as keywords.

    The constructors of the library's mixins take ``*args`` and ``**kwargs`` for the layer underneath, and name their
    own arguments as keywords. A class may give, as ``renamed_arguments``, own names to arguments of that layer.
    """
    renamed = getattr(cls, "renamed_arguments", {})
    parameters = {}
    for name, parameter in inspect.signature(underneath.__init__).parameters.items():
        own = renamed.get(name, name)
        parameters[own] = parameter.replace(name=own)
    del parameters["self"]
    rest = [parameters.pop(name) for name, one in list(parameters.items()) if one.kind is inspect.Parameter.VAR_KEYWORD]
    for base in itertools.takewhile(lambda base: base is not underneath, cls.__mro__):
        if base.__module__.startswith("tf_symconv.") and "__init__" in vars(base):
            for name, parameter in inspect.signature(base.__init__).parameters.items():
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                    parameters.setdefault(name, parameter)
    signature = _OfTheClass(inspect.Signature([*parameters.values(), *rest]))
    cls.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
    return cls


class _OfTheClass:
    """An attribute that a class has and its instances lack: these are callable too, with a signature of their own."""

    def __init__(self, value: inspect.Signature) -> None:
        self._value = value

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        return self._value
