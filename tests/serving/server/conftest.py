"""The suite that runs against TensorFlow Serving itself, where TENSORFLOW_MODEL_SERVER names its binary (any 2.x).

    TENSORFLOW_MODEL_SERVER=/usr/bin/tensorflow_model_server pytest -n 0 tests/serving/server

It takes some minutes, most of them to export every layer.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving.server.model_server import VARIABLE

HERE = Path(__file__).parent
REASON = f"{VARIABLE} names no binary of TensorFlow Serving"


def _binary() -> str | None:
    return shutil.which(os.environ.get(VARIABLE, ""))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _binary() is None:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=REASON))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell which server it was: a stand-in is none."""
    binary = _binary()
    if binary is not None:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=300)
        terminalreporter.write_line(f"server suite: {' '.join((told.stdout or told.stderr).split())}")
