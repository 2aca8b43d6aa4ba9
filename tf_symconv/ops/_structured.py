"""Convolutions of an input with a structured kernel, given by its latent and its kernel map."""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_symconv.kernels import KernelMap
from tf_symconv.libraries import current
from tf_symconv.ops._axes import Axis
from tf_symconv.ops._forms import Problem
from tf_symconv.ops._layout import to_channels_first, to_channels_last
from tf_symconv.ops._plan import Choice, Plan, check_implementation, choose, device_seen, plan_of
from tf_symconv.ops._run import run
from tf_symconv.ops._scheme import Scheme
from tf_symconv.ops._schemes import schemes_of, twin_schemes_of
from tf_symconv.ops._setting import in_training_step, kernels_are_constant, unconverted
from tf_symconv.ops._transposed import dense_transposed_convolution
from tf_symconv.ops._twins import check_reduction

#: The arguments of a convolution that are sequences.
_SEQUENCES = {"strides", "dilations", "flipped_axes"}


@unconverted
def convolution(
    inputs: tf.Tensor,
    latent: tf.Tensor,
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int],
    groups: int = 1,
    data_format: str = "channels_last",
    implementation: str = "auto",
) -> tf.Tensor:
    """Convolve ``inputs`` with the kernel that ``latent`` stands for.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``.
        latent: The free weights, shape ``kernel_map.latent_shape(kernel_shape)``; it may be of a wider float type than
            the inputs: the kernel is expanded in the latent's type and then cast.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: ``(*spatial, channels / groups, filters)``.
        strides: One stride per spatial axis.
        padding: ``"valid"``, ``"same"``, or in 1-D ``"causal"``.
        dilations: One dilation rate per spatial axis.
        groups: The number of channel groups.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: ``"dense"`` convolves with the full kernel; ``"folded"`` adds the inputs that meet tied cells
            first, where the structure allows it; ``"auto"`` chooses by cost among these and minimal filtering
            (Winograd), for inference or, within :func:`training_step`, for a training step: see
            :func:`plan_convolution`.

    Returns:
        The convolution, shape ``(batch, *new spatial, filters)`` or ``(batch, filters, *new spatial)``, in the dtype of
        the inputs.

    Raises:
        ValueError: If the implementation is not known.
    """
    choice = _choose(
        inputs.shape.as_list(),
        kernel_map,
        kernel_shape,
        strides=strides,
        padding=padding,
        dilations=dilations,
        groups=groups,
        data_format=data_format,
        implementation=implementation,
        dtype=inputs.dtype,
    )
    return _run(choice, inputs, latent, data_format)


def plan_convolution(
    input_shape: Sequence[int | None],
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int],
    groups: int = 1,
    data_format: str = "channels_last",
    implementation: str = "auto",
    flipped_axes: Sequence[int] = (),
    reduction: str = "max",
    depthwise: bool = False,
    dtype: Any = "float32",
    device: str | None = None,
) -> Plan:
    """Return how :func:`convolution` (or its depthwise or twin form) computes inputs of a shape.

    Args:
        input_shape: The shape of the inputs, the batch size first; None for sizes that are not known.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: As in that function.
        strides: One stride per spatial axis.
        padding: ``"valid"``, ``"same"``, or in 1-D ``"causal"``.
        dilations: One dilation rate per spatial axis.
        groups: The number of channel groups.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``.
        flipped_axes: Where given, the plan is that of :func:`twin_convolution` with these axes.
        reduction: The reduction of the twins.
        depthwise: Whether the plan is that of :func:`depthwise_convolution`.
        dtype: The float type of the inputs.
        device: ``"CPU"``, ``"XLA"`` (a CPU, compiled by XLA) or ``"GPU"``; by default what TensorFlow sees.

    Raises:
        ValueError: If the implementation or the reduction is not known.

    Example:
        >>> from tf_symconv.kernels import Mirror
        >>> plan = plan_convolution(
        ...     (8, 56, 56, 128), Mirror("hv"), (7, 7, 128, 128), strides=(1, 1), padding="same", dilations=(1, 1)
        ... )
        >>> plan.implementation, plan.multiplications < plan.dense_multiplications / 2
        ('folded', True)
    """
    inference, training = (
        _choose(
            input_shape,
            kernel_map,
            kernel_shape,
            strides=strides,
            padding=padding,
            dilations=dilations,
            groups=groups,
            data_format=data_format,
            implementation=implementation,
            flipped_axes=flipped_axes,
            reduction=reduction,
            depthwise=depthwise,
            dtype=tf.as_dtype(dtype),
            device=device,
            training=training,
        )
        for training in (False, True)
    )
    return plan_of(inference, training)


