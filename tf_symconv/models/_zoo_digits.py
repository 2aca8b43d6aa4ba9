"""The networks for rotated digits."""

from typing import Any

import keras

from tf_symconv.models._zoo_parts import Parts, activate, check_dropout, check_positive

_POOL_AFTER = 2
_CONVOLUTIONS = 6
_TOP = 4


def p4cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    group: str = "c4",
    width: int = 20,
    dropout: float = 0.0,
    classifier_activation: Any = "softmax",
    name: str = "p4cnn",
) -> keras.Model:
    """Return the P4CNN, whose predictions do not change when a digit is turned by 90 degrees.

    Six 3x3 group convolutions without padding, each with batch normalisation and ReLU, a 2x2 maximum pooling after the
    second, then a 4x4 group convolution to the classes, whose maximum over the group and the positions classifies. With
    the defaults, ten group channels and 24,680 trainable weights (25 thousand as published); :func:`z2cnn` is the plain
    twin.

    At 28x28 every size fits, so the published network is exact as it is.

    Args:
        input_shape: (height, width, channels). Height and width are even and at least 28, as the pooling needs; equal
            where the group exchanges them.
        classes: The number of classes.
        group: ``"c4"``, or another group of the square.
        width: The number of channels of the plain twin; see :func:`~tf_symconv.models.equal_parameter_filters`.
        dropout: The share of activations that training drops after each of the six convolutions but the second. The
            published network has none.
        classifier_activation: What makes the scores predictions; None for logits.
        name: That of the model.

    Returns:
        A functional model that is not compiled.

    Raises:
        TypeError: If a number is no integer.
        ValueError: If a number or the group is out of its range, or the image does not fit.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, section 8.1; sizes
        as in their code.

    Example:
        >>> model = p4cnn()
        >>> sum(int(w.numpy().size) for w in model.trainable_weights)
        24680
    """
    return _network(Parts(group), input_shape, classes, width, dropout, classifier_activation, name)


def p4mcnn(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    group: str = "d4",
    width: int = 20,
    dropout: float = 0.0,
    classifier_activation: Any = "softmax",
    name: str = "p4mcnn",
) -> keras.Model:
    """Return the P4MCNN: the :func:`p4cnn` for rotations and reflections.

    With the defaults, seven group channels and 26,799 trainable weights: the last layer has as many group channels as
    there are classes, whatever the group, so it weighs more than that of the P4CNN. ``z2cnn(width=22)`` has 3 % fewer.

    Args:
        input_shape: As for :func:`p4cnn`.
        classes: The number of classes.
        group: ``"d4"``, or another group of the square.
        width: The number of channels of the plain twin.
        dropout: As for :func:`p4cnn`.
        classifier_activation: What makes the scores predictions; None for logits.
        name: That of the model.

    Returns:
        A functional model that is not compiled.

    Raises:
        TypeError: If a number is no integer.
        ValueError: If a number or the group is out of its range, or the image does not fit.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, section 8.

    Example:
        >>> p4mcnn().output_shape
        (None, 10)
    """
    return _network(Parts(group), input_shape, classes, width, dropout, classifier_activation, name)


def z2cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    width: int = 20,
    dropout: float = 0.3,
    classifier_activation: Any = "softmax",
    name: str = "z2cnn",
) -> keras.Model:
    """Return the Z2CNN, the plain twin of :func:`p4cnn`.

    With the defaults, 20 channels in each layer and 21,750 trainable weights, as published. The last layer has as many
    channels as there are classes; at ``width=21`` the network has 23,782, and at ``width=22`` 25,904: the nearest to
    the 24,680 of the P4CNN and to the 26,799 of the P4MCNN.

    Args:
        input_shape: As for :func:`p4cnn`; height and width may differ.
        classes: The number of classes.
        width: The number of channels.
        dropout: The share of activations that training drops after each of the six convolutions but the second.
        classifier_activation: What makes the scores predictions; None for logits.
        name: That of the model.

    Returns:
        A functional model that is not compiled.

    Raises:
        TypeError: If a number is no integer.
        ValueError: If a number is out of its range, or the image does not fit.

    Reference:
        Cohen and Welling, "Group Equivariant Convolutional Networks" (ICML 2016), arXiv:1602.07576, section 8.1.

    Example:
        >>> z2cnn().output_shape
        (None, 10)
    """
    return _network(Parts(None), input_shape, classes, width, dropout, classifier_activation, name)


def _network(
    parts: Parts, input_shape: Any, classes: int, width: int, dropout: float, activation: Any, name: str
) -> keras.Model:
    check_positive(classes=classes, width=width)
    check_dropout(dropout)
    x = inputs = parts.image(input_shape)
    if any(size % 2 or size < 28 for size in x.shape[1:3]):
        raise ValueError(
            "Height and width must be even and at least 28, so that the pooling meets both ends of the image alike. "
            f"Received: input_shape={input_shape}"
        )
    channels = parts.channels(width)
    for number in range(1, _CONVOLUTIONS + 1):
        x = parts.conv(x, channels, 3, f"conv{number}", lift=number == 1)
        x = parts.norm_relu(x, f"conv{number}")
        if number == _POOL_AFTER:
            x = keras.layers.MaxPooling2D(2, data_format="channels_last", name="pool")(x)
        elif dropout:
            x = keras.layers.Dropout(dropout, name=f"conv{number}_dropout")(x)
    x = parts.conv(x, classes, _TOP, "top")
    x = parts.pool_group(x, "max")
    x = keras.layers.GlobalMaxPooling2D(data_format="channels_last", name="logits")(x)
    return keras.Model(inputs, activate(x, activation), name=name)
