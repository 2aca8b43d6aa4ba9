"""The mixin that gives a Keras layer a structured kernel.

A stock Keras layer asks for its kernel by ``add_weight(name="kernel", shape=..., initializer=...)``. The mixin answers
with a variable that holds the latent only, and puts an attribute in the kernel's place that expands it when it is read.
Bias, activation, shapes, configuration and validation stay those of the stock layer.
"""

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import tensorflow as tf

from tf_symconv import kernels, ops
from tf_symconv.kernels import KernelMap
from tf_symconv.layers._signature import with_stock_signature

_KerasLayer = keras.layers.Layer if TYPE_CHECKING else object


_NO_LORA = (
    "LoRA adds a low-rank update to a kernel that is stored in full; a structured layer stores fewer weights, so it "
    "cannot take lora_rank, lora_alpha or enable_lora."
)


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

    def __set__(self, layer: Any, latent: keras.Variable) -> None:
        setattr(layer, self._latent_name, latent)


class SelectedInitializer(keras.initializers.Initializer):
    """Draw a full kernel once and keep the entries that the latent selects.

    The base initialiser sees the shape of the full kernel, so its fans are those of the convolution that runs, and the
    entries of the expanded kernel have the variance of a plain one's. A base that knows of latents draws its own:
    see :func:`tf_symconv.kernels.draw_latent`.

    Args:
        base: The Keras initialiser of the full kernel.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: The shape of the full kernel.
    """

    def __init__(self, base: Any, kernel_map: KernelMap, kernel_shape: Sequence[int]) -> None:
        self.base: Any = keras.initializers.get(base)
        self.kernel_map = kernel_map
        self.kernel_shape = tuple(kernel_shape)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return the latent; ``shape`` is its shape."""
        return kernels.draw_latent(self.base, self.kernel_map, self.kernel_shape, dtype)


class StructuredKernel(_KerasLayer):
    """Mixin for a Keras convolution layer: its kernel is the expansion of a smaller variable, the latent.

    One mixin derives from it for each structure, and sets :attr:`kernel_map`; one for each kind of convolution, and
    defines :meth:`convolve`. A layer names both before its Keras layer among its bases. Own arguments are keywords;
    positional ones go to the Keras layer. Regularisers and constraints of the kernel act on the latent.
    """

    #: The name under which the stock layer asks for the weight that is structured.
    structured_weight = "kernel"
    #: Arguments of the stock layer whose place an own argument takes: ``{stock name: own name}``.
    renamed_arguments: ClassVar[dict[str, str]] = {}
    kernel = ExpandedKernel()

    kernel_map: KernelMap
    kernel_shape: tuple[int, ...]
    #: The fewest input channels that the structure allows; :meth:`check_structure` tries a kernel of as many.
    fewest_channels = 1
    #: Where output channels share biases: for each channel, which entry of ``bias`` it adds. None: each has its own.
    shared_bias: tuple[int, ...] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class the signature of its Keras layer, followed by its own arguments as keywords."""
        super().__init_subclass__(**kwargs)
        with_stock_signature(cls)

    def __init__(self, *args: Any, implementation: str = "auto", **kwargs: Any) -> None:
        lora = {name: kwargs[name] for name in ("lora_rank", "lora_alpha") if kwargs.get(name) is not None}
        if lora:
            raise ValueError(f"{_NO_LORA} Received: {lora}")
        super().__init__(*args, **kwargs)
        self.implementation = ops.check_implementation(implementation)

    @property
    def latent(self) -> keras.Variable:
        """The trainable variable: the free weights of the kernel."""
        latent = self.__dict__.get(f"_{self.structured_weight}")
        if latent is None:
            raise AttributeError(f"A layer has a latent once it is built. Received: unbuilt layer {self.name!r}")
        return latent

    def add_weight(self, *args: Any, name: str | None = None, **kwargs: Any) -> keras.Variable:
        """Add a weight as Keras does; in place of the structured one its latent, of shared biases one of each."""
        if name == self.structured_weight:
            self.kernel_shape = tuple(kwargs["shape"])
            kwargs["shape"] = self.kernel_map.latent_shape(self.kernel_shape)
            kwargs["initializer"] = SelectedInitializer(kwargs["initializer"], self.kernel_map, self.kernel_shape)
            # The kernel is expanded in the variable's own precision, and cast after that.
            kwargs["autocast"] = False
        elif name == "bias" and self.shared_bias is not None:
            kwargs["shape"] = (max(self.shared_bias) + 1,)
        return super().add_weight(*args, name=name, **kwargs)

    def as_stored(self, kernel_map: KernelMap) -> KernelMap:
        """Return the map for kernels in the axis order in which the stock layer stores them."""
        return kernel_map

    @abc.abstractmethod
    def check_structure(self) -> None:
        """Raise a ValueError if no kernel of this size and these filters has the structure."""

    @abc.abstractmethod
    def convolve(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the layer's outputs before bias and activation."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return ``activation(convolution(inputs) + bias)``."""
        outputs = self.convolve(inputs)
        if self.bias is not None:
            axis = outputs.shape.rank - 1 if self.data_format == "channels_last" else 1
            bias = tf.reshape(self.bias, (-1,))
            if self.shared_bias is not None:
                bias = tf.gather(bias, self.shared_bias)
            shape = [1] * outputs.shape.rank
            shape[axis] = -1
            outputs += tf.reshape(bias, shape)
        return outputs if self.activation is None else self.activation(outputs)

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: see the error."""
        raise ValueError(_NO_LORA)

    def save_own_variables(self, store: Any) -> None:
        """Save the variables as they are: the latent, not the kernel."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Load what :meth:`save_own_variables` saved."""
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "implementation": self.implementation}


class SymmetricKernel(StructuredKernel):
    """Mixin: the kernel is invariant under reflections or rotations, or has another structure given by ``symmetry``."""

    def __init__(
        self,
        *args: Any,
        symmetry: kernels.Symmetry = "hv",
        parity: str | Sequence[str] = "even",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        kernel_map = kernels.get(symmetry, parity)
        self.kernel_map = self.as_stored(kernel_map)
        self.symmetry = symmetry if isinstance(symmetry, str) else kernel_map
        self.parity = parity if isinstance(parity, str) else tuple(parity)
        self.check_structure()

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        symmetry = self.symmetry if isinstance(self.symmetry, str) else kernels.serialize(self.symmetry)
        parity = self.parity if isinstance(self.parity, str) else list(self.parity)
        return {**super().get_config(), "symmetry": symmetry, "parity": parity}
