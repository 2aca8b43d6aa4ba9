"""Keras initialisers that know of structured kernels.

A structured layer draws its full kernel with its ``kernel_initializer`` and keeps the entries that the latent stands
for, so that the entries have the variance of the stock layer's. Tied entries meet inputs that resemble each other, and
the outputs of the layer are louder than the stock layer's. :class:`OrbitScaling` makes up for it.
"""

from collections.abc import Sequence
from typing import Any, final

import keras
import tensorflow as tf

from tf_symconv.kernels import KernelMap, check_rho, draw_latent, orbit_scale

__all__ = ["OrbitScaling"]


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class OrbitScaling(keras.initializers.Initializer):
    """Draw a kernel with another initialiser, and scale each free weight by what the cells that it fills add up to.

    A weight that fills ``m`` cells of a filter multiplies the sum of ``m`` inputs, whose mean square is
    ``m (1 + (m - 1) rho)`` where ``rho = E[x y] / E[x^2]`` is the correlation of any two of them, positive since the
    outputs of a ReLU share a mean. The weight is divided by ``sqrt(1 + (m - 1) rho)``; the kernel map says what ``m``
    is. See :func:`tf_symconv.kernels.orbit_scale` for kernels with signs, zeros and blends, and the page
    ``docs/initialisation.md`` for what is left of the growth.

    For a layer without structure it equals ``base``.

    Args:
        base: The initialiser of the full kernel, as Keras takes it: an object, a name or a config.
        rho: The correlation of the inputs of tied cells, ``0 <= rho < 1``. ``1 / pi`` is that of the ReLU of
            independent normal values, and lets a deep stack grow, 1.2 to 2.2 times per layer as measured, since
            mirrored kernels also correlate mirrored positions. ``"stationary"`` takes the correlation to which a deep
            stack of ReLU layers of this structure tends: after a drop over the first layers the growth per layer is
            0.7 to 1.1 as measured (plain kernels: 0.9).

    Raises:
        ValueError: If ``rho`` is out of its range.

    Example:
        >>> import keras, numpy as np
        >>> from tf_symconv.layers import SymmetricConv2D
        >>> initializer = OrbitScaling(keras.initializers.Constant(1.0), rho=0.5)
        >>> layer = SymmetricConv2D(1, 3, symmetry="h", kernel_initializer=initializer)
        >>> layer.build((None, 3, 3, 1))
        >>> [round(float(weight), 3) for weight in layer.kernel[0, :, 0, 0]]
        [0.816, 1.0, 0.816]
    """

    def __init__(self, base: Any = "he_normal", rho: float | str = "stationary") -> None:
        self.base: Any = keras.initializers.get(base)
        self.rho = check_rho(rho)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return a plain kernel of this ``shape``, drawn with the base."""
        return self.base(shape, dtype=dtype)

    def draw_latent(self, kernel_map: KernelMap, kernel_shape: Sequence[int], dtype: Any = None) -> Any:
        """Return the scaled latent of a kernel of shape ``kernel_shape``."""
        latent = draw_latent(self.base, kernel_map, kernel_shape, dtype)
        return latent * tf.cast(orbit_scale(kernel_map, kernel_shape, self.rho), latent.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"base": keras.initializers.serialize(self.base), "rho": self.rho}
