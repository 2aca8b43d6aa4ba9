"""What all modules share: variables made at the first call, a channel axis, a config."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tensorflow as tf

from tf_symconv.modules._arguments import check_choice
from tf_symconv.modules._structured import ExpandedKernel

ModuleT = TypeVar("ModuleT", bound="LazyModule")

DATA_FORMATS = ("channels_last", "channels_first")
_ON_READ = {
    "synchronization": tf.VariableSynchronization.ON_READ,
    "aggregation": tf.VariableAggregation.MEAN,
}


class LazyModule(tf.Module, abc.ABC):
    """A ``tf.Module`` that makes its variables when it is first called, or built by hand.

    Inputs may be of any float type; the outputs are of the same. Variables keep the type ``dtype`` and are cast, so a
    float16 input makes a float16 computation with float32 variables.

    Args:
        name: The name of the module, a Python identifier; from the class by default.
        dtype: The float type of the variables.

    Raises:
        ValueError: If the type is not a float.
    """

    data_format: str
    #: The ranks that inputs may have, the batch and the channels counted; None for any.
    input_ranks: tuple[int, ...] | None

    def __init__(self, *, name: str | None = None, dtype: Any = tf.float32) -> None:
        super().__init__(name=name)
        self.dtype = tf.as_dtype(dtype)
        if not self.dtype.is_floating:
            raise ValueError(f"dtype must be a float type. Received: dtype={dtype!r}")
        self._channels: int | None = None
        self._built = False

    def __setattr__(self, name: str, value: Any) -> None:
        place = getattr(type(self), name, None)
        if isinstance(place, ExpandedKernel):
            # Checkpoints shall know the latent by the name under which it is kept, not by the kernel's too.
            place.__set__(self, value)
        else:
            super().__setattr__(name, value)

    @property
    def built(self) -> bool:
        """Whether the variables exist."""
        return self._built

    def __call__(self, inputs: Any) -> tf.Tensor:
        """Return the outputs; the first call makes the variables.

        Raises:
            ValueError: If the inputs have another rank or number of channels than the module is made for, or are not
                floats.
        """
        return self.call(self.checked(inputs))

    def checked(self, inputs: Any) -> tf.Tensor:
        """Return the inputs as a tensor that fits the module, which is built if it was not.

        Raises:
            ValueError: As a call does.
        """
        inputs = tf.convert_to_tensor(inputs, dtype_hint=self.dtype)
        if not inputs.dtype.is_floating:
            raise ValueError(f"Inputs of {self.name!r} must be floats. Received: {inputs.dtype.name}")
        shape = tuple(inputs.shape) if inputs.shape.rank is not None else None
        if shape is None or (self.input_ranks is not None and len(shape) not in self.input_ranks):
            ranks = "a known number of" if self.input_ranks is None else " or ".join(map(str, self.input_ranks))
            raise ValueError(f"Inputs of {self.name!r} must have {ranks} axes. Received: shape {inputs.shape}")
        if not self._built:
            # Out of the graph that may be traced: the values are drawn once, now.
            with tf.init_scope():
                self.build(shape)
        if self._channels is not None and self._channels != self._channels_of(shape):
            raise ValueError(
                f"{self.name!r} was built for {self._channels} input channels. Received: shape {inputs.shape}"
            )
        return inputs

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the variables for inputs of this shape; only the number of channels need be known.

        Raises:
            ValueError: If it is not known.
        """
        self._channels = self._channels_of(tuple(input_shape))
        self.make_weights(self._channels)
        self._built = True

    def _channels_of(self, shape: tuple[int | None, ...]) -> int:
        channels = shape[-1 if self.data_format == "channels_last" else 1]
        if channels is None:
            raise ValueError(f"The number of input channels of {self.name!r} must be known. Received: shape {shape}")
        return int(channels)

    @abc.abstractmethod
    def make_weights(self, channels: int) -> None:
        """Make the variables for this number of input channels."""

    @abc.abstractmethod
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the outputs of a built module."""

    def add_weight(
        self, *, name: str, shape: Sequence[int], initializer: Callable[..., Any], trainable: bool = True
    ) -> tf.Variable:
        """Return a new variable; of one that is not trained, replicas hold their own, read as the mean."""
        # Written in training by every replica, from what it sees of the batch.
        own: dict[str, Any] = {} if trainable else _ON_READ
        with self.name_scope:
            value = initializer(tuple(shape), dtype=self.dtype)
            return tf.Variable(value, name=name, dtype=self.dtype, trainable=trainable, **own)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor, so that ``from_config`` makes another such module."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls: type[ModuleT], config: dict[str, Any]) -> ModuleT:
        """Return a new, unbuilt module with these arguments."""
        return cls(**config)


def check_data_format(data_format: str | None) -> str:
    """Return a data format, ``"channels_last"`` for None.

    Raises:
        ValueError: If it is not known.
    """
    return "channels_last" if data_format is None else check_choice("data_format", data_format, DATA_FORMATS)
