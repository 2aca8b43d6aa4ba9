"""What stands between group convolutions and treats all elements of a group channel alike."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import tensorflow as tf

from tf_symconv import groups
from tf_symconv.modules import _initializers
from tf_symconv.modules._arguments import check_number, check_switch
from tf_symconv.modules._base import LazyModule
from tf_symconv.modules._initializers import Initializer

if TYPE_CHECKING:

    class _Layer:
        """The layer underneath."""

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def get_config(self) -> dict[str, Any]: ...

else:
    _Layer = object

REDUCTIONS = {"max": tf.reduce_max, "mean": tf.reduce_mean}


def check_axis(axis: Any) -> int:
    """Return the index of a channel axis.

    Raises:
        ValueError: If it is no index, or that of the batch.
    """
    if not isinstance(axis, int) or isinstance(axis, bool) or axis == 0:
        raise ValueError(f"axis must be the index of the channel axis, not 0. Received: axis={axis!r}")
    return axis


def resolve_axis(axis: int, rank: int) -> int:
    """Return the axis of the channels, counted from the start.

    Raises:
        ValueError: If inputs of this rank do not have it.
    """
    if not -rank <= axis < rank:
        raise ValueError(f"axis must be one of the input's {rank} axes. Received: axis={axis}")
    return axis % rank


def check_channels(channels: int | None, group: str) -> None:
    """Raise a ValueError unless channels can carry a group."""
    order = groups.get(group, 2).order
    if channels is None or channels % order:
        raise ValueError(
            f"The group {group!r} needs a known number of channels that is a multiple of {order}. "
            f"Received: {channels} channels"
        )


def split_shape(shape: Sequence[Any], axis: int, group: str) -> list[Any]:
    """Return a shape whose ``axis`` is split into group channels and elements."""
    axis %= len(shape)
    order = groups.get(group, 2).order
    return [*shape[:axis], shape[axis] // order, order, *shape[axis + 1 :]]


def sizes_of(tensor: tf.Tensor) -> list[Any]:
    """Return the sizes of a tensor: integers where they are known, else scalar tensors."""
    dynamic = tf.shape(tensor)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(tensor.shape)]


def precise(inputs: tf.Tensor) -> tf.Tensor:
    """Return inputs in 32 bits or more."""
    return tf.cast(inputs, tf.float32) if inputs.dtype.size < 4 else inputs


class GroupReduction(_Layer):
    """Mixin: pooling over the elements of each group channel."""

    def __init__(self, group: str = "c4", reduction: str = "max", axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        groups.get(group, 2)
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}. Received: reduction={reduction!r}")
        self.group = group
        self.reduction = reduction
        self.axis = check_axis(axis)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the pooled input."""
        axis = resolve_axis(self.axis, len(inputs.shape))
        split = tf.reshape(inputs, split_shape(sizes_of(inputs), axis, self.group))
        return REDUCTIONS[self.reduction](split, axis + 1)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        return {**super().get_config(), "group": self.group, "reduction": self.reduction, "axis": self.axis}


