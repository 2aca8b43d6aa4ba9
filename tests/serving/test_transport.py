"""Where a client is told to go."""

from typing import Any

import pytest

from tf_symconv import serving
from tf_symconv.serving._transport import ModelSpec, parse_target


@pytest.mark.parametrize(
    ("target", "want"),
    [
        ("localhost:8500", (False, "localhost:8500", False, True, None)),
        ("grpc://host", (False, "host:8500", False, False, None)),
        ("grpcs://host:1/", (False, "host:1", True, False, None)),
        ("[::1]:9", (False, "[::1]:9", False, True, None)),
        ("http://127.0.0.1:8501", (True, "http://127.0.0.1:8501", False, True, None)),
        ("HTTPS://host/a/b/", (True, "https://host/a/b", True, False, None)),
        ("http://h:1/v1/models/m%20n", (True, "http://h:1", False, False, ModelSpec("m n"))),
        ("http://h/p/v1/models/m/versions/3", (True, "http://h/p", False, False, ModelSpec("m", 3))),
    ],
)
def test_targets(target: str, want: tuple[Any, ...]) -> None:
    found = parse_target(target)
    assert (found.rest, found.address, found.secure, found.loopback, found.spec) == want


@pytest.mark.parametrize(
    "target", ["", "host", "http://", "ftp://host:1", "host:port", "grpc://h:1/path", "http://h?q", "host:1:2"]
)
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(ValueError, match="a target must be"):
        serving.Client(target)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": 1, "label": "a"}, "a version or a label"),
        ({"version": 0}, "version must be 1 or more"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"retries": -1}, "retries must be 0 or more"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        serving.Client("http://localhost:1", **arguments)
