"""What a layer with a structured kernel does, whether Keras or ``tf.Module`` holds its variables.

The layer underneath asks for its kernel by ``add_weight(name="kernel", shape=..., initializer=...)``. The mixin answers
with a variable that holds the latent only, and puts an attribute in the kernel's place that expands it when it is read.
Bias, activation, shapes and the validation of plain arguments stay those of the layer underneath.
"""

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from tf_symconv import kernels, ops
from tf_symconv.kernels import KernelMap

if TYPE_CHECKING:

    class _Layer:
        """The layer underneath: it has what Keras layers have."""

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def build(self, input_shape: Any) -> None: ...
        def add_weight(self, *args: Any, **kwargs: Any) -> Any: ...
        def get_config(self) -> dict[str, Any]: ...

else:
    _Layer = object


class ExpandedKernel:
    """A class attribute that stores the latent when it is set, and expands it to the full kernel when it is read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._latent_name = f"_{name}"
        self.__doc__ = "The full kernel, expanded from the latent when read: a tensor of the layer's variable dtype."

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        latent = layer.__dict__.get(self._latent_name)
        if latent is None:
            raise AttributeError(f"A layer has a kernel once it is built. Received: unbuilt layer {layer.name!r}")
        return layer.kernel_map.expand(tf.convert_to_tensor(latent), layer.kernel_shape)

    def __set__(self, layer: Any, latent: Any) -> None:
        setattr(layer, self._latent_name, latent)


class SelectedInitializer:
    """Draw a full kernel once and keep the entries that the latent selects.

    The base initialiser sees the shape of the full kernel, so its fans are those of the convolution that runs, and the
    entries of the expanded kernel have the variance of a plain one's. A base that knows of latents draws its own:
    see :func:`tf_symconv.kernels.draw_latent`.

    Args:
        base: The initialiser of the full kernel: a callable ``(shape, dtype=...)``.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: The shape of the full kernel.
    """

    def __init__(self, base: Callable[..., Any], kernel_map: KernelMap, kernel_shape: Sequence[int]) -> None:
        self.base = base
        self.kernel_map = kernel_map
        self.kernel_shape = tuple(kernel_shape)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return the latent; ``shape`` is its shape."""
        return kernels.draw_latent(self.base, self.kernel_map, self.kernel_shape, dtype)


class Structured(_Layer):
    """Mixin for a convolution layer: its kernel is the expansion of a smaller variable, the latent.

    One mixin derives from it for each structure, and sets :attr:`kernel_map`; one for each kind of convolution, and
    defines :meth:`convolve`. A layer names both before the layer underneath among its bases. Own arguments are
    keywords; positional ones go to the layer underneath.
    """

    #: The name under which the layer underneath asks for the weight that is structured.
    structured_weight = "kernel"
    #: Arguments of the layer underneath whose place an own argument takes: ``{its name: own name}``.
    renamed_arguments: ClassVar[dict[str, str]] = {}
    kernel = ExpandedKernel()

    kernel_map: KernelMap
    kernel_shape: tuple[int, ...]
    #: The fewest input channels that the structure allows; :meth:`check_structure` tries a kernel of as many.
    fewest_channels = 1
    #: Where output channels share biases: for each channel, which entry of ``bias`` it adds. None: each has its own.
    shared_bias: tuple[int, ...] | None = None

    def __init__(self, *args: Any, implementation: str = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.implementation = ops.check_implementation(implementation)

    @property
    def latent(self) -> Any:
        """The trainable variable: the free weights of the kernel."""
        latent = self.__dict__.get(f"_{self.structured_weight}")
        if latent is None:
            raise AttributeError(f"A layer has a latent once it is built. Received: unbuilt layer {self.name!r}")
        return latent

    def add_weight(self, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Add a weight; in place of the structured one its latent, of shared biases one of each."""
        if name == self.structured_weight:
            self.kernel_shape = tuple(kwargs["shape"])
            kwargs["shape"] = self.kernel_map.latent_shape(self.kernel_shape)
            kwargs["initializer"] = SelectedInitializer(kwargs["initializer"], self.kernel_map, self.kernel_shape)
        elif name == "bias" and self.shared_bias is not None:
            kwargs["shape"] = (max(self.shared_bias) + 1,)
        return super().add_weight(*args, name=name, **kwargs)

    def as_stored(self, kernel_map: KernelMap) -> KernelMap:
        """Return the map for kernels in the axis order in which the layer underneath stores them."""
        return kernel_map

    @abc.abstractmethod
    def check_structure(self) -> None:
        """Raise a ValueError if no kernel of this size and these filters has the structure."""

    @abc.abstractmethod
    def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the layer's outputs before bias and activation."""

    def plan(self, input_shape: Sequence[int | None], device: str | None = None) -> ops.Plan:
        """Return how the built layer computes inputs of a shape, dense, folded or filtered minimally, and at what cost.

        Args:
            input_shape: The shape of the inputs, the batch size first; None for sizes that are not known.
            device: ``"CPU"``, ``"XLA"`` (a CPU, compiled by XLA) or ``"GPU"``; by default what TensorFlow sees.

        Returns:
            The schemes of the forward pass, in inference and in training, and of both gradients, the multiplications
            for one example, the predicted cost as a share of the dense convolution's, and the reason.

        Raises:
            AttributeError: If the layer is not built.
        """
        _ = self.latent  # raises for a layer that has no kernel yet
        dtype = getattr(self, "compute_dtype", self.dtype)  # modules compute in the type of their inputs
        return self._plan(tuple(input_shape), dtype=dtype, device=device)

    @abc.abstractmethod
    def _plan(self, input_shape: tuple[int | None, ...], **setting: Any) -> ops.Plan:
        """Work out what :meth:`plan` returns, for a ``dtype`` and a ``device``."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return ``activation(convolution(inputs) + bias)``; in training, as makes a whole training step fast."""
        with ops.training_step(bool(training)):
            outputs = self.convolve(inputs)
        if self.bias is not None:
            axis = outputs.shape.rank - 1 if self.data_format == "channels_last" else 1
            bias = tf.cast(tf.reshape(self.bias, (-1,)), outputs.dtype)
            if self.shared_bias is not None:
                bias = tf.gather(bias, self.shared_bias)
            shape = [1] * outputs.shape.rank
            shape[axis] = -1
            outputs += tf.reshape(bias, shape)
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "implementation": self.implementation}
