"""Densely connected networks, equivariant and plain."""

from typing import Any

import keras

from tf_symconv.models._zoo_parts import Parts, check_dropout, check_positive, classify, halve


def densenet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    group: str | None = "d4",
    depth: int = 40,
    blocks: int = 3,
    growth: int = 12,
    width: int = 16,
    dropout: float = 0.0,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> keras.Model:
    """Return a densely connected network for small images whose predictions do not change under the group.

    A 3x3 convolution, then dense blocks, in which every layer (batch normalisation, ReLU and a 3x3 convolution to
    ``growth`` channels) reads the channels of all layers before it; between blocks, batch normalisation, ReLU, a 1x1
    convolution and a 2x2 mean. With ``group=None`` the defaults are DenseNet-40 with growth 12, 1.0 million trainable
    weights as published; with a group, its twin: after every layer it has the group channels that equal the weights of
    the plain one, so on d4 its layers add 4 or 5 group channels each, where the published one adds a constant number.

    Concatenating maps keeps their layout, since group channels stay whole, and the 2x2 means meet both ends of an even
    image alike, so the published network is exact at sizes that can be halved ``blocks - 1`` times. Where a size is
    odd, a mean of 3x3 cells takes their place.

    Args:
        input_shape: (height, width, channels); height and width are equal where the group exchanges them.
        classes: The number of classes.
        group: A group of the square, or None for the plain twin.
        depth: The number of layers with weights: ``blocks * n + blocks + 1``, for n layers in each block.
        blocks: The number of dense blocks.
        growth: The number of channels that each layer of the plain network adds.
        width: The number of channels of the plain network's first convolution; see
            :func:`~tf_symconv.models.equal_parameter_filters` for those of the group network.
        dropout: The share of activations that training drops after each convolution in a block.
        classifier_activation: What makes the scores predictions; None for logits.
        name: That of the model; by default it tells the group and the depth.

    Returns:
        A functional model that is not compiled.

    Raises:
        TypeError: If a number is no integer.
        ValueError: If a number or the group is out of its range, or the image is not square where it must be.

    Reference:
        Veeling, Linmans, Winkens, Cohen and Welling, "Rotation Equivariant CNNs for Digital Pathology" (MICCAI 2018),
        arXiv:1806.03962. Huang, Liu, van der Maaten and Weinberger, "Densely Connected Convolutional Networks" (CVPR
        2017), arXiv:1608.06993.

    Example:
        >>> model = densenet((16, 16, 3), group="c4", depth=7, blocks=2, growth=4, width=8)
        >>> model.name, model.output_shape
        ('densenet7_c4', (None, 10))
    """
    check_positive(classes=classes, depth=depth, blocks=blocks, growth=growth, width=width)
    check_dropout(dropout)
    layers = (depth - 1) // blocks - 1
    if layers < 1 or depth != blocks * (layers + 1) + 1:
        raise ValueError(
            "depth must be blocks * (n + 1) + 1, for n layers in each block, one or more. "
            f"Received: depth={depth}, blocks={blocks}"
        )
    parts = Parts(group)
    x = inputs = parts.image(input_shape)
    channels = parts.channels(width)
    x = parts.conv(x, channels, 3, "conv", lift=True, padding="same", use_bias=False)
    for block in range(1, blocks + 1):
        for number in range(1, layers + 1):
            width += growth
            step = max(1, parts.channels(width) - channels)
            x = _layer(parts, x, step, dropout, f"block{block}_layer{number}")
            channels += step
        if block < blocks:
            x = parts.norm_relu(x, f"transition{block}")
            x = halve(parts.conv(x, channels, 1, f"transition{block}_conv", use_bias=False), f"transition{block}_pool")
    x = parts.norm_relu(x, "last")
    outputs = classify(parts.pool_group(x, "mean"), classes, classifier_activation)
    return keras.Model(inputs, outputs, name=name or f"densenet{depth}_{group or 'plain'}")


def _layer(parts: Parts, x: Any, channels: int, dropout: float, name: str) -> Any:
    y = parts.conv(parts.norm_relu(x, name), channels, 3, f"{name}_conv", padding="same", use_bias=False)
    if dropout:
        y = keras.layers.Dropout(dropout, name=f"{name}_dropout")(y)
    return keras.layers.Concatenate(name=f"{name}_concat")([x, y])
