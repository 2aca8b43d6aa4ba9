"""Pooling in the frequency domain."""

import math
from collections.abc import Sequence
from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv.ops._resampling import crop_spectrum, resampling_matrix

IMPLEMENTATIONS = ("auto", "fft", "matrix")


class SpectralPooling(keras.layers.Layer):
    """Crop the spectrum of every channel: what :class:`SpectralPooling1D` and :class:`SpectralPooling2D` share."""

    rank: int

    def __init__(
        self,
        output_size: int | Sequence[int] | None = None,
        pool_size: float | Sequence[float] | None = None,
        frequency_dropout: float | None = None,
        data_format: str | None = None,
        implementation: str = "auto",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (output_size is None) == (pool_size is None):
            raise ValueError(
                "Give output_size or pool_size, and not both. "
                f"Received: output_size={output_size!r}, pool_size={pool_size!r}"
            )
        self.output_size = self._each("output_size", output_size, whole=True)
        self.pool_size = self._each("pool_size", pool_size, whole=False)
        is_share = isinstance(frequency_dropout, int | float) and not isinstance(frequency_dropout, bool)
        if frequency_dropout is not None and not (is_share and 0 <= frequency_dropout < 1):
            raise ValueError(
                "frequency_dropout must be None, or the smallest share of the frequencies that is kept: from 0 to "
                f"below 1. Received: frequency_dropout={frequency_dropout!r}"
            )
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"implementation must be one of {', '.join(IMPLEMENTATIONS)}. "
                f"Received: implementation={implementation!r}"
            )
        self.frequency_dropout = frequency_dropout
        self.data_format = data_format or keras.config.image_data_format()
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f"data_format must be 'channels_last' or 'channels_first'. Received: data_format={data_format!r}"
            )
        self.implementation = implementation
        self.seed = seed
        self.seed_generator = None if frequency_dropout is None else keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def _each(self, name: str, value: Any, whole: bool) -> tuple[Any, ...] | None:
        if value is None:
            return None
        each = tuple(value) if isinstance(value, list | tuple) else (value,) * self.rank
        kinds = int if whole else int | float
        if len(each) != self.rank or any(not isinstance(n, kinds) or isinstance(n, bool) or n < 1 for n in each):
            kind = "a positive integer" if whole else "a number of at least 1"
            raise ValueError(f"{name} must be {kind}, or {self.rank} of them. Received: {name}={value!r}")
        return each

    def _spatial_axes(self) -> range:
        first = 1 if self.data_format == "channels_last" else 2
        return range(first, first + self.rank)

    def _pooled(self, size: Any, axis: int) -> Any:
        """Return the output size of one spatial axis."""
        if self.output_size is not None:
            wanted = self.output_size[axis]
            if isinstance(size, int) and wanted > size:
                raise ValueError(
                    "Spectral pooling makes an axis shorter: output_size must not exceed the input's. "
                    f"Received: output_size={self.output_size} for an axis of {size}"
                )
            return wanted
        pool = (self.pool_size or ())[axis]
        if isinstance(size, int):
            pooled = math.floor(size / pool)
            if pooled < 1:
                raise ValueError(
                    "Spectral pooling needs an input of at least pool_size cells. "
                    f"Received: pool_size={self.pool_size} for an axis of {size}"
                )
            return pooled
        return tf.cast(tf.floor(tf.cast(size, tf.float64) / pool), tf.int32)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the input's shape with pooled spatial axes."""
        shape = list(input_shape)
        for index, axis in enumerate(self._spatial_axes()):
            size = shape[axis]
            if self.output_size is not None or size is not None:
                shape[axis] = self._pooled(size, index)
        return tuple(shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the pooled input."""
        outputs = tf.cast(inputs, tf.float32) if inputs.dtype.size < 4 else inputs
        dropping = bool(training) and self.frequency_dropout is not None
        cutoff_share = self._draw_share() if dropping else None
        for index, axis in enumerate(self._spatial_axes()):
            outputs = self._pool_axis(outputs, index, axis, cutoff_share)
        return tf.cast(outputs, inputs.dtype)

    def _draw_share(self) -> tf.Tensor:
        """Draw the share of the frequencies that this step keeps."""
        share: Any = keras.random.uniform(
            (), self.frequency_dropout or 0.0, 1.0, dtype="float32", seed=self.seed_generator
        )
        return share

    def _pool_axis(self, x: tf.Tensor, index: int, axis: int, share: tf.Tensor | None) -> tf.Tensor:
        size = x.shape[axis]
        known = size is not None
        pooled = self._pooled(size if known else tf.shape(x)[axis], index)
        if self.implementation == "matrix" and not known:
            raise ValueError(
                "implementation='matrix' needs known spatial sizes; 'fft' does not. "
                f"Received: input shape {tuple(x.shape)}"
            )
        if share is None and known and self.implementation != "fft":
            matrix = tf.constant(resampling_matrix(int(size), pooled), x.dtype)
            last = x.shape.rank - 1
            moved = tf.tensordot(x, matrix, [[axis], [1]])
            return tf.transpose(moved, (*range(axis), last, *range(axis, last)))
        order = [i for i in range(x.shape.rank) if i != axis] + [axis]
        cutoff = (
            None if share is None else tf.cast(tf.math.ceil(share * tf.cast(pooled // 2 + 1, share.dtype)), tf.int32)
        )
        cropped = crop_spectrum(tf.transpose(x, order), pooled, cutoff)
        return tf.transpose(cropped, [order.index(i) for i in range(x.shape.rank)])

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        names = ("output_size", "pool_size", "frequency_dropout", "data_format", "implementation", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SpectralPooling1D(SpectralPooling):
    """1-D pooling by cropping the spectrum of every channel.

    Law: the mean is kept, and an input without frequencies at or above half the output's sampling rate comes back
    exactly, sampled at the output's points. Odd and even sizes are exact: the highest frequency of an even output holds
    what the input has at plus and minus that frequency, so the output is real. The input counts as periodic.

    Args:
        output_size: The size of the output, one integer for all axes or one each; or
        pool_size: by how much an axis gets shorter, rounded down to whole cells; any number of at least 1, not only
            integers.
        frequency_dropout: In training, keep the lowest frequencies only, up to a share drawn uniformly between this
            number and 1 for each call. None keeps all.
        data_format: ``"channels_last"`` or ``"channels_first"``; Keras' own default.
        implementation: ``"matrix"`` multiplies with a constant matrix for each axis (stock ops that TFLite has; needs
            known sizes), ``"fft"`` transforms; ``"auto"`` takes the matrix where it can.
        seed: The seed of the frequency dropout.
        **kwargs: Arguments of ``keras.layers.Layer``.

    Input shape:
        ``(batch, steps, channels)``, or channels first.

    Output shape:
        ``(batch, pooled steps, channels)``, or channels first.

    Raises:
        ValueError: If an argument is out of its range, or the output would be larger than the input.

    Reference:
        Rippel, Snoek and Adams, "Spectral Representations for Convolutional Neural Networks" (NIPS 2015),
        arXiv:1506.03767, section 4.1.

    Example:
        >>> import numpy as np
        >>> wave = np.cos(2 * np.pi * np.arange(12) / 12).reshape(1, 12, 1)
        >>> pooled = SpectralPooling1D(pool_size=2, dtype="float64")(wave)
        >>> bool(np.allclose(np.ravel(pooled), np.ravel(wave)[::2]))
        True
    """

    rank = 1


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class SpectralPooling2D(SpectralPooling):
    """2-D pooling by cropping the spectrum of every channel.

    Law: the mean is kept, and an input without frequencies at or above half the output's sampling rate comes back
    exactly, sampled at the output's points. Odd and even sizes are exact: the highest frequency of an even output holds
    what the input has at plus and minus that frequency, so the output is real. The input counts as periodic.

    Args:
        output_size: The size of the output, one integer for all axes or one each; or
        pool_size: by how much an axis gets shorter, rounded down to whole cells; any number of at least 1, not only
            integers.
        frequency_dropout: In training, keep the lowest frequencies only, up to a share drawn uniformly between this
            number and 1 for each call. None keeps all.
        data_format: ``"channels_last"`` or ``"channels_first"``; Keras' own default.
        implementation: ``"matrix"`` multiplies with a constant matrix for each axis (stock ops that TFLite has; needs
            known sizes), ``"fft"`` transforms; ``"auto"`` takes the matrix where it can.
        seed: The seed of the frequency dropout.
        **kwargs: Arguments of ``keras.layers.Layer``.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, pooled height, pooled width, channels)``, or channels first.

    Raises:
        ValueError: If an argument is out of its range, or the output would be larger than the input.

    Reference:
        Rippel, Snoek and Adams, "Spectral Representations for Convolutional Neural Networks" (NIPS 2015),
        arXiv:1506.03767, section 4.1.

    Example:
        >>> import numpy as np
        >>> SpectralPooling2D(output_size=5)(np.zeros((1, 8, 9, 3), "float32")).shape.as_list()
        [1, 5, 5, 3]
    """

    rank = 2
