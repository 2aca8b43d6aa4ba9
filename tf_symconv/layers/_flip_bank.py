"""Convolution layers whose filters come in orbits: a filter, and its flips as further filters."""

from typing import final

import keras

from tf_symconv.layers._convolutions import StructuredConv, StructuredConvTranspose
from tf_symconv.modules._flip_bank import FlipBankKernel1D, FlipBankKernel2D, FlipBankKernel3D


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class FlipBankConv1D(FlipBankKernel1D, StructuredConv, keras.layers.Conv1D):
    """1-D convolution whose filters come in pairs: a filter, and its reversal as a further filter.

    Law: filters of a pair are each other's reversal, during and after training, whatever the optimiser: the layer
    stores the unique filters (``latent``) only. Reversing the input reverses the outputs of the pairs and exchanges the
    two outputs of each (``kernels.FlipBank.images`` says which) where strides are 1 and the padding is ``"valid"``, or
    ``"same"`` with an odd effective kernel size; biases must be shared, and with ``groups`` both filters must lie in
    one group.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv1D``, in its order and with its defaults. The
            initialiser sees the shape of the full kernel; regularisers and constraints act on the latent. LoRA is
            refused.
        symmetry: ``{"h": count}``: a number of output filters, whole pairs, or a percentage of them, rounded down to
            whole pairs. The rest is free and comes last. The block lists all unique filters, then all their images.
        share_bias: Whether the filters of a pair share their bias.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, steps, channels)``, or ``(batch, channels, steps)`` with ``data_format="channels_first"``.

    Output shape:
        ``(batch, new steps, filters)``, or ``(batch, filters, new steps)``.

    Raises:
        ValueError: If an argument is out of its range: unknown reflections, counts that are not whole pairs, or more
            than there are filters.

    Reference:
        Treder, CNN-Symmetry, https://github.com/treder/CNN-Symmetry.

    Example:
        >>> import numpy as np
        >>> layer = FlipBankConv1D(6, 5, symmetry={"h": 4})
        >>> layer(np.zeros((2, 10, 3), "float32")).shape.as_list()
        [2, 6, 6]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([5, 3, 4], [5, 3, 6])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class FlipBankConv2D(FlipBankKernel2D, StructuredConv, keras.layers.Conv2D):
    """2-D convolution whose filters come in orbits: a filter, and its flips as further filters.

    Law: filters of an orbit are each other's flips, during and after training, whatever the optimiser: the layer stores
    the unique filters (``latent``) only. Flipping the input flips the outputs of the orbits that the flip belongs to
    and permutes their channels (``kernels.FlipBank.images`` says how) where strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with odd effective kernel sizes; biases must be shared, and with ``groups`` an orbit must
    lie in one group.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2D``, in its order and with its defaults. The
            initialiser sees the shape of the full kernel; regularisers and constraints act on the latent. LoRA is
            refused.
        symmetry: ``{reflections: count}`` with the reflections ``"h"`` (left-right, pairs), ``"v"`` (up-down, pairs)
            and ``"hv"`` (quadruples). A count is a number of output filters, whole orbits, or a percentage of them,
            rounded down to whole orbits. Blocks are ordered h, v, hv, the rest is free and comes last; a block lists
            all its unique filters, then all their images under one flip, then under the next: identity, h, v, hv (those
            of the block).
        share_bias: Whether the filters of an orbit share their bias.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new height, new width, filters)``, or ``(batch, filters, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: unknown reflections, counts that are not whole orbits (the error
            names the nearest), or more than there are filters.

    Reference:
        Treder, CNN-Symmetry, https://github.com/treder/CNN-Symmetry; :func:`tf_symconv.kernels.import_cnn_symmetry`
        converts its weights.

    Example:
        >>> import numpy as np
        >>> layer = FlipBankConv2D(16, 3, symmetry={"h": 2, "v": 4, "hv": 8})
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 6, 6, 16]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([3, 3, 3, 7], [3, 3, 3, 16])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class FlipBankConv3D(FlipBankKernel3D, StructuredConv, keras.layers.Conv3D):
    """3-D convolution whose filters come in orbits: a filter, and its flips as further filters.

    Law: filters of an orbit are each other's flips, during and after training, whatever the optimiser: the layer stores
    the unique filters (``latent``) only. Flipping the input flips the outputs of the orbits that the flip belongs to
    and permutes their channels (``kernels.FlipBank.images`` says how) where strides are 1 and the padding is
    ``"valid"``, or ``"same"`` with odd effective kernel sizes; biases must be shared, and with ``groups`` an orbit must
    lie in one group.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv3D``, in its order and with its defaults; kernels
            are depth, height, width. The initialiser sees the shape of the full kernel; regularisers and constraints
            act on the latent. LoRA is refused.
        symmetry: ``{reflections: count}`` with the reflections ``"h"`` (width), ``"v"`` (height), ``"z"`` (depth;
            pairs), ``"hv"``, ``"hz"``, ``"vz"`` (quadruples) and ``"hvz"`` (octuples). A count is a number of output
            filters, whole orbits, or a percentage of them, rounded down to whole orbits. Blocks are ordered h, v, z,
            hv, hz, vz, hvz, the rest is free and comes last; a block lists all its unique filters, then all their
            images under one flip, then under the next: identity, h, v, z, hv, hz, vz, hvz (those of the block).
        share_bias: Whether the filters of an orbit share their bias.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, depth, height, width, channels)``, or ``(batch, channels, depth, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new depth, new height, new width, filters)``, or
        ``(batch, filters, new depth, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: unknown reflections, counts that are not whole orbits (the error
            names the nearest), or more than there are filters.

    Reference:
        Treder, CNN-Symmetry, https://github.com/treder/CNN-Symmetry; :func:`tf_symconv.kernels.import_cnn_symmetry`
        converts its weights.

    Example:
        >>> import numpy as np
        >>> layer = FlipBankConv3D(12, 3, symmetry={"hvz": "67%"})
        >>> layer(np.zeros((1, 5, 5, 5, 2), "float32")).shape.as_list()
        [1, 3, 3, 3, 12]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([3, 3, 3, 2, 5], [3, 3, 3, 2, 12])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class FlipBankConv2DTranspose(FlipBankKernel2D, StructuredConvTranspose, keras.layers.Conv2DTranspose):
    """2-D transposed convolution whose filters come in orbits: a filter, and its flips as further filters.

    Law: filters of an orbit are each other's flips, during and after training, whatever the optimiser: the layer stores
    the unique filters (``latent``) only. Flipping the input flips the outputs of the orbits that the flip belongs to
    and permutes their channels (``kernels.FlipBank.images`` says how) where the output is not padded on one side:
    kernels at least as large as the strides and padding ``"valid"``, or ``"same"`` where the effective kernel size
    exceeds the stride by an even number; biases must be shared.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv2DTranspose``, in its order and with its
            defaults. The initialiser sees the shape of the full kernel; regularisers and constraints act on the latent.
            LoRA is refused.
        symmetry: ``{reflections: count}`` with the reflections ``"h"`` (left-right, pairs), ``"v"`` (up-down, pairs)
            and ``"hv"`` (quadruples). A count is a number of output filters, whole orbits, or a percentage of them,
            rounded down to whole orbits. Blocks are ordered h, v, hv, the rest is free and comes last; a block lists
            all its unique filters, then all their images under one flip, then under the next: identity, h, v, hv (those
            of the block).
        share_bias: Whether the filters of an orbit share their bias.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new height, new width, filters)``, or ``(batch, filters, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: unknown reflections, counts that are not whole orbits (the error
            names the nearest), or more than there are filters.

    Reference:
        Treder, CNN-Symmetry, https://github.com/treder/CNN-Symmetry.

    Example:
        >>> import numpy as np
        >>> layer = FlipBankConv2DTranspose(8, 3, strides=2)
        >>> layer(np.zeros((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 17, 17, 8]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([3, 3, 3, 2], [3, 3, 8, 3])
    """


@final
@keras.saving.register_keras_serializable(package="tf_symconv")
class FlipBankConv3DTranspose(FlipBankKernel3D, StructuredConvTranspose, keras.layers.Conv3DTranspose):
    """3-D transposed convolution whose filters come in orbits: a filter, and its flips as further filters.

    Law: filters of an orbit are each other's flips, during and after training, whatever the optimiser: the layer stores
    the unique filters (``latent``) only. Flipping the input flips the outputs of the orbits that the flip belongs to
    and permutes their channels (``kernels.FlipBank.images`` says how) where the output is not padded on one side:
    kernels at least as large as the strides and padding ``"valid"``, or ``"same"`` where the effective kernel size
    exceeds the stride by an even number; biases must be shared.

    Args:
        filters, kernel_size, ...: All arguments of ``keras.layers.Conv3DTranspose``, in its order and with its
            defaults; kernels are depth, height, width. The initialiser sees the shape of the full kernel; regularisers
            and constraints act on the latent. LoRA is refused.
        symmetry: ``{reflections: count}`` with the reflections ``"h"`` (width), ``"v"`` (height), ``"z"`` (depth;
            pairs), ``"hv"``, ``"hz"``, ``"vz"`` (quadruples) and ``"hvz"`` (octuples). A count is a number of output
            filters, whole orbits, or a percentage of them, rounded down to whole orbits. Blocks are ordered h, v, z,
            hv, hz, vz, hvz, the rest is free and comes last; a block lists all its unique filters, then all their
            images under one flip, then under the next: identity, h, v, z, hv, hz, vz, hvz (those of the block).
        share_bias: Whether the filters of an orbit share their bias.
        implementation: ``"auto"``, ``"dense"`` or ``"folded"``: see :meth:`plan`.

    Input shape:
        ``(batch, depth, height, width, channels)``, or ``(batch, channels, depth, height, width)`` with
        ``data_format="channels_first"``.

    Output shape:
        ``(batch, new depth, new height, new width, filters)``, or
        ``(batch, filters, new depth, new height, new width)``.

    Raises:
        ValueError: If an argument is out of its range: unknown reflections, counts that are not whole orbits (the error
            names the nearest), or more than there are filters.

    Reference:
        Treder, CNN-Symmetry, https://github.com/treder/CNN-Symmetry.

    Example:
        >>> import numpy as np
        >>> layer = FlipBankConv3DTranspose(8, 3)
        >>> layer(np.zeros((1, 3, 3, 3, 2), "float32")).shape.as_list()
        [1, 5, 5, 5, 8]
        >>> layer.latent.shape.as_list(), layer.kernel.shape.as_list()
        ([3, 3, 3, 2, 1], [3, 3, 3, 8, 2])
    """
