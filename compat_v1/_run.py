"""Run scripts of the TF1 era in a process of their own."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["run"]

_CHILD = Path(__file__).with_name("_child.py")


def run(script: str | os.PathLike[str], args: Sequence[str] = (), *, keep: Sequence[str] = ()) -> int:
    """Run an unmodified TF1 script on today's TensorFlow and return its exit status.

    In the script, ``import tensorflow as tf`` gives TensorFlow 1: graph mode, ``tf.Session``, ``tf.placeholder``,
    ``tf.flags``, ``tf.app.run`` and the rest of ``tf.compat.v1`` at the top. The module paths of GrouPy
    (``groupy.gconv...``) are those of this package, ``tf.contrib.layers``, ``.framework`` and ``.slim`` have their
    common layers, and ``tf.layers``, ``tf.keras``, ``tf.nn.rnn_cell``, ``import keras`` and the layers of keras_gcnn
    and CNN-Symmetry (``custom_layers``, ``symmetric_layers_tf1``) are for Keras 2 if the package tf-keras is installed
    (``pip install 'tf_symconv[tf1]'``). What is gone fails with a message that names it and its successor.
    ``tf.__version__`` is ``"1.15.5"``, the interface that the script sees; ``tf.version.VERSION`` is the
    version that runs.

    The script has a process of its own, so nothing of this reaches the caller. It gets the standard streams, the
    working directory and the environment of the caller, its own directory first in ``sys.path``, and signals that end
    the caller. An uncaught exception prints the traceback of the script's own frames.

    Args:
        script: Path of the script.
        args: Its arguments, ``sys.argv[1:]``.
        keep: Names of modules to import as they are, not from this package, such as ``"groupy"``.

    Returns:
        The exit status; 128 plus the number of the signal if a signal ended the script.

    Raises:
        ValueError: If there is no such script.
    """
    path = os.fspath(script)
    if not Path(path).is_file():
        raise ValueError(f"The script must be a file. Received: script={path!r}")
    environment = dict(os.environ)
    if importlib.util.find_spec("tf_keras") is not None:
        environment.setdefault("TF_USE_LEGACY_KERAS", "1")
    command = [sys.executable, str(_CHILD), *(f"--keep={name}" for name in keep), "--", path, *args]
    with subprocess.Popen(command, env=environment) as process, _passing_on_signals(process):
        status = process.wait()
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _passing_on_signals(process: subprocess.Popen) -> Iterator[None]:
    """Send what would end this process to the script, whose status then ends both."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A terminal sends its interrupt to both processes by itself.
    handlers: dict[int, Any] = {signal.SIGINT: signal.SIG_IGN}
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            handlers[getattr(signal, name)] = lambda number, _: process.send_signal(number)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
