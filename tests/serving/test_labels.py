"""promote and rollback: in the file, and in a stand-in that refuses labels as the server does."""

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import served_models
from tests.serving.stand_in import StandIn
from tf_symconv import serving


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("digits")
    for version in (1, 2, 3):
        served_models.save(served_models.make_model(version), base / str(version))
    return base


def _write(path: Path, base: Path, **arguments: Any) -> Path:
    return serving.write_config(path / "models.config", serving.model_config(serving.ServedModel(base, **arguments)))


def _read(file: Path) -> Any:
    return text_format.Parse(file.read_text(), model_server_config_pb2.ModelServerConfig())


def _state(file: Path) -> tuple[dict[str, int], list[int] | str | None]:
    [entry] = _read(file).model_config_list.config
    kind = entry.model_version_policy.WhichOneof("policy_choice")
    versions = list(entry.model_version_policy.specific.versions) if kind == "specific" else kind
    return dict(entry.version_labels), versions


@pytest.fixture
def config(tmp_path: Path, base: Path) -> Path:
    return _write(tmp_path, base, labels={"stable": 1, "canary": 2})


@pytest.fixture
def server(config: Path) -> Iterator[StandIn]:
    with StandIn(_read(config)) as server:
        yield server


def _answer(server: StandIn, label: str) -> tuple[int, np.ndarray]:
    with serving.Client(server.targets["grpc"], label=label) as client:
        return client.metadata().version, client.predict(served_models.images(1))["probabilities"]


def test_promotion_and_rollback_in_the_file(config: Path) -> None:
    move = serving.promote(config)
    assert (move.model, move.label, move.before, move.after, move.reloaded) == ("model", "stable", 1, 2, False)
    assert move.labels == {"canary": 2, "previous-stable": 1, "stable": 2}
    assert _state(config) == (move.labels, [1, 2])
    move = serving.rollback(config)
    assert (move.before, move.after) == (2, 1)
    assert _state(config) == ({"stable": 1, "canary": 2}, [1, 2])
    with pytest.raises(serving.LabelError, match="no earlier version to go back to"):
        serving.rollback(config)


def test_the_list_of_versions_follows_the_labels(tmp_path: Path, base: Path) -> None:
    config = _write(tmp_path, base, labels={"stable": 2, "canary": 3, "previous-stable": 1}, versions=[1, 2, 3, 9])
    assert serving.promote(config).labels == {"canary": 3, "previous-stable": 2, "stable": 3}
    assert _state(config)[1] == [2, 3, 9]  # 1 had a label and has none; 9 never had one.
    assert serving.rollback(config, version=9).labels == {"canary": 3, "stable": 9}
    assert _state(config)[1] == [3, 9]


def test_what_loads_all_versions_stays_so(tmp_path: Path, base: Path) -> None:
    config = _write(tmp_path, base, versions="all")
    assert serving.promote(config, version=3).labels == {"stable": 3}
    assert serving.promote(config, version=2, label="canary").labels == {"canary": 2, "stable": 3}
    assert _state(config) == ({"canary": 2, "stable": 3}, "all")


def test_other_models_and_the_first_comments_stay(tmp_path: Path) -> None:
    models = [serving.ServedModel(f"/{name}", name, {"stable": 1, "canary": 2}) for name in ("a", "b")]
    config = tmp_path / "models.config"
    config.write_text("# Ours.\n# Keep.\n" + serving.model_config(*models))
    with pytest.raises(serving.LabelError, match=r"the models \['a', 'b'\]; give one of them. Received: model=None"):
        serving.promote(config)
    serving.promote(config, model="b")
    assert config.read_text().startswith("# Ours.\n# Keep.\nmodel_config_list")
    first, second = _read(config).model_config_list.config
    assert dict(first.version_labels) == {"stable": 1, "canary": 2}
    assert dict(second.version_labels) == {"stable": 2, "canary": 2, "previous-stable": 1}


def test_mistakes_leave_the_file_as_it_is(config: Path, tmp_path: Path) -> None:
    before = config.read_bytes()
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"version": 1}, serving.LabelError, "version 1 of model 'model' has the label 'stable' already"),
        ({"source": "beta"}, serving.LabelError, "no version with the label 'beta'"),
        ({"version": 3}, serving.LabelError, "does not load version 3; give the server's target"),
        ({"model": "other"}, serving.LabelError, r"the models \['model'\]"),
        ({"version": 0}, ValueError, "version must be 1 or more"),
        ({"timeout": 0}, ValueError, "timeout must be above 0"),
        ({"target": "http://localhost:1"}, ValueError, "by gRPC only"),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            serving.promote(config, **arguments)
    with pytest.raises(serving.LabelError, match="no model config in"):
        serving.promote(tmp_path / "none")
    with pytest.raises(serving.LabelError, match="no directory"):
        serving.promote(tmp_path / "none" / "models.config")
    (tmp_path / "bad").write_text("model_config_list { confg {} }")
    with pytest.raises(serving.LabelError, match=r"is no model config: .*confg"):
        serving.promote(tmp_path / "bad")
    assert config.read_bytes() == before


