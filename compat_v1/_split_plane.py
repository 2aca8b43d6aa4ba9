"""Index arrays that rotate and reflect filters on the plane and on split plane groups (p4, p4m).

A filter of a group convolution is a stack of ``nti`` planes, one per element of the input's point group. Its copy under
an element g carries cell (t, u, v) of the copy at cell g^-1 (t, u, v) of the filter: the planes are permuted and each
turns as an image does. The arrays here hold those cells, in the element order of Cohen and Welling's GrouPy:
rotations by growing angle, counter-clockwise, then for ``D4`` the same rotations followed by the up-down reflection.

Reference: T. Cohen and M. Welling, Group Equivariant Convolutional Networks, ICML 2016, section 7.
"""

import operator
from typing import Literal

import numpy as np

from tf_symconv import groups

__all__ = [
    "flatten_indices",
    "make_c4_p4_indices",
    "make_c4_z2_indices",
    "make_d4_p4m_indices",
    "make_d4_z2_indices",
]


def make_c4_z2_indices(ksize: int) -> np.ndarray:
    """Return the cells that lift a filter on the plane to the four rotations.

    Args:
        ksize: Width and height of the filter, odd or even.

    Returns:
        ``int32`` array of shape ``(4, 1, ksize, ksize, 3)``; the last axis is (plane, row, column).

    Raises:
        ValueError: If ``ksize`` is not a positive integer.
    """
    return _cells("c4", ksize, on_group=False)


def make_c4_p4_indices(ksize: int) -> np.ndarray:
    """Return the cells of a filter on p4 under the four rotations.

    Args:
        ksize: Width and height of the filter, odd or even.

    Returns:
        ``int32`` array of shape ``(4, 4, ksize, ksize, 3)``; the last axis is (plane, row, column).

    Raises:
        ValueError: If ``ksize`` is not a positive integer.
    """
    return _cells("c4", ksize, on_group=True)


def make_d4_z2_indices(ksize: int) -> np.ndarray:
    """Return the cells that lift a filter on the plane to the eight symmetries of the square.

    The original refuses even sizes. Here they turn about the corner between the four middle cells, as those of
    :func:`make_c4_z2_indices` do.

    Args:
        ksize: Width and height of the filter, odd or even.

    Returns:
        ``int32`` array of shape ``(8, 1, ksize, ksize, 3)``; the last axis is (plane, row, column).

    Raises:
        ValueError: If ``ksize`` is not a positive integer.
    """
    return _cells("d4", ksize, on_group=False)


def make_d4_p4m_indices(ksize: int) -> np.ndarray:
    """Return the cells of a filter on p4m under the eight symmetries of the square.

    The original refuses even sizes. Here they turn about the corner between the four middle cells, as those of
    :func:`make_c4_p4_indices` do.

    Args:
        ksize: Width and height of the filter, odd or even.

    Returns:
        ``int32`` array of shape ``(8, 8, ksize, ksize, 3)``; the last axis is (plane, row, column).

    Raises:
        ValueError: If ``ksize`` is not a positive integer.
    """
    return _cells("d4", ksize, on_group=True)


def flatten_indices(inds: np.ndarray, data_format: Literal["NHWC", "NCHW"] = "NHWC") -> np.ndarray:
    """Turn (plane, row, column) cells into positions in a filter whose planes and cells lie on one axis.

    The original knows one order, planes last, which ``transform_filter_2d_nhwc`` reads. Its
    ``transform_filter_2d_nchw`` lays planes first but is fed the same positions, so that it mixes planes and cells of
    filters with more than one plane. That is kept; ``data_format="NCHW"`` gives the positions it needs to be right.

    Args:
        inds: Array of shape ``(nto, nti, n, n, 3)`` from one of the ``make_`` functions.
        data_format: ``"NHWC"`` for positions with the planes last, ``"NCHW"`` for positions with the planes first.

    Returns:
        Array of shape ``(nto, nti, n, n)`` of the dtype of ``inds``.

    Raises:
        ValueError: If ``inds`` has another shape or ``data_format`` is unknown.
    """
    inds = np.asarray(inds)
    if inds.ndim != 5 or inds.shape[-1] != 3:
        raise ValueError(f"The indices need the shape (nto, nti, n, n, 3). Received: shape={inds.shape}")
    nti, n = inds.shape[1], inds.shape[-2]
    plane, row, column = np.moveaxis(inds, -1, 0)
    if data_format == "NHWC":
        return (row * n + column) * nti + plane
    if data_format == "NCHW":
        return (plane * n + row) * n + column
    raise ValueError(f"data_format is 'NHWC' or 'NCHW'. Received: data_format={data_format!r}")


def _cells(group_name: str, ksize: int, on_group: bool) -> np.ndarray:
    try:
        n = operator.index(ksize)
    except TypeError:
        n = 0
    if n < 1:
        raise ValueError(f"The kernel size is a positive integer. Received: ksize={ksize!r}")
    group = groups.get(group_name)
    planes = group.order if on_group else 1
    cells = np.empty((group.order, planes, n, n, 3), "int32")
    # Plane t of the copy under g comes from plane g^-1 t.
    sources = group.multiplication_table[group.inverses] if on_group else np.zeros((group.order, 1))
    cells[..., 0] = sources[:, :, None, None]
    rows, columns = np.indices((n, n))
    cells[..., 1] = np.stack([element(rows) for element in group.elements])[:, None]
    cells[..., 2] = np.stack([element(columns) for element in group.elements])[:, None]
    return cells
