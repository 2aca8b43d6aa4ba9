"""Signatures of layers that take the arguments of a Keras layer and their own."""

from typing import TypeVar

from tf_symconv.modules._signature import with_signature_of

ClassT = TypeVar("ClassT", bound=type)


def with_stock_signature(cls: ClassT) -> ClassT:
    """Give a layer class the signature of the Keras class it derives from, followed by its own arguments as keywords.

    A class without a Keras layer among its bases is left as it is.
    """
    stock = next((base for base in cls.__mro__ if base.__module__.startswith("keras.")), None)
    return cls if stock is None or stock.__name__ == "Layer" else with_signature_of(cls, stock)
