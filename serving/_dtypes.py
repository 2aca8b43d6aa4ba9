"""The element types of TensorFlow by number and by name, with NumPy types to hold them."""

import numpy as np

__all__ = ["STRING", "dtype_name", "dtype_number", "is_float", "numpy_dtype", "rounding"]

STRING = "string"

# The numbers of ``enum DataType`` in tensorflow/core/framework/types.proto.
_NAMES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: STRING,
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    29: "int4",
    30: "uint4",
}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_NO_ARRAY = ("resource", "variant")
_ML_DTYPES = ("bfloat16", "float8_e5m2", "float8_e4m3fn", "int4", "uint4")
_MANTISSA_BITS = {
    "float64": 52,
    "complex128": 52,
    "float32": 23,
    "complex64": 23,
    "float16": 10,
    "bfloat16": 7,
    "float8_e4m3fn": 3,
    "float8_e5m2": 2,
}


def dtype_name(number: int) -> str:
    """Return the name of the type with this number; reference types (number + 100) count as their base type."""
    base = number - 100 if number > 100 else number
    return _NAMES.get(base, f"type {base}")


def dtype_number(array: np.ndarray) -> int:
    """Return the number of the TensorFlow type that holds ``array``.

    Raises:
        TypeError: TensorFlow has no such element type.
    """
    name = STRING if array.dtype.kind in "OSU" else array.dtype.name
    if name not in _NUMBERS or name in _NO_ARRAY:
        raise TypeError(f"an array must have an element type of TensorFlow. Received: dtype={array.dtype}")
    return _NUMBERS[name]


def numpy_dtype(name: str) -> np.dtype:
    """Return the NumPy type for the TensorFlow type ``name``; strings are objects (bytes).

    Raises:
        TypeError: no NumPy array can hold this type.
    """
    if name == STRING:
        return np.dtype(object)
    if name in _ML_DTYPES:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    if name not in _NUMBERS or name in _NO_ARRAY:
        raise TypeError(f"a tensor must have an element type that NumPy can hold. Received: dtype={name}")
    return np.dtype(name)


def is_float(name: str) -> bool:
    """Tell whether ``name`` is a real or complex floating type, compared with a tolerance and not bit by bit."""
    return name in _MANTISSA_BITS


def rounding(name: str) -> float:
    """Return the distance from 1 to the next larger number of a floating type; 0 for every other type."""
    return 2.0 ** -_MANTISSA_BITS[name] if is_float(name) else 0.0
