"""Encoded images as the input of a model."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["ImageBytes", "ImageReader"]

_CHANNELS = (1, 3, 4)
_SAMPLE_EDGES = ((3, 5), (-1, 2))  # by how much the two sample images differ from what the model takes


@dataclasses.dataclass(frozen=True)
class ImageBytes:
    """How the signature ``serving_bytes`` turns JPEG or PNG files into what a model takes.

    A pixel of value p, from 0 to 255, becomes ``p * scale + offset``.

    Args:
        scale: None stands for 1/255, and for 1 where the model takes integers or begins with a ``Rescaling`` layer.
        offset: what is added after that.
        size: height and width; None stands for those of the model's input.
        interpolation: how images of another size are resized, a method of ``tf.image.resize``.
        antialias: whether they are smoothed before they get smaller.

    Raises:
        ValueError: a size or an interpolation that does not exist.

    Example:
        >>> from tf_symconv import serving
        >>> serving.ImageBytes(scale=2 / 255, offset=-1.0).offset  # from -1 to 1
        -1.0
    """

    scale: float | None = None
    offset: float = 0.0
    size: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    antialias: bool = False

    def __post_init__(self) -> None:
        methods = sorted(value for name, value in vars(tf.image.ResizeMethod).items() if name.isupper())
        if self.interpolation not in methods:
            raise ValueError(f"interpolation must be one of {methods}. Received: interpolation={self.interpolation!r}")
        if self.size is not None and not (len(self.size) == 2 and all(edge > 0 for edge in self.size)):
            raise ValueError(f"size must be a height and a width above 0. Received: size={self.size!r}")


class ImageReader:
    """Reads encoded images for one model.

    Args:
        model: the model.
        spec: of its input.
        options: how to read.

    Raises:
        ValueError: the input is no batch of images, or their size is open.
    """

    def __init__(self, model: Any, spec: tf.TensorSpec, options: ImageBytes):
        shape = spec.shape.as_list()
        if len(shape) != 4 or not {shape[1], shape[3]} & set(_CHANNELS):
            raise ValueError(
                "image_bytes needs a model that takes images, of shape (batch, height, width, channels) with 1, 3 or 4 "
                f"channels. Received: input of shape {spec.shape}"
            )
        self._channels_first = shape[3] not in _CHANNELS
        self.channels = shape[1] if self._channels_first else shape[3]
        edges = shape[2:] if self._channels_first else shape[1:3]
        height, width = options.size or edges
        if height is None or width is None or edges[0] not in (None, height) or edges[1] not in (None, width):
            raise ValueError(
                "size must be the height and width that the model takes. "
                f"Received: size={options.size} for an input of shape {spec.shape}"
            )
        self.size = (int(height), int(width))
        self._options = options
        self._dtype = spec.dtype
        scale = options.scale
        self._scale = _natural_scale(model, spec.dtype) if scale is None else scale

    def __call__(self, encoded: tf.Tensor) -> tf.Tensor:
        """Return the batch of images that a batch of files holds."""
        spec = tf.TensorSpec((*self.size, self.channels), tf.float32)
        images = tf.map_fn(self._read, encoded, fn_output_signature=spec)
        images = images * self._scale + self._options.offset
        if self._dtype.is_integer:
            images = tf.round(images)
        images = tf.saturate_cast(images, self._dtype)
        return tf.transpose(images, [0, 3, 1, 2]) if self._channels_first else images

    def samples(self) -> np.ndarray:
        """Return two files, a PNG and, where that has such channels, a JPEG, of other sizes than the model takes."""
        files = np.empty(2, object)
        for index, grown in enumerate(_SAMPLE_EDGES):
            height, width = (max(edge + more, 1) for edge, more in zip(self.size, grown, strict=True))
            rows, columns, channels = np.ogrid[:height, :width, : self.channels]
            waves = np.sin(rows / 3.0 + channels) + np.cos(columns / 4.0 - 2.0 * channels)
            pixels = np.rint(127.5 + 63.0 * waves).astype(np.uint8)
            jpeg = index == 1 and self.channels in (1, 3)
            files[index] = (tf.io.encode_jpeg if jpeg else tf.io.encode_png)(pixels).numpy()
        return files

    def _read(self, encoded: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(encoded, self.channels, expand_animations=False)
        image.set_shape((None, None, self.channels))
        options = self._options
        image = tf.image.resize(image, self.size, options.interpolation, antialias=options.antialias)
        return tf.cast(image, tf.float32)


def _natural_scale(model: Any, dtype: tf.DType) -> float:
    if dtype.is_integer:
        return 1.0
    while isinstance(model, keras.Model):
        layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
        if not layers:
            break
        model = layers[0]
    return 1.0 if isinstance(model, keras.layers.Rescaling) else 1 / 255
