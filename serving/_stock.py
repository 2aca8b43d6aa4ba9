"""Convolutions of Keras in forms that the CPU of a stock TensorFlow Serving runs, and the implementation of ours."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import nn as keras_nn

from tf_symconv.modules._structured import Structured
from tf_symconv.ops import dense_convolution

__all__ = ["implementation", "stock_convolutions"]

_patched = threading.RLock()


@contextlib.contextmanager
def stock_convolutions() -> Iterator[None]:
    """Make what is traced in the block free of the functions that Keras compiles by XLA.

    On TensorFlow, Keras compiles grouped convolutions, and 3-D ones with ``channels_first``, because the CPU knows no
    such operations. In the block it splits them into those that the CPU knows.
    """
    with _patched:
        original = keras_nn.conv
        keras_nn.conv = _instead_of(original)
        try:
            yield
        finally:
            keras_nn.conv = original


def _instead_of(original: Callable[..., Any]) -> Callable[..., Any]:
    def conv(
        inputs: Any,
        kernel: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
    ) -> Any:
        rank = len(kernel.shape) - 2
        first = data_format == "channels_first"
        channels, part = inputs.shape[1 if first else -1], kernel.shape[-2]
        if not (first and rank == 3) and channels in (None, part):
            return original(inputs, kernel, strides, padding, data_format, dilation_rate)
        return dense_convolution(
            tf.convert_to_tensor(inputs),
            tf.convert_to_tensor(kernel),
            strides=_each(strides, rank),
            padding=padding,
            dilations=_each(dilation_rate, rank),
            groups=channels // part,
            data_format="channels_first" if first else "channels_last",
        )

    return conv


def _each(value: Any, rank: int) -> list[int]:
    return [int(value)] * rank if isinstance(value, int) else [int(each) for each in value]


@contextlib.contextmanager
def implementation(model: Any, name: str | None) -> Iterator[None]:
    """Make the structured layers of a model compute by another implementation in the block; None changes nothing."""
    before: list[tuple[Any, str]] = []
    try:
        if name is not None:
            for part in tf.train.TrackableView(model).descendants():
                if isinstance(part, Structured):
                    before.append((part, part.implementation))
                    part.implementation = name
        yield
    finally:
        for part, own in before:
            part.implementation = own
