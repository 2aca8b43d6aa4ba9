"""How many group channels a group convolution takes to match an ordinary one."""

import math

from tf_symconv import groups


def _check(n: int, group: str) -> int:
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"n must be an integer, the number of filters of an ordinary layer. Received: n={n!r}")
    if n < 1:
        raise ValueError(f"n must be positive, the number of filters of an ordinary layer. Received: n={n}")
    return groups.get(group, 2).order


def _nearest(value: float) -> int:
    return max(1, math.floor(value + 0.5))


def equal_parameter_filters(n: int, group: str) -> int:
    """Return how many group channels give a network as many weights as ``n`` ordinary channels in every layer.

    A group convolution from ``a`` to ``b`` group channels has ``kernel cells * a * |G| * b`` weights, an ordinary one
    from ``n`` to ``n`` channels ``kernel cells * n * n``: so ``n / sqrt(|G|)``, rounded to the nearest integer, halves
    up, and at least 1. The first layer, which reads images, has fewer weights than its ordinary twin.

    Args:
        n: The number of filters of the ordinary layers.
        group: ``"c2"``, ``"c4"``, ``"d4"``, ``"h"``, ``"v"``, ``"hv"`` or ``"diag"``.

    Returns:
        The number of group channels. ``filters`` of :class:`~tf_symconv.layers.GroupConv2D` is that times the group's
        order.

    Raises:
        TypeError: If ``n`` is no integer.
        ValueError: If ``n`` is not positive, or there is no such group.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, section 8.

    Example:
        >>> equal_parameter_filters(20, "c4"), [equal_parameter_filters(n, "d4") for n in (32, 64, 128)]
        (10, [11, 23, 45])
    """
    return _nearest(n / math.sqrt(_check(n, group)))


def equal_compute_filters(n: int, group: str) -> int:
    """Return how many group channels give a network as many multiplications as ``n`` ordinary channels in every layer.

    A group convolution runs as an ordinary one of ``|G|`` times as many channels: so ``n / |G|``, rounded to the
    nearest integer, halves up, and at least 1. It has ``|G|`` times fewer weights then.

    Args:
        n: The number of filters of the ordinary layers.
        group: ``"c2"``, ``"c4"``, ``"d4"``, ``"h"``, ``"v"``, ``"hv"`` or ``"diag"``.

    Returns:
        The number of group channels. ``filters`` of :class:`~tf_symconv.layers.GroupConv2D` is that times the group's
        order.

    Raises:
        TypeError: If ``n`` is no integer.
        ValueError: If ``n`` is not positive, or there is no such group.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, section 8.

    Example:
        >>> equal_compute_filters(64, "c4"), equal_compute_filters(64, "d4")
        (16, 8)
    """
    return _nearest(n / _check(n, group))