class GroupLayerNormalizing(_Layer):
    """Mixin: normalisation over all channels, with a scale and an offset for each group channel."""

    group: str
    channel_axis: int
    epsilon: float
    gamma: Any
    beta: Any

    def normalized(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the normalised inputs, in 32 bits or more."""
        x = precise(inputs)
        mean, variance = tf.nn.moments(x, self.channel_axis, keepdims=True)
        outputs = (x - mean) * tf.math.rsqrt(variance + tf.cast(self.epsilon, x.dtype))
        if self.gamma is not None:
            outputs *= self._spread(self.gamma, outputs)
        if self.beta is not None:
            outputs += self._spread(self.beta, outputs)
        return outputs

    def _spread(self, weight: Any, outputs: tf.Tensor) -> tf.Tensor:
        shape = [1] * len(outputs.shape)
        shape[self.channel_axis] = -1
        each = tf.repeat(tf.cast(tf.convert_to_tensor(weight), outputs.dtype), groups.get(self.group, 2).order)
        return tf.reshape(each, shape)


class _OnAnAxis(LazyModule):
    """A module whose channels lie along ``axis`` of inputs of any rank."""

    input_ranks = None
    group: str
    axis: int

    def _channels_of(self, shape: tuple[int | None, ...]) -> int:
        channels = shape[resolve_axis(self.axis, len(shape))]
        check_channels(channels, self.group)
        return int(channels or 0)


class _Normalization(_OnAnAxis):
    """What both normalisations have: a scale and an offset for each group channel."""

    def __init__(
        self,
        *,
        group: str,
        axis: Any,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: str | Initializer,
        gamma_initializer: str | Initializer,
        name: str | None,
        dtype: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        groups.get(group, 2)
        self.group = group
        self.axis = check_axis(axis)
        self.epsilon = check_number("epsilon", epsilon, 0.0)
        self.center = check_switch("center", center)
        self.scale = check_switch("scale", scale)
        self.beta_initializer = _initializers.get(beta_initializer)
        self.gamma_initializer = _initializers.get(gamma_initializer)
        self.beta: tf.Variable | None = None
        self.gamma: tf.Variable | None = None

    def make_weights(self, channels: int) -> None:
        shape = (channels // groups.get(self.group, 2).order,)
        if self.scale:
            self.gamma = self.add_weight(name="gamma", shape=shape, initializer=self.gamma_initializer)
        if self.center:
            self.beta = self.add_weight(name="beta", shape=shape, initializer=self.beta_initializer)

    def get_config(self) -> dict[str, Any]:
        names = ("axis", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer", "group")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@final
class GroupBatchNormalization(_Normalization):
    """Batch normalisation with statistics, scale and offset shared over the elements of each group channel.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.GroupBatchNormalization`, without regularisers,
    constraints, renormalisation and statistics over all replicas: a replica normalises by those of its own share of the
    batch, and the moving statistics are read as the mean of the replicas'. Call it with ``training=True`` to normalise
    by the statistics of the batch.

    Args:
        axis, momentum, ...: As there; initialisers are names or callables.
        group: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = GroupBatchNormalization(group="c4")
        >>> module(tf.zeros((2, 5, 5, 8)), training=True).shape.as_list(), module.gamma.shape.as_list()
        ([2, 5, 5, 8], [2])
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | Initializer = "zeros",
        gamma_initializer: str | Initializer = "ones",
        moving_mean_initializer: str | Initializer = "zeros",
        moving_variance_initializer: str | Initializer = "ones",
        *,
        group: str = "c4",
        name: str | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        super().__init__(
            group=group,
            axis=axis,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            name=name,
            dtype=dtype,
        )
        self.momentum = check_number("momentum", momentum, 0.0, 1.0)
        self.moving_mean_initializer = _initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = _initializers.get(moving_variance_initializer)

    def make_weights(self, channels: int) -> None:
        super().make_weights(channels)
        shape = (channels // groups.get(self.group, 2).order,)
        self.moving_mean = self.add_weight(
            name="moving_mean", shape=shape, initializer=self.moving_mean_initializer, trainable=False
        )
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=shape, initializer=self.moving_variance_initializer, trainable=False
        )

    def __call__(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Return the normalised inputs; in training, follow the statistics of the batch.

        Raises:
            ValueError: If the inputs do not fit the module.
        """
        return self.call(self.checked(inputs), training)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        axis = resolve_axis(self.axis, len(inputs.shape))
        x = tf.reshape(precise(inputs), split_shape(sizes_of(inputs), axis, self.group))
        own = [1] * len(x.shape)
        own[axis] = -1
        if training:
            mean, variance = tf.nn.moments(x, [other for other in range(len(x.shape)) if other != axis])
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept = tf.convert_to_tensor(moving) * self.momentum
                moving.assign(kept + tf.cast(batch, self.dtype) * (1.0 - self.momentum))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        each: list[Any] = [
            None if one is None else tf.reshape(tf.cast(one, x.dtype), own)
            for one in (mean, variance, self.beta, self.gamma)
        ]
        outputs: Any = tf.nn.batch_normalization(x, each[0], each[1], each[2], each[3], self.epsilon)
        return tf.cast(tf.reshape(outputs, sizes_of(inputs)), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        names = ("momentum", "moving_mean_initializer", "moving_variance_initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@final
class GroupLayerNormalization(GroupLayerNormalizing, _Normalization):
    """Layer normalisation of all channels at a position, with scale and offset shared over each group channel.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.GroupLayerNormalization`, without regularisers
    and constraints.

    Args:
        axis, epsilon, ...: As there; initialisers are names or callables.
        group: As there.
        name: The name of the module, a Python identifier.
        dtype: The float type of the variables; inputs may be of another.

    Example:
        >>> import tensorflow as tf
        >>> module = GroupLayerNormalization(group="c4")
        >>> module(tf.zeros((2, 5, 5, 8))).shape.as_list(), module.gamma.shape.as_list()
        ([2, 5, 5, 8], [2])
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | Initializer = "zeros",
        gamma_initializer: str | Initializer = "ones",
        *,
        group: str = "c4",
        name: str | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        _Normalization.__init__(
            self,
            group=group,
            axis=axis,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            name=name,
            dtype=dtype,
        )
        self.channel_axis = axis

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.normalized(inputs), inputs.dtype)


@final
class GroupPooling(GroupReduction, _OnAnAxis):
    """Maximum or mean over the elements of each group channel.

    Args, shapes, law and errors are those of :class:`tf_symconv.layers.GroupPooling`.

    Args:
        group, reduction, axis: As there.
        name: The name of the module, a Python identifier.

    Example:
        >>> import tensorflow as tf
        >>> GroupPooling("c4")(tf.zeros((2, 5, 5, 8))).shape.as_list()
        [2, 5, 5, 2]
    """

    def __init__(self, group: str = "c4", reduction: str = "max", axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(group, reduction, axis, name=name)

    def build(self, input_shape: Any) -> None:
        """Take inputs of any number of group channels: there are no variables."""
        self._channels_of(tuple(input_shape))
        self._built = True

    def make_weights(self, channels: int) -> None: ...

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        self._channels_of(tuple(inputs.shape))
        return super().call(inputs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dtype"]
        return config
