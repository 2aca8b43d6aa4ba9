"""Convolution layers whose kernels are tied by a drawn pattern."""

from typing import final

import keras

from tf_symconv.layers._convolutions import StructuredConv
from tf_symconv.modules._pattern import PatternKernel, PatternKernel1D


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class PatternConv1D(PatternKernel1D, StructuredConv, keras.layers.Conv1D):
    """1-D convolution whose kernels are tied by a drawn pattern.

    Law: cells of equal label have equal weights, and cells with the label ``.`` are zero, during and after training,
    whatever the optimiser: the layer stores one free weight (``latent``) per label, input channel and filter.

    Args:
        filters, pattern, ...: All arguments of ``keras.layers.Conv1D``, in its order and with its defaults, but for
            ``pattern`` in the place of ``kernel_size``: text of one row with one letter per cell (``"AAB.BAA"``), a
            list with that text, a 2-D array of labels with one row, or a :class:`~tf_symconv.kernels.Pattern`. The
            initialiser sees the shape of the full kernel; regularisers and constraints act on the latent. LoRA is
            refused.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, steps, channels)``, or ``(batch, channels, steps)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, new steps, filters)``, or ``(batch, filters, new steps)``.

    Raises:
        ValueError: If an argument is out of its range: a pattern with no cells, of zeros only, or of several rows.
        TypeError: If the pattern is not made of letters or integers.

    Example:
        >>> import numpy as np
        >>> layer = PatternConv1D(4, "AB.BA")
        >>> layer(np.zeros((2, 10, 3), "float32")).shape.as_list()
        [2, 6, 4]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([2, 3, 4], [5, 3, 4])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class PatternConv2D(PatternKernel, StructuredConv, keras.layers.Conv2D):
    """2-D convolution whose kernels are tied by a drawn pattern.

    Law: cells of equal label have equal weights, and cells with the label ``.`` are zero, during and after training,
    whatever the optimiser: the layer stores one free weight (``latent``) per label, input channel and filter.

    Args:
        filters, pattern, ...: All arguments of ``keras.layers.Conv2D``, in its order and with its defaults, but for
            ``pattern`` in the place of ``kernel_size``: text with one letter per cell and rows parted by ``/`` or
            newlines (``"AABCC/AABCC/DDEFF/GGHII/GGHII"``), a list of such rows, a 2-D array of labels, or a
            :class:`~tf_symconv.kernels.Pattern` such as ``kernels.repeat_pattern((2, 1, 2), (2, 1, 2))``. The
            initialiser sees the shape of the full kernel; regularisers and constraints act on the latent. LoRA is
            refused.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new height, new width, filters)``, or ``(batch, filters, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: a pattern with no cells, of zeros only, or of rows that differ
            in length.
        TypeError: If the pattern is not made of letters or integers.

    Example:
        >>> import numpy as np
        >>> layer = PatternConv2D(4, "AABCC/AABCC/DDEFF/GGHII/GGHII", padding="same")
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 8, 8, 4]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([9, 3, 4], [5, 5, 3, 4])
    """
