"""Convolution layers whose kernels are tied by a drawn pattern."""

from typing import Any, ClassVar, final

import keras

from tf_symconv import kernels
from tf_symconv.layers._convolutions import StructuredConv
from tf_symconv.layers._structured import StructuredKernel


class PatternKernel(StructuredKernel):
    """Mixin: a pattern, given in the place of ``kernel_size``, says which cells of the kernel share a weight."""

    renamed_arguments: ClassVar[dict[str, str]] = {"kernel_size": "pattern"}

    def __init__(self, filters: int, pattern: Any, *args: Any, **kwargs: Any) -> None:
        kernel_map = pattern if isinstance(pattern, kernels.Pattern) else kernels.Pattern(pattern)
        super().__init__(filters, self._size(kernel_map), *args, **kwargs)
        self.kernel_map = self._pattern = kernel_map
        self.check_structure()

    def _size(self, pattern: kernels.Pattern) -> tuple[int, ...]:
        """Return the size of the kernel that has this pattern."""
        return pattern.shape

    @property
    def pattern(self) -> tuple[tuple[str | int, ...], ...]:
        """The labels, row by row."""
        return self._pattern.labels

    def get_config(self) -> dict[str, Any]:
        """Return all arguments of the constructor."""
        config = super().get_config()
        del config["kernel_size"]
        return {**config, "pattern": [list(row) for row in self.pattern]}


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class PatternConv1D(PatternKernel, StructuredConv, keras.layers.Conv1D):
    """1-D convolution whose kernels are tied by a drawn pattern.

    Law: cells of equal label have equal weights, and cells with the label ``.`` are zero, during and after training,
    whatever the optimiser: the layer stores one free weight (``latent``) per label, input channel and filter.

    Args:
        filters, pattern, ...: All arguments of ``keras.layers.Conv1D``, in its order and with its defaults, but for
            ``pattern`` in the place of ``kernel_size``: text of one row with one letter per cell (``"AAB.BAA"``), a
            list with that text, a 2-D array of labels with one row, or a :class:`~tf_symconv.kernels.Pattern`. The
            initialiser sees the shape of the full kernel; regularisers and constraints act on the latent. LoRA is
            refused.
        implementation: ``"auto"`` or ``"dense"``.

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

    def _size(self, pattern: kernels.Pattern) -> tuple[int, ...]:
        if pattern.shape[0] != 1:
            raise ValueError(f"In 1-D a pattern has one row. Received: pattern={pattern.labels}")
        return pattern.shape[1:]


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
        implementation: ``"auto"`` or ``"dense"``.

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
