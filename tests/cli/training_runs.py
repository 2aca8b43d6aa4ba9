"""Running ``symconv train`` as a user does, in a process that may open no network connection."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

_OFFLINE = """
import os, socket, sys
def refuse(*args, **_):
    os.write(2, b"a network connection was attempted: %r\\n" % (args,))
    os._exit(99)
socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
from tf_symconv.cli import main
sys.exit(main(["symconv", "train", *sys.argv[1:]]))
"""


def start(*arguments: str) -> "subprocess.Popen[str]":
    """Start ``symconv train`` with ``arguments``; without any file descriptors or terminal of the tests."""
    return subprocess.Popen(
        [sys.executable, "-c", _OFFLINE, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
    )


def train(*arguments: str) -> tuple[str, str]:
    """Run ``symconv train`` to a good end and return what it wrote to the standard output and error."""
    process = start(*arguments)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out, err


def state(directory: Path, role: str) -> dict[str, np.ndarray]:
    """Read all that training has left of a model: weights, optimizer, the state of its random seeds."""
    reader = tf.train.load_checkpoint(str(directory / "checkpoints" / role))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("variables/")]
    values = {name: reader.get_tensor(name) for name in names}
    model = keras.models.load_model(directory / f"{role}.keras")
    return values | {f"weights/{number}": value for number, value in enumerate(model.get_weights())}
