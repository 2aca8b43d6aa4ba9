"""Pooling in the frequency domain."""

from collections.abc import Sequence
from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv.modules._spectral_pooling import SpectralCropping


class SpectralPooling(SpectralCropping, keras.layers.Layer):
    """What :class:`SpectralPooling1D` and :class:`SpectralPooling2D` share."""

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
        data_format = keras.config.image_data_format() if data_format is None else data_format
        super().__init__(output_size, pool_size, frequency_dropout, data_format, implementation, seed, **kwargs)
        self.seed_generator = None if frequency_dropout is None else keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def draw_share(self, lowest: float) -> tf.Tensor:
        """Draw the share of the frequencies that this step keeps."""
        share: Any = keras.random.uniform((), lowest, 1.0, dtype="float32", seed=self.seed_generator)
        return share


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
