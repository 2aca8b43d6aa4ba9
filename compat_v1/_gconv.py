"""Split-plane group convolution: one ``tf.nn.conv2d`` with the transformed copies of every filter.

Channels lie in memory as (group channel major, group element minor): the feature map of group channel c under element t
is channel ``c * nt + t``.

Reference: T. Cohen and M. Welling, Group Equivariant Convolutional Networks, ICML 2016, section 7.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_symconv.compat_v1 import _split_plane

__all__ = [
    "ShapeInfo",
    "gconv2d",
    "gconv2d_addbias",
    "gconv2d_util",
    "transform_filter_2d_nchw",
    "transform_filter_2d_nhwc",
]

_INDICES = {
    ("Z2", "C4"): _split_plane.make_c4_z2_indices,
    ("C4", "C4"): _split_plane.make_c4_p4_indices,
    ("Z2", "D4"): _split_plane.make_d4_z2_indices,
    ("D4", "D4"): _split_plane.make_d4_p4m_indices,
}


class ShapeInfo(NamedTuple):
    """What :func:`gconv2d` must know about a filter; a plain tuple of five integers does as well."""

    out_channels: int
    out_transformations: int
    in_channels: int
    in_transformations: int
    ksize: int


def gconv2d_util(
    h_input: str, h_output: str, in_channels: int, out_channels: int, ksize: int
) -> tuple[np.ndarray, ShapeInfo, tuple[int, int, int, int]]:
    """Return the constants of a group convolution and the shape of the filter to make for it.

    Args:
        h_input: ``"Z2"`` for images, ``"C4"`` or ``"D4"`` for the output of an earlier group convolution.
        h_output: ``"C4"`` (rotations) or ``"D4"`` (rotations and reflections).
        in_channels: Channels on the group: an input on ``D4`` has 8 times as many in memory.
        out_channels: Channels on the group.
        ksize: Width and height of the filter, odd or even.

    Returns:
        The indices of shape ``(nto, nti, ksize, ksize)``, the shape info, and the shape
        ``(ksize, ksize, in_channels * nti, out_channels)`` of the filter.

    Raises:
        ValueError: If the pair of groups is none of Z2-C4, C4-C4, Z2-D4, D4-D4, or ``ksize`` is not positive.
    """
    make = _INDICES.get((h_input, h_output))
    if make is None:
        raise ValueError(
            "The pair of input and output group is one of "
            + ", ".join(f"{pair[0]}-{pair[1]}" for pair in _INDICES)
            + f". Received: h_input={h_input!r}, h_output={h_output!r}"
        )
    indices = _split_plane.flatten_indices(make(ksize))
    nto, nti = indices.shape[:2]
    info = ShapeInfo(out_channels, nto, in_channels, nti, ksize)
    return indices, info, (ksize, ksize, in_channels * nti, out_channels)


def gconv2d(
    input: tf.Tensor,
    filter: tf.Tensor,
    strides: Sequence[int],
    padding: str,
    gconv_indices: np.ndarray,
    gconv_shape_info: Sequence[int],
    use_cudnn_on_gpu: bool | None = None,
    data_format: str = "NHWC",
    name: str | None = None,
) -> tf.Tensor:
    """Convolve with every transformed copy of every filter.

    With stride 1 and odd sizes, transforming the input transforms the output and permutes its group channels. An even
    filter padded ``"SAME"``, and strides that do not fit the input, lose that by a cell at the border.

    Args:
        input: Shape ``(batch, height, width, in_channels * nti)``.
        filter: Shape ``(ksize, ksize, in_channels * nti, out_channels)``.
        strides: Four integers, as ``tf.nn.conv2d`` takes them.
        padding: ``"SAME"`` or ``"VALID"``.
        gconv_indices: Indices from :func:`gconv2d_util`.
        gconv_shape_info: Shape info from :func:`gconv2d_util`.
        use_cudnn_on_gpu: As in ``tf.nn.conv2d``; None is True.
        data_format: ``"NHWC"``, the only one.
        name: Name of the convolution operation.

    Returns:
        Tensor of shape ``(batch, new_height, new_width, out_channels * nto)``.

    Raises:
        ValueError: If ``data_format`` is not ``"NHWC"``.
    """
    if data_format != "NHWC":
        raise ValueError(f"Group convolutions read the format NHWC only. Received: data_format={data_format!r}")
    kernel = transform_filter_2d_nhwc(w=filter, flat_indices=gconv_indices, shape_info=gconv_shape_info)
    return tf.compat.v1.nn.conv2d(
        input,
        kernel,
        strides=list(strides),
        padding=padding,
        use_cudnn_on_gpu=True if use_cudnn_on_gpu is None else use_cudnn_on_gpu,
        data_format=data_format,
        name=name,
    )


def gconv2d_addbias(input: tf.Tensor, bias: tf.Tensor, nti: int = 8) -> tf.Tensor:
    """Add one bias per group channel, the same for all its transformed copies.

    In the original this function has no body and returns None.

    Args:
        input: Shape ``(batch, height, width, channels * nti)``.
        bias: Shape ``(channels,)``.
        nti: Elements of the group, 4 for ``C4``, 8 for ``D4``.

    Returns:
        Tensor of the shape of ``input``.

    Raises:
        ValueError: If the static sizes do not fit.
    """
    input, bias = tf.convert_to_tensor(input), tf.convert_to_tensor(bias)
    channels, biases = tf.compat.dimension_value(input.shape[-1]), tf.compat.dimension_value(bias.shape[0])
    if channels is not None and biases is not None and channels != biases * nti:
        raise ValueError(
            "The input has nti channels per bias. "
            f"Received: input.shape={input.shape}, bias.shape={bias.shape}, nti={nti}"
        )
    return tf.nn.bias_add(input, tf.repeat(bias, nti))


def transform_filter_2d_nhwc(
    w: tf.Tensor, flat_indices: np.ndarray, shape_info: Sequence[int], validate_indices: bool = True
) -> tf.Tensor:
    """Return the copies of the filters under every element of the output group, as a kernel for ``tf.nn.conv2d``.

    Args:
        w: Filters of shape ``(n, n, ni * nti, no)``.
        flat_indices: Shape ``(nto, nti, n, n)``, from :func:`gconv2d_util` or ``flatten_indices``.
        shape_info: ``(no, nto, ni, nti, n)``.
        validate_indices: Kept for its place; TensorFlow always checks indices on the CPU.

    Returns:
        Kernel of shape ``(n, n, ni * nti, no * nto)``.
    """
    del validate_indices
    no, nto, ni, nti, n = map(int, shape_info)
    cells = tf.gather(tf.reshape(w, [n * n * nti, ni, no]), _constant(flat_indices))
    return tf.reshape(tf.transpose(cells, [2, 3, 4, 1, 5, 0]), [n, n, ni * nti, no * nto])


def transform_filter_2d_nchw(
    w: tf.Tensor, flat_indices: np.ndarray, shape_info: Sequence[int], validate_indices: bool = True
) -> tf.Tensor:
    """Return the copies of filters that are stored output channel first.

    This reads filters with the planes before the cells. Positions from ``flatten_indices`` with its default order are
    meant for the other layout, as in the original; pass ``flatten_indices(inds, data_format="NCHW")`` for the true
    copies of filters with more than one plane.

    Args:
        w: Filters of shape ``(no, ni * nti, n, n)``.
        flat_indices: Shape ``(nto, nti, n, n)``.
        shape_info: ``(no, nto, ni, nti, n)``.
        validate_indices: Kept for its place; TensorFlow always checks indices on the CPU.

    Returns:
        Filters of shape ``(no * nto, ni * nti, n, n)``.
    """
    del validate_indices
    no, nto, ni, nti, n = map(int, shape_info)
    flat = tf.transpose(tf.reshape(w, [no, ni, nti * n * n]), [2, 0, 1])
    cells = tf.gather(flat, _constant(flat_indices))
    return tf.reshape(tf.transpose(cells, [4, 0, 5, 1, 2, 3]), [no * nto, ni * nti, n, n])


def _constant(indices: Any) -> Any:
    return np.asarray(indices, "int32") if isinstance(indices, np.ndarray | list | tuple) else indices
