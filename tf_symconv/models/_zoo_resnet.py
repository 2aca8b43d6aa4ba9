"""Residual networks, equivariant and plain."""

from typing import Any

import keras

from tf_symconv.models._zoo_parts import Parts, check_positive, classify, halve

_STAGES = 3


def resnet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    group: str | None = "d4",
    depth: int = 44,
    width: int = 32,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> keras.Model:
    """Return a residual network for small images whose predictions do not change under the group.

    A 3x3 convolution, then three stages of residual blocks with ``width``, ``2 width`` and ``4 width`` channels, each
    block twice batch normalisation, ReLU and a 3x3 convolution; the second and third stage halve the image. The
    defaults are the p4m-ResNet44 of the paper: 11, 23 and 45 group channels of d4, 2.62 million trainable weights;
    with ``group=None`` its plain twin: 32, 64 and 128 channels, 2.64 million.

    The published network is not exact, in two places. Its strides of 2 step over an even image from one end, so they do
    not meet both ends alike: here a mean of 2x2 cells (3x3 where a size is odd) halves the image before the convolution
    and on the shortcut, at the same cost, and every input size is exact. And it classifies by all elements of the group
    one by one, after averaging over the positions: here the mean over the group comes first, which ties those weights
    and makes the predictions invariant. The plain twin halves in the same way.

    Args:
        input_shape: (height, width, channels); height and width are equal where the group exchanges them.
        classes: The number of classes.
        group: A group of the square, or None for the plain twin.
        depth: The number of layers with weights: 6 n + 2, for n blocks in each stage.
        width: The number of channels of the plain network's first stage; see
            :func:`~tf_symconv.models.equal_parameter_filters` for those of the group network.
        classifier_activation: What makes the scores predictions; None for logits.
        name: That of the model; by default it tells the group and the depth.

    Returns:
        A functional model that is not compiled.

    Raises:
        TypeError: If a number is no integer.
        ValueError: If a number or the group is out of its range, or the image is not square where it must be.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, section 8.2. He,
        Zhang, Ren and Sun, "Identity Mappings in Deep Residual Networks" (ECCV 2016), arXiv:1603.05027.

    Example:
        >>> model = resnet((16, 16, 3), group="c4", depth=8, width=8)
        >>> model.name, model.output_shape
        ('resnet8_c4', (None, 10))
    """
    check_positive(classes=classes, depth=depth, width=width)
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth must be 6 n + 2: 8, 14, 20, ... Received: depth={depth}")
    parts = Parts(group)
    x = inputs = parts.image(input_shape)
    x = parts.conv(x, parts.channels(width), 3, "conv", lift=True, padding="same")
    for stage in range(1, _STAGES + 1):
        channels = parts.channels(width * 2 ** (stage - 1))
        for number in range(1, (depth - 2) // 6 + 1):
            x = _block(parts, x, channels, stage > 1 and number == 1, f"stage{stage}_block{number}")
    x = parts.norm_relu(x, "last")
    outputs = classify(parts.pool_group(x, "mean"), classes, classifier_activation)
    return keras.Model(inputs, outputs, name=name or f"resnet{depth}_{group or 'plain'}")


def _block(parts: Parts, x: Any, channels: int, halves: bool, name: str) -> Any:
    y = parts.norm_relu(x, f"{name}_conv1")
    if halves:
        x = parts.conv(halve(x, f"{name}_shortcut_pool"), channels, 1, f"{name}_shortcut")
        y = halve(y, f"{name}_pool")
    y = parts.conv(y, channels, 3, f"{name}_conv1", padding="same")
    y = parts.conv(parts.norm_relu(y, f"{name}_conv2"), channels, 3, f"{name}_conv2", padding="same")
    return keras.layers.Add(name=f"{name}_add")([x, y])
