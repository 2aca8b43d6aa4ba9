"""Spectral convolutions of the TF1 era: the trainable variable is the spectrum of the filter.

The original holds one ``tf.Variable`` for every free number; here each layer holds one variable, ``spectrum``, of
shape ``(channels, filters, height, width)`` with the same numbers (see ``_spectrum``), and one ``bias``. The transforms
are the real ones and filters have any size, where the original needs even ones for :func:`fft_conv_pure`.

Reference: O. Rippel, J. Snoek and R. P. Adams, Spectral Representations for Convolutional Neural Networks, NIPS 2015.
"""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_symconv.compat_v1 import _spectrum

__all__ = [
    "InvalidSpectrum",
    "batch_fftshift2d",
    "batch_ifftshift2d",
    "fft_conv",
    "fft_conv_pure",
    "is_valid_spectral",
    "random_spatial_to_spectral",
    "spectral_to_variable",
]

_LOG = logging.getLogger(__name__)


def fft_conv(
    source: tf.Tensor,
    filters: int,
    width: int,
    height: int,
    stride: int,
    activation: str | None = "relu",
    name: str = "fft_conv",
    initialization: Mapping[str, np.ndarray] | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Convolve with filters that are stored as spectra and transformed to space.

    Args:
        source: Shape ``(batch, in_height, in_width, channels)``.
        filters: Output channels.
        width: Width of the filters.
        height: Height of the filters.
        stride: Stride along both axes; the padding is ``"SAME"``.
        activation: ``"relu"``; anything else is none, as in the original.
        name: Variable scope of ``spectrum`` and ``bias``.
        initialization: Complex spectra of shape ``(channels, filters, height, width)`` by ``name``; layers that are
            not named start from a truncated normal filter of deviation 0.01.

    Returns:
        The output, the filter of shape ``(height, width, channels, filters)`` and its complex spectrum of shape
        ``(channels, filters, height, width)``.

    Raises:
        ValueError: If the channels are unknown or the initial spectrum has another shape.
    """
    channels = _static("channels", source, -1)
    with tf.compat.v1.variable_scope(name):
        spectrum = _spectrum.unpack(_variable(name, initialization, (channels, filters, height, width)))
        bias = _bias(filters)
    kernel = tf.transpose(tf.signal.irfft2d(_spectrum.half(spectrum), [height, width]), [2, 3, 0, 1])
    output = tf.compat.v1.nn.conv2d(source, kernel, strides=[1, stride, stride, 1], padding="SAME")
    return _activate(tf.nn.bias_add(output, bias), activation), kernel, spectrum


def fft_conv_pure(
    source: tf.Tensor,
    filters: int,
    width: int,
    height: int,
    stride: int,
    activation: str | None = "relu",
    name: str = "fft_conv",
    initialization: Mapping[str, np.ndarray] | None = None,
    *,
    subsample: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Multiply the spectrum of the input by the conjugate spectrum of the filters, padded to the input's size.

    As in the original, the filter's spectrum gets zeros at high frequencies, which stretches the filter over the input
    (it is not the filter padded with zeros in space), the boundary is circular, the filter's first cell is its origin
    (the output is not centred), and ``stride`` has no effect. ``subsample=True`` applies the stride;
    ``tf_symconv.layers.FourierConv2D`` is the centred circular convolution with the filter itself.

    Args:
        source: Shape ``(batch, in_height, in_width, channels)``, all but the batch known.
        filters: Output channels.
        width: Width of the filters, at most that of the input.
        height: Height of the filters, at most that of the input.
        stride: Without effect unless ``subsample``.
        activation: ``"relu"``; anything else is none, as in the original.
        name: Variable scope of ``spectrum`` and ``bias``.
        initialization: As in :func:`fft_conv`.
        subsample: Whether to keep every ``stride``-th row and column of the output.

    Returns:
        The output of shape ``(batch, in_height, in_width, filters)``, the filter of shape
        ``(height, width, channels, filters)`` as complex numbers, and its complex spectrum of shape
        ``(channels, filters, height, width)``.

    Raises:
        ValueError: If a size of the input is unknown, the filter is larger than the input, or the initial spectrum
            has another shape.
    """
    in_height, in_width = _static("height", source, 1), _static("width", source, 2)
    channels = _static("channels", source, -1)
    if height > in_height or width > in_width:
        raise ValueError(
            "The filter is no larger than the input. "
            f"Received: height={height}, width={width}, source.shape={source.shape}"
        )
    with tf.compat.v1.variable_scope(name):
        spectrum = _spectrum.unpack(_variable(name, initialization, (channels, filters, height, width)))
        bias = _bias(filters)
    planes = tf.signal.rfft2d(tf.transpose(source, [0, 3, 1, 2]))
    padded = _pad_spectrum(spectrum, in_height, in_width)
    product = tf.einsum("nchw,cfhw->nfhw", planes, tf.math.conj(padded))
    output = tf.transpose(tf.signal.irfft2d(product, [in_height, in_width]), [0, 2, 3, 1])
    if subsample:
        output = output[:, ::stride, ::stride]
    kernel = tf.transpose(tf.signal.ifft2d(spectrum), [2, 3, 0, 1])
    return _activate(tf.nn.bias_add(output, bias), activation), kernel, spectrum


def spectral_to_variable(init: np.ndarray) -> tf.Tensor:
    """Return spectra whose free numbers are one trainable variable, so that steps keep the filters real.

    Args:
        init: Complex spectra of shape ``(channels, filters, height, width)``; of each pair of partners the one that
            comes first counts.

    Returns:
        Complex tensor of the same shape.

    Raises:
        ValueError: If ``init`` does not have four axes.
    """
    init = np.asarray(init)
    if init.ndim != 4:
        raise ValueError(f"The spectra have the axes channels, filters, height, width. Received: shape={init.shape}")
    packed = _spectrum.pack(init).astype("float64" if init.dtype == "complex128" else "float32")
    return _spectrum.unpack(tf.compat.v1.Variable(packed, name="spectrum"))


def random_spatial_to_spectral(
    channels: int, filters: int, height: int, width: int, session: tf.compat.v1.Session | None = None
) -> np.ndarray:
    """Return the spectra of truncated normal filters of deviation 0.01, as NumPy numbers.

    Args:
        channels: Input channels.
        filters: Output channels.
        height: Height of the filters.
        width: Width of the filters.
        session: Session that draws; a new one by default, none in eager mode.

    Returns:
        ``complex64`` array of shape ``(channels, filters, height, width)``.
    """
    spectra = _random_spectra((channels, filters, height, width))
    if session is not None:
        return session.run(spectra)
    if tf.executing_eagerly():
        return spectra.numpy()
    with tf.compat.v1.Session(graph=spectra.graph) as temporary:
        return temporary.run(spectra)


class InvalidSpectrum(NamedTuple):
    """The first cell of a spectrum that breaks the symmetry.

    The tuple is the original's, which counts as true in an ``if``; this one counts as false.
    """

    valid: bool
    difference: float
    column: int
    row: int

    def __bool__(self) -> bool:
        return self.valid


def is_valid_spectral(tensor: np.ndarray, tolerance: float = 1e-8) -> bool | InvalidSpectrum:
    """Tell whether spectra are those of real arrays: S[-k] = conj(S[k]).

    Args:
        tensor: Complex array of shape ``(filters, channels, height, width)``.
        tolerance: Largest difference that passes. Spectra in single precision need more than the default.

    Returns:
        True, or an :class:`InvalidSpectrum` (which is false) for the first cell that differs by more.
    """
    tensor = np.asarray(tensor)
    other = np.roll(tensor[..., ::-1, ::-1], (1, 1), (-2, -1))
    difference = np.abs(tensor - np.conj(other))
    bad = np.argwhere(difference > tolerance)
    if not len(bad):
        return True
    cell = tuple(bad[0])
    return InvalidSpectrum(False, float(difference[cell]), int(cell[-1]), int(cell[-2]))


def batch_fftshift2d(tensor: tf.Tensor) -> tf.Tensor:
    """Move the zero frequency of the last two axes to the middle; any size, where the original halves even ones."""
    return tf.signal.fftshift(tensor, axes=[-2, -1])


def batch_ifftshift2d(tensor: tf.Tensor) -> tf.Tensor:
    """Undo :func:`batch_fftshift2d`."""
    return tf.signal.ifftshift(tensor, axes=[-2, -1])


def _static(what: str, source: tf.Tensor, axis: int) -> int:
    size = tf.compat.dimension_value(source.shape[axis])
    if size is None:
        raise ValueError(f"The {what} of the input must be known. Received: source.shape={source.shape}")
    return size


def _random_spectra(shape: tuple[int, int, int, int]) -> tf.Tensor:
    planes = tf.compat.v1.truncated_normal(shape, mean=0.0, stddev=0.01)
    return tf.signal.fft2d(tf.complex(planes, tf.zeros_like(planes)), name="spectral_initializer")


def _variable(
    name: str, initialization: Mapping[str, np.ndarray] | None, shape: tuple[int, int, int, int]
) -> tf.Variable:
    if initialization is None or name not in initialization:
        initial = _spectrum.pack_tensor(_random_spectra(shape))
    else:
        spectra = np.asarray(initialization[name])
        if spectra.shape != shape:
            raise ValueError(
                "An initial spectrum has the shape (channels, filters, height, width) of its layer, "
                f"{shape} for {name!r}. Received: shape={spectra.shape}"
            )
        initial = _spectrum.pack(spectra).astype("float32")
    return tf.compat.v1.Variable(initial, name="spectrum")


def _bias(filters: int) -> tf.Variable:
    return tf.compat.v1.Variable(tf.constant(0.1, shape=[filters]), name="bias")


def _activate(output: tf.Tensor, activation: str | None) -> tf.Tensor:
    if activation == "relu":
        return tf.nn.relu(output)
    if activation not in (None, "", "none", "linear"):
        _LOG.warning("fft_conv knows the activation 'relu'; %r is none, as in the original.", activation)
    return output


def _pad_spectrum(spectrum: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Return the half spectrum of the filter with zeros at the frequencies that it lacks.

    The original keeps the frequencies from -(n // 2) to (n - 1) // 2 and takes the real part of the product's
    inverse. The real part of the inverse of Z is the inverse of (Z[k] + conj(Z[-k])) / 2: at the highest frequency of
    an even size, where only the negative one is kept, both get half.
    """
    channels, filters, rows, columns = _spectrum.sizes(spectrum)
    positive, negative = np.arange(rows // 2 + 1), np.arange(-(rows // 2), 0)
    if rows == height:
        positive = positive[: (rows + 1) // 2]
    ky = np.concatenate([positive, negative])[:, None]
    kx = np.arange(columns // 2 + 1)[None]

    def kept(ky: np.ndarray, kx: np.ndarray) -> np.ndarray:
        vertical = (rows == height) | ((ky >= -(rows // 2)) & (ky <= (rows - 1) // 2))
        return vertical & ((columns == width) | ((kx >= -(columns // 2)) & (kx <= (columns - 1) // 2)))

    weights = (kept(ky, kx).astype(float) + kept(-ky, -kx)) / 2
    cells = tf.gather(_spectrum.half(spectrum), ky[:, 0] % rows, axis=-2) * tf.cast(weights, spectrum.dtype)
    top, bottom = tf.split(cells, [len(positive), len(negative)], axis=-2)
    zeros = tf.zeros([channels, filters, height - len(ky), columns // 2 + 1], spectrum.dtype)
    tall = tf.concat([top, zeros, bottom], axis=-2)
    return tf.pad(tall, [[0, 0], [0, 0], [0, 0], [0, width // 2 - columns // 2]])
