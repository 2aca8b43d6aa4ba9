"""Two processes on loopback train as one does; when one is killed, both start again and end the same."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import networks
from tests.distributed.worker import PORT_TAKEN, WORKER_LOST

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/distributed.md"
LIMIT = 240.0  # seconds for a launch: processes may get little of the machine


def free_ports():
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def launch(directory, *arguments):
    """Run two workers to the end and return their statuses and outputs; elsewhere if somebody takes a port."""
    for _ in range(4):
        statuses, outputs = launch_once(directory, *arguments)
        if PORT_TAKEN not in statuses:
            return statuses, outputs
    raise AssertionError("no free ports")


def launch_once(directory, *arguments):
    addresses = [f"127.0.0.1:{port}" for port in free_ports()]
    processes = []
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context((directory / f"log{i}.txt").open("w+")) for i in range(2)]
        try:
            for i, log in enumerate(logs):
                config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
                environ = {**os.environ, "TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": ""}
                script = [sys.executable, "-m", "tests.distributed.worker", str(PAGE), str(directory)]
                command = [*script, *map(str, arguments)]
                processes.append(subprocess.Popen(command, env=environ, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT))
            end = time.monotonic() + LIMIT
            while any(process.poll() is None for process in processes):
                if PORT_TAKEN in [process.poll() for process in processes]:
                    break
                if time.monotonic() > end:
                    for log in logs:
                        log.seek(0)
                    raise AssertionError("\n".join(["the workers take too long", *(log.read() for log in logs)]))
                time.sleep(0.1)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        for log in logs:
            log.seek(0)
        return [process.returncode for process in processes], [log.read() for log in logs]


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """The directory and outputs of two workers, of which the second was killed once."""
    directory = tmp_path_factory.mktemp("workers")
    killed, [chief, _] = launch(directory, 1)
    assert killed[1] == -9
    assert killed[0] == WORKER_LOST, chief
    assert "another worker has gone; start all workers again" in chief
    assert [path.name for path in (directory / "checkpoints0").iterdir()] == ["checkpoint.npz"]
    statuses, outputs = launch(directory)
    assert statuses == [0, 0], outputs
    return directory, outputs


@pytest.fixture(scope="module")
def alone():
    trainer = networks.trainer(tf.distribute.MirroredStrategy(["CPU:0"]))
    history = trainer.fit(networks.batches, 3)
    return trainer.trained_model(), history


def test_they_end_with_equal_weights_which_are_those_of_one_worker(workers, alone):
    with np.load(workers[0] / "worker0.npz") as first, np.load(workers[0] / "worker1.npz") as second:
        assert first.files == second.files
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        model, history = alone
        for i, variable in enumerate(model.variables):
            np.testing.assert_allclose(first[f"weight_{i}"], variable, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(first["losses"], [figures["loss"] for figures in history], rtol=1e-5)
        assert first["losses"][-1] < first["losses"][0]


def test_the_kernels_are_still_structured(workers):
    with np.load(workers[0] / "worker1.npz") as stored:
        kernel = stored["kernel"]
    assert np.ptp(kernel) > 0.1
    for turned in (np.rot90(kernel), kernel[::-1], kernel[:, ::-1], kernel.transpose(1, 0, 2, 3)):
        np.testing.assert_array_equal(turned, kernel)


def test_only_the_chief_tells_progress_and_writes(workers):
    directory, outputs = workers
    told = [[float(done) for done in re.findall("^epochs done: (.*)$", text, re.M)] for text in outputs]
    assert told[0] == [1.0, 1.33, 1.67, 2.0, 2.0, 2.33, 2.67, 3.0, 3.0]  # from the checkpoint after the first epoch
    assert told[1] == []
    assert not (directory / "checkpoints1").exists()


def test_the_example_of_the_page_exports_on_the_chief(workers):
    directory, _ = workers
    assert (directory / "page0/models/spread/1/saved_model.pb").exists()
    assert (directory / "page0/training/checkpoint.npz").exists()
    assert list((directory / "page1").iterdir()) == []
