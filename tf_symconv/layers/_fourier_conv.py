"""Convolution in the frequency domain."""

from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv.ops._fourier import fourier_convolution

_FIXED = {"strides": 1, "padding": "same", "dilation_rate": 1, "groups": 1}


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class FourierConv2D(keras.layers.Conv2D):
    """2-D convolution with a circular boundary, computed as a product of spectra.

    Law: it equals ``keras.layers.Conv2D`` on circularly padded images, and commutes with every circular shift of its
    input. Its cost does not grow with the kernel's size.

    Args:
        filters: The number of output channels.
        kernel_size: One or two integers. The kernel is centred as ``padding="same"`` centres it; it may be larger than
            the image, and wraps around.
        data_format: ``"channels_last"`` or ``"channels_first"``; Keras' own default.
        **kwargs: The further arguments of ``keras.layers.Conv2D`` (activation, bias, initialisers, regularisers,
            constraints, those of every layer), other than strides, padding, dilation_rate and groups, which are fixed.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, height, width, filters)``, or channels first.

    Raises:
        ValueError: If an argument is out of its range, or one of the fixed ones is given.

    Reference:
        Mathieu, Henaff and LeCun, "Fast Training of Convolutional Networks through FFTs" (2013), arXiv:1312.5851.

    Example:
        >>> import numpy as np
        >>> FourierConv2D(4, 7)(np.zeros((2, 8, 9, 3), "float32")).shape.as_list()
        [2, 8, 9, 4]
    """

    def __init__(self, filters: int, kernel_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        given = sorted(set(kwargs) & set(_FIXED))
        if given:
            raise ValueError(
                f"A product of spectra has fixed {', '.join(_FIXED)}. Received: {given[0]}={kwargs[given[0]]!r}"
            )
        if kwargs.get("lora_rank") is not None:
            raise ValueError(f"FourierConv2D takes no LoRA. Received: lora_rank={kwargs['lora_rank']}")
        super().__init__(filters, kernel_size, data_format=data_format, **_FIXED, **kwargs)

    def convolution_op(self, inputs: tf.Tensor, kernel: Any) -> tf.Tensor:
        """Return the circular cross-correlation of ``inputs`` with ``kernel``."""
        first = self.data_format == "channels_first"
        dtype = inputs.dtype
        precise = tf.cast(inputs, tf.float32) if dtype.size < 4 else inputs
        images = tf.transpose(precise, (0, 2, 3, 1)) if first else precise
        outputs = fourier_convolution(images, tf.cast(kernel, precise.dtype))
        outputs = tf.transpose(outputs, (0, 3, 1, 2)) if first else outputs
        return tf.cast(outputs, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {name: value for name, value in super().get_config().items() if name not in _FIXED}