def candidates(
    input_shape: Sequence[int | None],
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int],
    groups: int = 1,
    data_format: str = "channels_last",
    flipped_axes: Sequence[int] = (),
    reduction: str = "max",
    depthwise: bool = False,
    dtype: tf.DType = tf.float32,
) -> list[Scheme]:
    """Return all schemes of a convolution, the dense one first; arguments are those of :func:`plan_convolution`."""
    _, *sizes = input_shape
    spatial = sizes[:-1] if data_format == "channels_last" else sizes[1:]
    axes = tuple(
        Axis(size, int(kernel), stride, dilation, padding)
        for size, kernel, stride, dilation in zip(spatial, kernel_shape, strides, dilations, strict=False)
    )
    shape = tuple(int(n) for n in kernel_shape)
    if depthwise:
        problem = Problem(axes, shape[-2], shape[-2] * shape[-1], shape[-2], depthwise=True)
    else:
        problem = Problem(axes, shape[-2] * groups, shape[-1], groups)
    if flipped_axes:
        schemes = twin_schemes_of(kernel_map, shape, problem, tuple(flipped_axes), check_reduction(reduction))
    else:
        schemes = schemes_of(kernel_map, shape, problem)
    if dtype.size < 4:
        # Minimal filtering loses digits, of which such numbers have none to spare.
        schemes = [scheme.in_16_bits() for scheme in schemes if scheme.implementation != "winograd"]
    if kernels_are_constant():
        schemes = [scheme.for_constants() for scheme in schemes]
    return list(schemes)


def _choose(
    input_shape: Sequence[int | None],
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    implementation: str,
    device: str | None = None,
    training: bool | None = None,
    **convolution: Any,
) -> Choice:
    check_implementation(implementation)
    convolution |= {name: tuple(convolution[name]) for name in _SEQUENCES & convolution.keys()}
    return _chosen(
        tuple(input_shape),
        kernel_map,
        tuple(kernel_shape),
        tuple(sorted(convolution.items())),
        implementation,
        (device or device_seen()).upper(),
        in_training_step() if training is None else training,
        (current(), kernels_are_constant()),
    )


@functools.lru_cache(maxsize=1024)
def _chosen(
    input_shape: tuple[int | None, ...],
    kernel_map: KernelMap,
    kernel_shape: tuple[int, ...],
    convolution: tuple[tuple[str, Any], ...],
    implementation: str,
    device: str,
    training: bool,
    setting: tuple[Any, ...],
) -> Choice:
    """Choose once for all calls alike: eager ones would choose again at every step.

    What ``setting`` holds is read from the context; it stands here to tell calls apart.
    """
    schemes = candidates(input_shape, kernel_map, kernel_shape, **dict(convolution))
    return choose(schemes, implementation, input_shape[0], device, training=training)


def _run(choice: Choice, inputs: tf.Tensor, latent: tf.Tensor, data_format: str) -> tf.Tensor:
    if data_format == "channels_first":
        return to_channels_first(run(choice, to_channels_last(inputs), latent))
    return run(choice, inputs, latent)


