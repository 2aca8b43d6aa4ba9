"""Batching: 2,000 requests at the same time, each with an answer of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.serving import served_models
from tests.serving.server.model_server import ModelServer, assert_close
from tf_symconv import serving

COUNT = 2000


def test_two_thousand_concurrent_requests(tmp_path: Path) -> None:
    model = served_models.make_model()
    images = served_models.images(COUNT)
    want = model.predict(images, verbose=0)
    serving.export(model, tmp_path / "model", examples=images[:2])
    text = serving.batching_config(
        64, batch_timeout_micros=2000, max_enqueued_batches=10 * COUNT, allowed_batch_sizes=[1, 8, 64]
    )
    config = serving.write_config(tmp_path / "batching.config", text)
    flags = {
        "model_name": "model",
        "model_base_path": tmp_path / "model",
        "enable_batching": "true",
        "batching_parameters_file": config,
        "grpc_max_threads": COUNT + 100,
    }
    start = threading.Barrier(COUNT)
    with ModelServer("model", **flags) as server, server.client("grpc", timeout=300, retries=1000) as client:
        client.metadata()

        def ask(index: int) -> np.ndarray:
            start.wait()
            return client.predict(images[index : index + 1])["probabilities"][0]

        with ThreadPoolExecutor(COUNT) as pool:
            answers = list(pool.map(ask, range(COUNT)))
        assert server.alive
        with server.client("rest", timeout=300, retries=1000) as rest, ThreadPoolExecutor(64) as pool:
            some = list(pool.map(lambda index: rest.predict(images[index : index + 1])["probabilities"][0], range(200)))
    assert_close(np.array(answers), want)
    assert_close(np.array(some), want[:200])
