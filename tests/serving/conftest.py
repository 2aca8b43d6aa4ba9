"""Versions to verify: good ones from Keras, and bad ones made by hand."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import serving
from tf_symconv.serving import _examples


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="session")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(image)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(hidden))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="probabilities")(hidden))


@pytest.fixture(scope="session")
def good_version(model: keras.Model, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.write_version(model, tmp_path_factory.mktemp("good") / "1", images)


@pytest.fixture
def version(good_version: Path, tmp_path: Path) -> Path:
    """A copy of the good version, to be damaged."""
    return Path(shutil.copytree(good_version, tmp_path / "1"))


Make = Callable[..., Path]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Save functions as signatures by hand, with the examples that are given."""

    def save(
        functions: Mapping[str, Callable],
        specs: Mapping[str, list[tf.TensorSpec]],
        examples: Mapping[str, _examples.Examples] | None = None,
    ) -> Path:
        path = tmp_path_factory.mktemp("hand") / "1"
        module = tf.Module()
        module.functions = {
            name: tf.function(function, input_signature=specs[name]) for name, function in functions.items()
        }
        tf.saved_model.save(module, str(path), signatures=module.functions)
        if examples:
            _examples.save(path, examples)
        return path

    return save


@pytest.fixture(scope="session")
def unchecked_version(make: Make) -> Path:
    """A convolution without a check of the input's shape."""
    kernel = np.ones((3, 3, 3, 2), "float32")

    def convolve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.nn.conv2d(image, kernel, 1, "VALID")}

    zeros = np.zeros((1, 8, 8, 3), "float32")
    example = _examples.Examples({"image": zeros}, {"y": np.zeros((1, 6, 6, 2), "float32")})
    spec = tf.TensorSpec([None, 8, 8, 3], name="image")
    return make({"serving_default": convolve}, {"serving_default": [spec]}, {"serving_default": example})