@unconverted
def transposed_convolution(
    inputs: tf.Tensor,
    latent: tf.Tensor,
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: str = "valid",
    output_padding: Sequence[int] | None = None,
    dilations: Sequence[int],
    data_format: str = "channels_last",
    implementation: str = "auto",
) -> tf.Tensor:
    """Convolve ``inputs`` transposed with the kernel that ``latent`` stands for.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``.
        latent: The free weights, shape ``kernel_map.latent_shape(kernel_shape)``, of the type of the inputs or a wider
            one.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: ``(*spatial, filters, channels)``.
        strides: One stride per spatial axis.
        padding: ``"valid"`` or ``"same"``.
        output_padding: Cells added to the end of each spatial axis of the output, None for the default of Keras.
        dilations: One dilation rate per spatial axis; all 1 where a stride is larger.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: As in :func:`convolution`.

    Returns:
        The transposed convolution, shape ``(batch, *new spatial, filters)`` or ``(batch, filters, *new spatial)``, in
        the dtype of the inputs.

    Raises:
        ValueError: If the implementation is not known, the output padding leaves no room for the last input, or strides
            meet dilation.
    """
    check_implementation(implementation)
    return dense_transposed_convolution(
        inputs,
        tf.cast(kernel_map.expand(latent, kernel_shape), inputs.dtype),
        strides=strides,
        padding=padding,
        output_padding=output_padding,
        dilations=dilations,
        data_format=data_format,
    )


@unconverted
def depthwise_convolution(
    inputs: tf.Tensor,
    latent: tf.Tensor,
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int],
    data_format: str = "channels_last",
    implementation: str = "auto",
) -> tf.Tensor:
    """Convolve every channel of ``inputs`` with its own kernels, which ``latent`` stands for.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``; one
            or two spatial axes.
        latent: The free weights, shape ``kernel_map.latent_shape(kernel_shape)``, of the type of the inputs or a wider
            one.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: ``(*spatial, channels, multiplier)``.
        strides: One stride per spatial axis.
        padding: ``"valid"`` or ``"same"``.
        dilations: One dilation rate per spatial axis.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: As in :func:`convolution`.

    Returns:
        The convolution, shape ``(batch, *new spatial, channels * multiplier)`` (channel major), or channels first, in
        the dtype of the inputs.

    Raises:
        ValueError: If the implementation is not known.
    """
    choice = _choose(
        inputs.shape.as_list(),
        kernel_map,
        kernel_shape,
        strides=strides,
        padding=padding,
        dilations=dilations,
        data_format=data_format,
        implementation=implementation,
        depthwise=True,
        dtype=inputs.dtype,
    )
    return _run(choice, inputs, latent, data_format)


@unconverted
def twin_convolution(
    inputs: tf.Tensor,
    latent: tf.Tensor,
    kernel_map: KernelMap,
    kernel_shape: Sequence[int],
    *,
    flipped_axes: Sequence[int],
    reduction: str,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int],
    groups: int = 1,
    data_format: str = "channels_last",
    implementation: str = "auto",
) -> tf.Tensor:
    """Convolve ``inputs`` with every filter and with its flip, and reduce each pair of outputs.

    Args:
        inputs: Shape ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` with ``channels_first``.
        latent: The free weights, shape ``kernel_map.latent_shape(kernel_shape)``, of the type of the inputs or a wider
            one.
        kernel_map: The rule from the latent to the kernel.
        kernel_shape: ``(*spatial, channels / groups, filters)``.
        flipped_axes: The spatial axes of the kernel that are reversed at once.
        reduction: ``"max"``, ``"min"``, ``"sum"``, ``"mean"`` or ``"concat"``.
        strides: One stride per spatial axis.
        padding: ``"valid"``, ``"same"``, or in 1-D ``"causal"``.
        dilations: One dilation rate per spatial axis.
        groups: The number of channel groups.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        implementation: As in :func:`convolution`.

    Returns:
        The reduced convolutions, shape ``(batch, *new spatial, filters)``, or channels first, in the dtype of the
        inputs. ``"concat"`` gives ``2 * filters`` channels: those of the filters, then those of their flips.

    Raises:
        ValueError: If the implementation or the reduction is not known, or no axis is flipped.
    """
    if not flipped_axes:
        raise ValueError(f"flipped_axes must name one spatial axis or more. Received: flipped_axes={flipped_axes!r}")
    choice = _choose(
        inputs.shape.as_list(),
        kernel_map,
        kernel_shape,
        strides=strides,
        padding=padding,
        dilations=dilations,
        groups=groups,
        data_format=data_format,
        implementation=implementation,
        flipped_axes=flipped_axes,
        reduction=reduction,
        dtype=inputs.dtype,
    )
    return _run(choice, inputs, latent, data_format)
