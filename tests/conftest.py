"""Settings that every test process needs before TensorFlow starts."""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# One library of convolutions on every x86 machine: stock layers in channels_first need it, and tests know some plans.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
os.environ["SYMCONV_LIBRARY"] = "onednn"
# A shell starts background jobs with SIGINT ignored, and children inherit that: a command under test would not stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
import tensorflow as tf

# Two virtual devices, so that distribution strategies have replicas on any machine.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def pytest_terminal_summary(terminalreporter):
    """Tell how much of the conformance table ran."""
    cells = {
        outcome: [r.nodeid for r in terminalreporter.stats.get(outcome, ()) if "/test_conformance.py::" in r.nodeid]
        for outcome in ("passed", "failed", "skipped")
    }
    checks = {node.split("::")[1].split("[")[0] for nodes in cells.values() for node in nodes}
    if checks:
        counts = ", ".join(f"{len(nodes)} cells {outcome}" for outcome, nodes in cells.items())
        terminalreporter.write_line(f"conformance table: {len(checks)} checks, {counts}")


@pytest.fixture(autouse=True)
def _seeded():
    import keras

    keras.utils.set_random_seed(7)
    yield
    keras.mixed_precision.set_global_policy("float32")
