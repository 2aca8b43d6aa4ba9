"""Every public layer, exported and served, answers as Keras does; so do grouped and depthwise convolutions."""

import re
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.layers.cases import CASES
from tests.serving.server.model_server import ModelServer, assert_close
from tf_symconv import layers, serving

STOCK = {
    "conv2d-groups": lambda: keras.layers.Conv2D(6, 3, groups=2),
    "conv2d-groups-strides": lambda: keras.layers.Conv2D(8, 3, groups=4, strides=2, padding="same"),
    "depthwise": lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
    "separable": lambda: keras.layers.SeparableConv2D(6, 3),
    "conv2d-dilated": lambda: keras.layers.Conv2D(6, 3, dilation_rate=2),
}


ROWS = {f"{number}-{re.sub('[^A-Za-z0-9]+', '-', case.id)}": case for number, case in enumerate(CASES)}
NAMES = [*ROWS, *STOCK]


def _make(name: str) -> tuple[keras.Model, np.ndarray]:
    keras.utils.set_random_seed(NAMES.index(name))
    if name in ROWS:
        return ROWS[name].make_model(), ROWS[name].inputs(3)
    model = keras.Sequential([keras.Input((9, 8, 4), name="image"), STOCK[name]()])
    return model, np.random.default_rng(0).normal(size=(3, 9, 8, 4)).astype("float32")


Models = dict[str, tuple[keras.Model, np.ndarray]]


@pytest.fixture(scope="module")
def models() -> Models:
    return {name: _make(name) for name in NAMES}


@pytest.fixture(scope="module")
def server(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    base = tmp_path_factory.mktemp("layers")
    served = []
    for name, (model, inputs) in models.items():
        serving.export(model, base / name, examples=inputs)
        served.append(serving.ServedModel(base / name, name))
    config = serving.write_config(base / "models.config", serving.model_config(*served))
    with ModelServer(*NAMES, model_config_file=config) as server:
        yield server


@pytest.mark.parametrize("way", ["rest", "grpc"])
@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_keras(server: ModelServer, models: Models, name: str, way: str) -> None:
    model, inputs = models[name]
    with server.client(way, model=name) as client:
        for batch in (inputs, inputs[:1]):
            [answer] = client.predict(batch).values()
            assert_close(answer, model.predict(batch, verbose=0))
    assert server.alive


def test_every_public_layer_is_there() -> None:
    assert {case.layer.__name__ for case in CASES} >= set(layers.__all__)


def test_modules_are_served(tmp_path: Path) -> None:
    from tf_symconv import modules

    module = modules.SymmetricConv2D(6, 3, symmetry="d4")
    inputs = np.random.default_rng(0).normal(size=(2, 9, 9, 4)).astype("float32")
    want = np.asarray(module(inputs))
    serving.export(module, tmp_path / "model", examples=inputs)
    with ModelServer("model", model_name="model", model_base_path=tmp_path / "model") as server:
        for way in ("rest", "grpc"):
            with server.client(way) as client:
                [answer] = client.predict(inputs).values()
                assert_close(answer, want)
