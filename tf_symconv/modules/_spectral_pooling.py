"""Pooling in the frequency domain."""

import abc
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import tensorflow as tf

from tf_symconv.modules._base import LazyModule, check_data_format
from tf_symconv.ops._resampling import crop_spectrum, resampling_matrix

if TYPE_CHECKING:

    class _Layer:
        """The layer underneath."""

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def get_config(self) -> dict[str, Any]: ...

else:
    _Layer = object

IMPLEMENTATIONS = ("auto", "fft", "matrix")


class SpectralCropping(_Layer):
    """Mixin: crop the spectrum of every channel."""

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
        self.data_format = check_data_format(data_format)
        self.implementation = implementation
        self.seed = seed

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
        lowest = self.frequency_dropout if training else None
        cutoff_share = None if lowest is None else self.draw_share(lowest)
        for index, axis in enumerate(self._spatial_axes()):
            outputs = self._pool_axis(outputs, index, axis, cutoff_share)
        return tf.cast(outputs, inputs.dtype)

    @abc.abstractmethod
    def draw_share(self, lowest: float) -> tf.Tensor:
        """Draw the share of the frequencies that this step keeps: a float32 scalar between ``lowest`` and 1."""

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


class _SpectralPooling(SpectralCropping, LazyModule):
    """What the modules share."""

    def __init__(
        self,
        output_size: int | Sequence[int] | None = None,
        pool_size: float | Sequence[float] | None = None,
        frequency_dropout: float | None = None,
        data_format: str | None = None,
        implementation: str = "auto",
        seed: int | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(output_size, pool_size, frequency_dropout, data_format, implementation, seed, name=name)
        self.input_ranks = (self.rank + 2,)
        self.generator: tf.random.Generator | None = None
        if frequency_dropout is not None:
            kind = tf.random.Generator
            self.generator = kind.from_non_deterministic_state() if seed is None else kind.from_seed(seed)

    def draw_share(self, lowest: float) -> tf.Tensor:
        generator: Any = self.generator
        return generator.uniform((), lowest, 1.0)

    def __call__(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Return the pooled inputs; frequencies are dropped in training only.

        Raises:
            ValueError: If the inputs do not fit the module.
        """
        return self.call(self.checked(inputs), training)

    def build(self, input_shape: Any) -> None:
        """Take inputs of any number of channels: there are no variables."""
        self._built = True

    def make_weights(self, channels: int) -> None: ...

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dtype"]
        return config


@final
class SpectralPooling1D(_SpectralPooling):
    """1-D pooling by cropping the spectrum of every channel.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SpectralPooling1D`. Call it with
    ``training=True`` to drop frequencies.

    Args:
        output_size, pool_size, frequency_dropout, data_format, implementation, seed: As there.
        name: The name of the module, a Python identifier.

    Example:
        >>> import tensorflow as tf
        >>> SpectralPooling1D(pool_size=2)(tf.zeros((2, 9, 3))).shape.as_list()
        [2, 4, 3]
    """

    rank = 1


@final
class SpectralPooling2D(_SpectralPooling):
    """2-D pooling by cropping the spectrum of every channel.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.SpectralPooling2D`. Call it with
    ``training=True`` to drop frequencies.

    Args:
        output_size, pool_size, frequency_dropout, data_format, implementation, seed: As there.
        name: The name of the module, a Python identifier.

    Example:
        >>> import tensorflow as tf
        >>> SpectralPooling2D(5)(tf.zeros((1, 8, 9, 3))).shape.as_list()
        [1, 5, 5, 3]
    """

    rank = 2
