"""Pooling that keeps the largest values of each channel, sorted."""

from collections.abc import Sequence
from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv import ops


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class TopKPooling1D(keras.layers.Layer):
    """The k largest values of each channel, in descending order.

    Law: permuting the positions of the input leaves the output as it is. With ``k=1`` it is global max pooling that
    keeps the axis; with ``k`` the length, it sorts each channel.

    Args:
        k: How many values to keep.
        data_format: ``"channels_last"`` or ``"channels_first"``; None for the default of Keras.

    Input shape:
        ``(batch, length, channels)``, or ``(batch, channels, length)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, k, channels)``, or ``(batch, channels, k)``.

    Raises:
        ValueError: If ``k`` is not a positive integer; at build or call, if it exceeds the length. Where the length is
            not known before the model runs, a ``tf.errors.InvalidArgumentError`` says so then.

    Reference:
        Kalchbrenner, Grefenstette and Blunsom, "A Convolutional Neural Network for Modelling Sentences" (ACL 2014),
        arXiv:1404.2188, section 3.2; there the values keep the order of their positions.

    Example:
        >>> import numpy as np
        >>> TopKPooling1D(2)(np.array([[[1.0, 5.0], [4.0, 0.0], [2.0, 6.0]]])).numpy().tolist()
        [[[4.0, 6.0], [2.0, 5.0]]]
    """

    def __init__(self, k: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k must be a positive integer. Received: k={k!r}")
        self.k = k
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f"data_format must be 'channels_last' or 'channels_first'. Received: data_format={data_format!r}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Check that inputs of this shape have k values."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the k largest values of each channel."""
        return ops.top_k_pooling(inputs, self.k, self.data_format)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the output for inputs of this shape."""
        batch, *rest = input_shape
        length, channels = rest if self.data_format == "channels_last" else reversed(rest)
        ops.check_k(self.k, length)
        return (batch, self.k, channels) if self.data_format == "channels_last" else (batch, channels, self.k)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "k": self.k, "data_format": self.data_format}
