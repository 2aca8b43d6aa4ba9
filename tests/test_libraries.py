"""The libraries that plans are made for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tf_symconv import kernels, libraries, ops
from tf_symconv.libraries import LIBRARIES, VARIABLE, Op


def plan(device: str = "CPU") -> ops.Plan:
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "device": device}
    return ops.plan_convolution((16, 32, 32, 64), kernels.Mirror("v"), (5, 5, 64, 64), **options)


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_op_has_a_rate(name: str) -> None:
    assert set(LIBRARIES[name].rates) == set(Op)
    assert LIBRARIES[name].rates[Op.CONVOLUTION].multiplication == 1  # the unit


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_forward_pass_costs_the_same_whatever_its_gradients(name: str) -> None:
    rates = LIBRARIES[name].rates
    for what in ("number", "multiplication", "start", "weight"):
        assert getattr(rates[Op.CONVOLVED], what) == getattr(rates[Op.CONVOLUTION], what)


@pytest.mark.parametrize(("switch", "expected"), [("1", "onednn"), ("0", "eigen")])
def test_it_is_known_by_which_library_tensorflow_convolves(switch: str, expected: str) -> None:
    """The script compares the answer with the kernel that ran; x86 alone has both."""
    script = Path(__file__).with_name("library_in_use.py")
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment["TF_ENABLE_ONEDNN_OPTS"] = switch
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [expected, expected]


def test_where_tensorflow_does_not_tell_it_is_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    libraries._of_this_process.cache_clear()
    monkeypatch.setattr("importlib.import_module", lambda name: object())
    assert libraries.current().name == "onednn"
    libraries._of_this_process.cache_clear()


def test_the_environment_comes_before_the_process_and_a_block_before_both(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIBRARIES:
        monkeypatch.setenv(VARIABLE, name)
        assert libraries.current().name == name
    with libraries.planned_for("onednn"):
        assert libraries.current().name == "onednn"
    assert libraries.current().name == "eigen"


def test_plans_differ_and_say_for_which_library_they_are() -> None:
    plans = {}
    for name in LIBRARIES:
        with libraries.planned_for(name):
            plans[name] = plan()
    assert plans["onednn"].forward == "winograd F(6, 5)"
    assert plans["eigen"].forward == "winograd F(4, 5), point by point"
    assert [one.reason for one in plans.values()] == [f"the least predicted cost with {n}" for n in ("oneDNN", "Eigen")]


def test_xla_which_convolves_by_itself_has_one_plan() -> None:
    plans = []
    for name in LIBRARIES:
        with libraries.planned_for(name):
            plans.append(plan(device="XLA"))
    assert plans[0] == plans[1]
    assert plans[0].reason == "the least predicted cost with XLA"


def test_volumes_are_not_stepped_over_where_gradients_of_that_are_slow() -> None:
    options: dict[str, Any] = {"strides": (1,) * 3, "dilations": (1,) * 3, "padding": "same", "device": "CPU"}
    with libraries.planned_for("eigen"):
        found = ops.plan_convolution((8, 16, 16, 16, 64), kernels.Mirror("hvz"), (3, 3, 3, 64, 64), **options)
    assert (found.inputs_gradient, found.kernel_gradient) == ("dense", "dense")


def test_unknown_libraries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    match = r"name must be one of onednn, eigen\. Received: name='cudnn'"
    with pytest.raises(ValueError, match=match), libraries.planned_for("cudnn"):
        pass
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(ValueError, match=r"SYMCONV_LIBRARY must be one of onednn, eigen\. Received: .*'fast'"):
        plan()