def test_two_at_once_do_not_mix(config: Path) -> None:
    descriptor = os.open(config.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(serving.LabelError, match="another promotion or rollback is at work"):
            serving.promote(config)
    finally:
        os.close(descriptor)
    serving.promote(config)


def test_the_server_takes_over_the_labels(config: Path, server: StandIn) -> None:
    old, new = (served_models.make_model(version).predict(served_models.images(1), verbose=0) for version in (1, 2))
    version, answer = _answer(server, "stable")
    assert version == 1
    np.testing.assert_allclose(answer, old, rtol=1e-5)
    assert serving.promote(config, target=server.targets["grpc"]).reloaded
    version, answer = _answer(server, "stable")
    assert version == 2
    np.testing.assert_allclose(answer, new, rtol=1e-5)
    assert _answer(server, "previous-stable")[0] == 1
    serving.rollback(config, target=server.targets["grpc"])
    assert _answer(server, "stable")[0] == 1
    assert _state(config) == ({"stable": 1, "canary": 2}, [1, 2])


def test_a_version_is_loaded_before_it_gets_a_label_in_use(config: Path, server: StandIn) -> None:
    assert _state(config)[1] == [1, 2]
    failures: list[Exception] = []
    done = threading.Event()

    def ask() -> None:
        with serving.Client(server.targets["rest"], label="stable", retries=0) as client:
            while not done.is_set():
                try:
                    client.predict(served_models.images(1))
                except Exception as error:
                    failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    move = serving.promote(config, version=3, target=f"grpc://{server.targets['grpc']}")
    assert move.labels == {"canary": 2, "previous-stable": 1, "stable": 3}
    assert _answer(server, "stable")[0] == 3
    serving.rollback(config, target=server.targets["grpc"])
    assert _answer(server, "stable")[0] == 1
    done.set()
    thread.join()
    assert failures == []
    assert _state(config) == ({"stable": 1, "canary": 2}, [1, 2])  # 3 has lost its only label.


@pytest.mark.parametrize("versions", [None, "latest"])
def test_what_is_served_without_labels_stays_loaded(tmp_path: Path, base: Path, versions: Any) -> None:
    config = _write(tmp_path, base, versions=versions)
    with StandIn(_read(config)) as server:
        target = server.targets["grpc"]
        serving.promote(config, version=2, target=target)
        assert _answer(server, "stable")[0] == 2
        serving.promote(config, version=3, label="canary", target=target)
        assert _answer(server, "canary")[0] == 3
        assert _state(config) == ({"stable": 2, "canary": 3}, [2, 3])


def test_a_version_that_does_not_load_changes_nothing(config: Path, server: StandIn, base: Path) -> None:
    before = config.read_bytes()
    (base / "7").mkdir()
    try:
        with pytest.raises(serving.ServingError, match="version 7 failed to load"):
            serving.promote(config, version=7, target=server.targets["grpc"])
    finally:
        (base / "7").rmdir()
    with pytest.raises(serving.ServingError, match=r"version 8 is unknown to the server after 0\.3 s"):
        serving.promote(config, version=8, target=server.targets["grpc"], timeout=0.3)
    assert config.read_bytes() == before
    assert _answer(server, "stable")[0] == 1
    assert _answer(server, "canary")[0] == 2


def test_a_refusal_of_the_server_changes_nothing(config: Path, server: StandIn) -> None:
    before = config.read_bytes()
    server.faults.extend([0.0, "FAILED_PRECONDITION"])  # The first call asks for the states.
    with pytest.raises(serving.ServingError, match="FAILED_PRECONDITION"):
        serving.promote(config, target=server.targets["grpc"])
    assert config.read_bytes() == before
    assert server.calls["reload"] == 2  # The second one puts the old config back.
    assert _answer(server, "stable")[0] == 1
    server.close()
    with pytest.raises(serving.ServingError, match="UNAVAILABLE"):
        serving.promote(config, target=server.targets["grpc"])
    assert config.read_bytes() == before
