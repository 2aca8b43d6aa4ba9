"""Silence for libraries that write to the standard error before they can be told not to."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what this process writes to file descriptor 2. Exceptions pass, with their messages.

    TensorFlow's C++ parts log while they are loaded, whatever the log level says.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    try:
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
