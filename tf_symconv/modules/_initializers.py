"""Initial values of variables: callables ``(shape, dtype=...)``, and their names."""

import math
from collections.abc import Callable, Sequence
from typing import Any, final

import tensorflow as tf

from tf_symconv.kernels import KernelMap, check_rho, draw_latent, orbit_scale

Initializer = Callable[..., Any]

_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "normal", "uniform")
# The standard deviation of a standard normal variable cut off at 2.
_TRUNCATED = 0.87962566103423978


@final
class Constant:
    """All entries have one value.

    Args:
        value: The value.

    Example:
        >>> Constant(2.0)((3,)).numpy().tolist()
        [2.0, 2.0, 2.0]
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = tf.float32) -> tf.Tensor:
        """Return a tensor of this shape and type."""
        return tf.fill(tuple(shape), tf.cast(self.value, dtype))


@final
class VarianceScaling:
    """Random entries whose variance is ``scale / fan``.

    The fans of a kernel of shape ``(*spatial, inputs, outputs)`` are its cells times the inputs, and times the outputs.

    Args:
        scale: The numerator.
        mode: ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``, their mean.
        distribution: ``"truncated_normal"`` (cut off at two standard deviations), ``"normal"`` or ``"uniform"``.
        seed: An integer for the same values at every call; None for the global generator (``tf.random.set_seed``).

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        He et al., "Delving Deep into Rectifiers" (ICCV 2015), arXiv:1502.01852, eq. 10 (scale 2, fan in); Glorot and
        Bengio, "Understanding the difficulty of training deep feedforward neural networks" (AISTATS 2010), eq. 12
        (scale 1, mean of the fans).

    Example:
        >>> kernel = VarianceScaling(2.0, "fan_in", seed=0)((5, 5, 64, 64))
        >>> bool(abs(tf.math.reduce_variance(kernel) - 2.0 / (25 * 64)) < 2e-5)
        True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        if not isinstance(scale, int | float) or not 0 < scale < math.inf:
            raise ValueError(f"scale must be a positive number. Received: scale={scale!r}")
        if mode not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(_MODES)}. Received: mode={mode!r}")
        if distribution not in _DISTRIBUTIONS:
            raise ValueError(
                f"distribution must be one of {', '.join(_DISTRIBUTIONS)}. Received: distribution={distribution!r}"
            )
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape: Sequence[int], dtype: Any = tf.float32) -> tf.Tensor:
        """Return a tensor of this shape and type."""
        shape = tuple(shape)
        cells = math.prod(shape[:-2])
        inwards, outwards = cells * math.prod(shape[-2:-1]), cells * math.prod(shape[-1:])
        fans = {"fan_in": inwards, "fan_out": outwards, "fan_avg": (inwards + outwards) / 2}
        deviation = math.sqrt(self.scale / max(1.0, fans[self.mode]))
        random: Any = tf.random
        seed = {}
        names = {"truncated_normal": "truncated_normal", "normal": "normal", "uniform": "uniform"}
        if self.seed is not None:
            seed = {"seed": (self.seed, 0)}
            names = {name: f"stateless_{name}" for name in names}
        draw = getattr(random, names[self.distribution])
        if self.distribution == "uniform":
            limit = deviation * math.sqrt(3.0)
            return draw(shape, minval=-limit, maxval=limit, dtype=dtype, **seed)
        if self.distribution == "truncated_normal":
            deviation /= _TRUNCATED
        return draw(shape, stddev=deviation, dtype=dtype, **seed)


@final
class OrbitScaling:
    """Draw a kernel with another initialiser, and scale each free weight by what the cells that it fills add up to.

    What :class:`tf_symconv.initializers.OrbitScaling` is to Keras layers; its page says what for.

    Args:
        base: The initialiser of the full kernel: a name or a callable.
        rho: The correlation of the inputs of tied cells, ``0 <= rho < 1``, or ``"stationary"``.

    Raises:
        ValueError: If ``rho`` is out of its range or the base is not known.

    Example:
        >>> from tf_symconv import kernels
        >>> latent = OrbitScaling("ones", rho=0.5).draw_latent(kernels.Mirror("h"), (1, 3, 1, 1))
        >>> [round(float(weight), 3) for weight in tf.reshape(latent, -1)]
        [0.816, 1.0]
    """

    def __init__(self, base: str | Initializer = "he_normal", rho: float | str = "stationary") -> None:
        self.base = get(base)
        self.rho = check_rho(rho)

    def __call__(self, shape: Sequence[int], dtype: Any = tf.float32) -> Any:
        """Return a plain kernel of this shape, drawn with the base."""
        return self.base(shape, dtype=dtype)

    def draw_latent(self, kernel_map: KernelMap, kernel_shape: Sequence[int], dtype: Any = tf.float32) -> Any:
        """Return the scaled latent of a kernel of shape ``kernel_shape``."""
        latent = draw_latent(self.base, kernel_map, kernel_shape, dtype)
        return latent * tf.cast(orbit_scale(kernel_map, kernel_shape, self.rho), latent.dtype)


_NAMED: dict[str, Initializer] = {
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
    "glorot_normal": VarianceScaling(1.0, "fan_avg", "truncated_normal"),
    "glorot_uniform": VarianceScaling(1.0, "fan_avg", "uniform"),
    "he_normal": VarianceScaling(2.0, "fan_in", "truncated_normal"),
    "he_uniform": VarianceScaling(2.0, "fan_in", "uniform"),
    "lecun_normal": VarianceScaling(1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": VarianceScaling(1.0, "fan_in", "uniform"),
}


def get(initializer: str | Initializer) -> Initializer:
    """Return an initialiser: a name looked up, a callable as it is.

    Raises:
        ValueError: If the name is not known.
        TypeError: If it is neither a name nor a callable.
    """
    if isinstance(initializer, str):
        if initializer not in _NAMED:
            raise ValueError(
                f"An initializer must be one of {', '.join(_NAMED)}, or a callable. Received: {initializer!r}"
            )
        return _NAMED[initializer]
    if not callable(initializer):
        raise TypeError(f"An initializer must be a name or a callable. Received: {initializer!r}")
    return initializer
