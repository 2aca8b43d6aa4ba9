"""A small training that processes and tests share."""

import json
import os

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import distributed, modules

_RNG = np.random.default_rng(5)
IMAGES = _RNG.normal(size=(24, 6, 6, 1)).astype("float32")
LABELS = _RNG.integers(0, 3, 24)


class Network(tf.Module):
    """Two structured convolutions."""

    def __init__(self):
        super().__init__()
        self.first = modules.SymmetricConv2D(4, 3, symmetry="d4", activation="relu")
        self.last = modules.SymmetricConv2D(3, 4, symmetry="hv")

    def __call__(self, image):
        return tf.nn.softmax(tf.reshape(self.last(self.first(image)), (-1, 3)))


def index():
    """Return the place of this process among the workers."""
    return json.loads(os.environ["TF_CONFIG"])["task"]["index"]


def batches(epoch):
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).shuffle(24, seed=epoch).batch(8)


def trainer(strategy, directory=None):
    keras.utils.set_random_seed(3)
    return distributed.Trainer(
        Network,
        keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5),
        metrics={"accuracy": keras.metrics.sparse_categorical_accuracy},
        directory=directory,
        strategy=strategy,
    )
