"""Slow and obvious NumPy forms of what the library computes."""

import itertools

import numpy as np


def convolve(x, kernel, strides=1, padding="valid", dilation=1, groups=1):
    """Cross-correlate ``x`` (batch, *spatial, channels) with ``kernel`` (*spatial, channels / groups, filters)."""
    rank = kernel.ndim - 2
    strides, dilation = ((n,) * rank if isinstance(n, int) else tuple(n) for n in (strides, dilation))
    sizes = [d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape, strict=False)]
    pads = []
    for size, stride, length in zip(sizes, strides, x.shape[1:-1], strict=True):
        if padding == "same":
            total = max((-(-length // stride) - 1) * stride + size - length, 0)
            pads.append((total // 2, total - total // 2))
        else:
            pads.append((size - 1, 0) if padding == "causal" else (0, 0))
    x = np.pad(x.astype(np.float64), [(0, 0), *pads, (0, 0)])
    lengths = [(n - size) // stride + 1 for n, size, stride in zip(x.shape[1:-1], sizes, strides, strict=True)]
    per_group, filters = kernel.shape[-2], kernel.shape[-1] // groups
    y = np.zeros((x.shape[0], *lengths, kernel.shape[-1]))
    for cell in itertools.product(*map(range, kernel.shape[:rank])):
        window = tuple(
            slice(c * d, c * d + (n - 1) * s + 1, s)
            for c, d, n, s in zip(cell, dilation, lengths, strides, strict=True)
        )
        seen = x[(slice(None), *window)]
        for g in range(groups):
            inputs, outputs = slice(g * per_group, (g + 1) * per_group), slice(g * filters, (g + 1) * filters)
            y[..., outputs] += seen[..., inputs] @ kernel[cell][:, outputs]
    return y


def convolve_transposed(x, kernel, strides, padding, output_padding=None, dilation=1):
    """Spread ``x`` (batch, *spatial, channels) with ``kernel`` (*spatial, filters, channels) as weights.

    The gradient of the convolution whose output has the size of ``x``, with respect to its input.
    """
    rank = kernel.ndim - 2
    strides, dilation = ((n,) * rank if isinstance(n, int) else tuple(n) for n in (strides, dilation))
    full, crops = [], []
    for axis, (k, s, d, n) in enumerate(zip(kernel.shape, strides, dilation, x.shape[1:-1], strict=False)):
        size = d * (k - 1) + 1
        extra = None if output_padding is None else output_padding[axis]
        if padding == "valid":
            length, before = (n - 1) * s + (max(size, s) if extra is None else size + extra), 0
        else:
            length = n * s if extra is None else (n - 1) * s + size % 2 + extra
            before = max((n - 1) * s + size - length, 0) // 2
        full.append(max((n - 1) * s + size, before + length))
        crops.append(slice(before, before + length))
    y = np.zeros((x.shape[0], *full, kernel.shape[-2]))
    for place in itertools.product(*map(range, x.shape[1:-1])):
        for cell in itertools.product(*map(range, kernel.shape[:rank])):
            target = tuple(i * s + c * d for i, s, c, d in zip(place, strides, cell, dilation, strict=True))
            y[(slice(None), *target)] += x[(slice(None), *place)].astype(np.float64) @ kernel[cell].T
    return y[(slice(None), *crops)]


def tie(kernel_gradient, labels):
    """Add up the gradient of a full kernel over the cells of equal label; label -1 is a structural zero."""
    labels = np.asarray(labels)
    free = np.zeros((labels.max() + 1, *kernel_gradient.shape[labels.ndim :]))
    for cell in np.ndindex(labels.shape):
        if labels[cell] >= 0:
            free[labels[cell]] += kernel_gradient[cell]
    return free


def spread(free, labels, signs=None):
    """Return the kernel whose cells are the ``free`` weights that ``labels`` name, times ``signs``."""
    labels = np.asarray(labels)
    kernel = np.where((labels >= 0)[..., None, None], free[labels], 0.0)
    return kernel if signs is None else kernel * np.asarray(signs)[..., None, None]


TRANSFORMS = {
    "h": [lambda a: a[:, ::-1]],
    "v": [lambda a: a[::-1]],
    "hv": [lambda a: a[:, ::-1], lambda a: a[::-1], lambda a: a[::-1, ::-1]],
    "c2": [lambda a: np.rot90(a, 2)],
    "c4": [lambda a: np.rot90(a), lambda a: np.rot90(a, 2), lambda a: np.rot90(a, 3)],
    "d4": [
        *(lambda a, k=k: np.rot90(a, k) for k in range(1, 4)),
        *(lambda a, k=k: np.rot90(a, k)[::-1] for k in range(4)),
    ],
    "diag": [lambda a: np.swapaxes(a, 0, 1)],
}
"""The elements, other than the identity, of the groups of the square, acting on the first two axes."""
