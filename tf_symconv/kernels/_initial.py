"""Initial values of a latent: drawn with the full kernel, and scaled to what tied cells do to a signal."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tf_symconv.kernels._base import KernelMap

_STEPS = 64
_TOLERANCE = 1e-3


def draw_latent(initializer: Callable[..., Any], kernel_map: KernelMap, kernel_shape: Sequence[int], dtype: Any) -> Any:
    """Draw the latent of a kernel.

    A plain initialiser sees the shape of the full kernel and is called once: its fans are those of the convolution
    that runs, and the latent selects its entries. An initialiser that knows of latents has a method ``draw_latent``
    with the remaining arguments of this function, and that decides.

    Args:
        initializer: A callable ``(shape, dtype=...)`` that returns a tensor.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: The shape of the full kernel.
        dtype: The type of the latent.
    """
    draw = getattr(initializer, "draw_latent", None)
    if draw is not None:
        return draw(kernel_map, kernel_shape, dtype)
    return kernel_map.select(initializer(tuple(kernel_shape), dtype=dtype))


def check_rho(rho: Any) -> float | str:
    """Return ``rho`` as :func:`orbit_scale` takes it.

    Raises:
        ValueError: If it is neither ``"stationary"`` nor a number from 0 to below 1.
    """
    if isinstance(rho, str) and rho == "stationary":
        return rho
    if isinstance(rho, float | int | np.floating) and not isinstance(rho, bool) and 0 <= rho < 1:
        return float(rho)
    raise ValueError(f"rho must be 'stationary', or a number with 0 <= rho < 1. Received: rho={rho!r}")


def orbit_scale(kernel_map: KernelMap, kernel_shape: Sequence[int], rho: float | str = "stationary") -> np.ndarray:
    """Return the factor for each free weight under which a filter answers as loudly as a plain one.

    A weight that fills ``m`` cells multiplies the sum of ``m`` inputs. Where any two of them have the correlation
    ``rho = E[x y] / E[x^2]``, that sum has the mean square ``m (1 + (m - 1) rho)``, not ``m``, and the factor is
    ``1 / sqrt(1 + (m - 1) rho)``. In general the mean square is ``(1 - rho) sum_c b_c^2 + rho (sum_c b_c)^2`` with the
    weight's footprint ``b``: the common mean cancels in kernels of odd parity. Structural zeros and blended cells are
    made up for. The factor of a weight that stands alone in a kernel without zeros is 1.

    Args:
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: The shape of the full kernel.
        rho: The correlation of the inputs of tied cells, ``0 <= rho < 1``: ``1 / pi`` for the ReLU of independent
            normal values; or ``"stationary"``: that to which a deep stack of ReLU layers of this structure tends (in
            the limit of many channels, each layer turns the autocorrelation ``g`` of its input into that of its output,
            ``a * g`` passed through the ReLU, with ``a`` the expected autocorrelation of a filter). For invariant
            kernels of even parity it tends to 1, and the factor to ``1 / sqrt(m)``.

    Returns:
        Floats that broadcast to the latent.

    Raises:
        ValueError: If ``rho`` is out of its range.

    Reference:
        The covariance of rectified normal values: Cho and Saul, "Kernel Methods for Deep Learning" (NIPS 2009), eq. 6;
        its propagation through convolutions: Xiao et al., "Dynamical Isometry and a Mean Field Theory of CNNs" (ICML
        2018), arXiv:1806.05393, eq. 2.2.
    """
    return _orbit_scale(kernel_map, tuple(int(n) for n in kernel_shape), check_rho(rho))


@functools.lru_cache(maxsize=512)
def _orbit_scale(kernel_map: KernelMap, kernel_shape: tuple[int, ...], rho: float | str) -> np.ndarray:
    rule = _stationary if isinstance(rho, str) else functools.partial(_constant, rho)
    scale = np.sqrt(kernel_map.per_weight(kernel_shape, rule))
    scale.flags.writeable = False
    return scale


def _constant(rho: float, footprints: np.ndarray) -> np.ndarray:
    """Return the squares of the factors for one correlation of all cells."""
    flat = footprints.reshape(-1, footprints.shape[-1])
    energy = np.sum(flat**2, axis=0)
    return _share(footprints) / ((1.0 - rho) * energy + rho * np.sum(flat, axis=0) ** 2)


def _stationary(footprints: np.ndarray) -> np.ndarray:
    """Return the squares of the factors for the correlation that reproduces itself."""
    spatial = footprints.shape[:-1]
    axes = tuple(range(len(spatial)))
    lags = tuple(2 * size - 1 for size in spatial)
    own = np.stack([_autocorrelation(each, lags) for each in np.moveaxis(footprints, -1, 0)])
    share = _share(footprints)
    # On a torus of twice the lags the correlation has room to fall off before it meets itself.
    torus = tuple(2 * size for size in lags)
    inside = np.ix_(*[np.arange(-(size // 2), size // 2 + 1) for size in lags])
    correlation = np.zeros(torus)
    correlation[(0,) * len(spatial)] = 1.0
    squares = np.zeros_like(share)
    for _ in range(_STEPS):
        energy = own @ correlation[inside].ravel()
        before, squares = squares, share / energy
        filters = np.zeros(torus)
        filters[inside] = (squares @ own).reshape(lags)
        outputs = np.fft.irfftn(np.fft.rfftn(filters) * np.fft.rfftn(correlation), torus, axes)
        correlation = _rectified(outputs / outputs[(0,) * len(spatial)])
        if np.allclose(squares, before, rtol=_TOLERANCE, atol=0.0):
            break
    return squares


def _share(footprints: np.ndarray) -> np.ndarray:
    """Return the mean square that the part of each weight shall have; those of one filter add up to its cells."""
    axes = tuple(range(footprints.ndim - 1))
    energy = np.sum(footprints**2, axis=axes)
    return energy * (footprints[..., 0].size / np.sum(energy))


def _autocorrelation(footprint: np.ndarray, lags: tuple[int, ...]) -> np.ndarray:
    """Return ``sum_c b_c b_(c + lag)`` for all lags, flattened, the zero lag in the middle."""
    axes = tuple(range(footprint.ndim))
    power = np.abs(np.fft.rfftn(footprint, lags, axes)) ** 2
    return np.fft.fftshift(np.fft.irfftn(power, lags, axes)).ravel()


def _rectified(correlation: np.ndarray) -> np.ndarray:
    """Return ``E[relu(x) relu(y)] / E[relu(x)^2]`` of normal ``x`` and ``y`` with this correlation."""
    c = np.clip(correlation, -1.0, 1.0)
    return (np.sqrt(1.0 - c * c) + c * (np.pi - np.arccos(c))) / np.pi
