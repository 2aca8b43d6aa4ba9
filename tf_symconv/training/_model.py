"""The two networks that a run compares, and how many weights they have."""

import math
from typing import Any

import keras
import tensorflow as tf

from tf_symconv.layers import SymmetricConv2D
from tf_symconv.training._settings import SYMMETRIC, Settings, parse_kernel_size, parse_parity, parse_symmetry

_MAX_BLOCKS = 4
_CONVOLUTIONS_PER_BLOCK = 2
_DROPOUT = 0.3


def build(settings: Settings, role: str, image_shape: tuple[int, int, int], classes: int, steps: int) -> keras.Model:
    """Build and compile one of the two networks, with first weights that depend on the seed only.

    Blocks of two convolutions, each with batch normalisation and ReLU, end in a pooling that halves the image; a
    dense layer reads what is left with its position. The two networks differ in the convolution layer only. The global
    random seeds are set.

    Args:
        settings: those of the run.
        role: "symmetric" or "plain".
        image_shape: (height, width, channels).
        classes: number of classes.
        steps: training steps in all, over which the learning rate falls to zero.

    Raises:
        ValueError: if the settings do not fit together: an unknown symmetry, a kernel that cannot have it, a mix of
            more filters than there are.
    """
    keras.utils.set_random_seed(settings.seed)
    size = parse_kernel_size(settings.kernel_size)
    policy = _policy(settings)
    own: dict[str, Any] = {}
    layer_class = keras.layers.Conv2D
    if role == SYMMETRIC:
        layer_class = SymmetricConv2D
        own = {"symmetry": parse_symmetry(settings.symmetry), "parity": parse_parity(settings.parity)}
    x = inputs = keras.Input(image_shape, name="image")
    for block in range(blocks(image_shape)):
        for number in range(_CONVOLUTIONS_PER_BLOCK):
            name = f"block{block + 1}_conv{number + 1}"
            filters = settings.filters * 2**block
            x = layer_class(filters, size, padding="same", use_bias=False, dtype=policy, name=name, **own)(x)
            x = keras.layers.BatchNormalization(momentum=0.9, dtype=policy, name=f"{name}_norm")(x)
            x = keras.layers.ReLU(dtype=policy, name=f"{name}_relu")(x)
        x = keras.layers.MaxPooling2D(padding="same", dtype=policy, name=f"block{block + 1}_pool")(x)
    x = keras.layers.Flatten(dtype=policy, name="flatten")(x)
    x = keras.layers.Dropout(_DROPOUT, dtype=policy, name="dropout")(x)
    outputs = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model(inputs, outputs, name=role)
    schedule: Any = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    optimizer = keras.optimizers.Adam(schedule)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    jit: Any = settings.jit_compile
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit, auto_scale_loss=False
    )
    return model


def blocks(image_shape: tuple[int, int, int]) -> int:
    """Return how many blocks images of this shape pass: they end about 2 to 3 pixels wide, or after four blocks."""
    return max(1, min(_MAX_BLOCKS, int(math.log2(min(image_shape[:2]))) - 1))


def convolutions(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the convolution layers of a network, from the first."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def weights(model: keras.Model) -> dict[str, Any]:
    """Count the weights of a network.

    Returns:
        "free": trainable numbers that are stored; "effective": as many as there would be if every kernel were stored
        in full; "layers": the same for each convolution, with its name and the shape of its kernel.
    """
    free = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    rows = []
    for layer in convolutions(model):
        stored = layer.trainable_variables[0]
        shape = [int(size) for size in layer.kernel.shape]
        rows.append(
            {"name": layer.name, "kernel": shape, "free": math.prod(stored.shape), "effective": math.prod(shape)}
        )
    saved = sum(row["effective"] - row["free"] for row in rows)
    return {"free": free, "effective": free + saved, "layers": rows}


def _policy(settings: Settings) -> str:
    if not settings.mixed_precision:
        return "float32"
    return "mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"
