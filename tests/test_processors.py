"""The processors that plans are made for."""

from typing import Any

import numpy as np
import pytest

from tf_symconv import kernels, ops, processors
from tf_symconv.processors import PROCESSORS, VARIABLE, Op


def plan(channels: tuple[int, int] = (64, 64), kernel: int = 5) -> ops.Plan:
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "device": "CPU"}
    return ops.plan_convolution((16, 32, 32, channels[0]), kernels.Mirror("v"), (kernel, kernel, *channels), **options)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that takes what NumPy is to say of this machine, and forgets what it said before."""
    monkeypatch.delenv(VARIABLE, raising=False)
    processors._of_environment.cache_clear()

    def says(**extensions: list[str]) -> None:
        monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": extensions} if extensions else {})

    yield says
    processors._of_environment.cache_clear()


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_op_has_a_rate(name: str) -> None:
    assert set(PROCESSORS[name].rates) == set(Op)
    assert PROCESSORS[name].rates[Op.CONVOLUTION].multiplication == 1  # the unit


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({"baseline": ["SSE", "SSE2"], "found": ["AVX2", "AVX512F", "AVX512_SKX"]}, "avx512"),  # NumPy 1.26 to 2.3
        ({"baseline": ["X86_V2"], "found": ["X86_V3", "X86_V4"]}, "avx512"),  # from 2.4 on
        ({"baseline": ["X86_V2"], "found": ["X86_V3"], "not found": ["X86_V4"]}, "avx2"),
        ({"baseline": ["NEON"], "found": ["ASIMDHP"]}, "avx2"),
        ({}, "avx2"),
    ],
)
def test_the_machine_is_told_by_its_vectors(here: Any, extensions: dict[str, list[str]], expected: str) -> None:
    here(**extensions)
    assert processors.current().name == expected


def test_the_environment_comes_before_the_machine(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here(baseline=["X86_V2"], found=["X86_V3"])
    monkeypatch.setenv(VARIABLE, "avx512")
    assert processors.current().name == "avx512"
    with processors.planned_for("avx2"):
        assert processors.current().name == "avx2"
    assert processors.current().name == "avx512"


def test_plans_differ_and_say_for_which_processor_they_are() -> None:
    with processors.planned_for("avx512"):
        wide = plan()
    with processors.planned_for("avx2"):
        narrow = plan()
    assert (wide.forward, narrow.forward) == ("winograd F(4, 5)", "summed axis 0")
    assert wide.reason.endswith("on a processor with AVX-512")
    assert narrow.reason.endswith("on a processor with AVX2")


def test_unknown_processors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    match = r"name must be one of avx512, avx2\. Received: name='sse'"
    with pytest.raises(ValueError, match=match), processors.planned_for("sse"):
        pass
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(ValueError, match=r"SYMCONV_PROCESSOR must be one of avx512, avx2\. Received: .*'fast'"):
        plan()
