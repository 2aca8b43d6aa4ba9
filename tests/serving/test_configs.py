"""The config files: the protocol's own messages read back what was meant."""

import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from tf_symconv import serving
from tf_symconv.serving import _configs


def _read_models(text: str) -> Any:
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config


def _message(fields: dict[str, tuple[int, int, str]]) -> Any:
    """A message as tensorflow_serving declares it, which the package leaves out: name: (number, type, message)."""
    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="t", syntax="proto3")
    file.message_type.add(name="Int64Value").field.add(name="value", number=1, type=3, label=1)
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=8, label=1)
    prometheus.field.add(name="path", number=2, type=9, label=1)
    whole = file.message_type.add(name="Whole")
    for name, (number, kind, of) in fields.items():
        repeated = 3 if name == "allowed_batch_sizes" else 1
        whole.field.add(name=name, number=number, type=kind, label=repeated, type_name=f".t.{of}" if of else None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Whole"))()


def _read_batching(text: str) -> Any:
    # session_bundle_config.proto, message BatchingParameters
    fields = {
        "max_batch_size": (1, 11, "Int64Value"),
        "batch_timeout_micros": (2, 11, "Int64Value"),
        "max_enqueued_batches": (3, 11, "Int64Value"),
        "num_batch_threads": (4, 11, "Int64Value"),
        "allowed_batch_sizes": (6, 3, ""),
        "pad_variable_length_inputs": (7, 8, ""),
    }
    return text_format.Parse(text, _message(fields))


def test_labels_and_their_versions() -> None:
    labels = {"stable": 3, "canary": 4}
    [entry] = _read_models(serving.model_config(serving.ServedModel("/m/digits", "digits", labels)))
    assert (entry.name, entry.base_path, entry.model_platform) == ("digits", "/m/digits", "tensorflow")
    assert dict(entry.version_labels) == labels
    assert list(entry.model_version_policy.specific.versions) == [3, 4]


@pytest.mark.parametrize(
    ("versions", "kind", "values"),
    [
        (None, None, None),
        ("all", "all", None),
        ("latest", "latest", 1),
        (("latest", 3), "latest", 3),
        ([2, 5], "specific", [2, 5]),
        ((2, 5), "specific", [2, 5]),
        (range(1, 3), "specific", [1, 2]),
    ],
)
def test_versions(versions: Any, kind: str | None, values: Any) -> None:
    [entry] = _read_models(serving.model_config(serving.ServedModel("gs://bucket/m", versions=versions)))
    policy = entry.model_version_policy
    assert policy.WhichOneof("policy_choice") == kind
    if kind == "latest":
        assert policy.latest.num_versions == values
    if kind == "specific":
        assert list(policy.specific.versions) == values


def test_many_models_and_strange_names() -> None:
    names = ["a", 'quote"back\\slash', "\u00fcber"]
    models = [serving.ServedModel(f"/dir with space/{name}", name, {name: 1}, versions="all") for name in names]
    entries = _read_models(serving.model_config(*models))
    assert [entry.name for entry in entries] == names
    assert [entry.base_path for entry in entries] == [f"/dir with space/{name}" for name in names]
    assert [dict(entry.version_labels) for entry in entries] == [{name: 1} for name in names]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_path": "models"}, "absolute path or a URL. Received: base_path='models'"),
        ({"name": "a/b"}, "a name must have no slash, colon or space. Received: name='a/b'"),
        ({"name": ""}, "a name must have no slash"),
        ({"labels": {"a:b": 1}}, "a label must have no slash"),
        ({"labels": {"a": 0}}, r"whole numbers from 1 up. Received: \[0\]"),
        ({"labels": {"a": True}}, r"whole numbers from 1 up. Received: \[True\]"),
        ({"versions": ["1"]}, r"whole numbers from 1 up. Received: \['1'\]"),
        ({"versions": []}, "must name a version"),
        ({"versions": "newest"}, "'all', 'latest' or numbers"),
        ({"versions": ("latest", 0)}, "must be 1 or more"),
        ({"labels": {"a": 3}, "versions": [1, 2]}, r"versions that are loaded. Received: \[3\]"),
    ],
)
def test_models_that_the_server_would_refuse(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        serving.ServedModel(**{"base_path": "/m", **arguments})


def test_models_need_names_of_their_own() -> None:
    with pytest.raises(ValueError, match=r"different names. Received: names=\['model', 'model'\]"):
        serving.model_config(serving.ServedModel("/a"), serving.ServedModel("/b"))


def test_batching() -> None:
    found = _read_batching(
        serving.batching_config(
            16,
            batch_timeout_micros=0,
            max_enqueued_batches=7,
            num_batch_threads=3,
            allowed_batch_sizes=[1, 4, 16],
            pad_variable_length_inputs=True,
        )
    )
    assert found.max_batch_size.value == 16
    assert found.batch_timeout_micros.value == 0
    assert found.max_enqueued_batches.value == 7
    assert found.num_batch_threads.value == 3
    assert list(found.allowed_batch_sizes) == [1, 4, 16]
    assert found.pad_variable_length_inputs is True
    default = _read_batching(serving.batching_config())
    assert (default.max_batch_size.value, default.num_batch_threads.value) == (32, os.cpu_count())
    assert not default.allowed_batch_sizes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_batch_size": 0}, "max_batch_size must be a whole number from 1 up. Received: max_batch_size=0"),
        ({"max_batch_size": 2.5}, "max_batch_size must be a whole number"),
        ({"batch_timeout_micros": -1}, "batch_timeout_micros"),
        ({"num_batch_threads": 0}, "num_batch_threads"),
        ({"max_enqueued_batches": 0}, "max_enqueued_batches"),
        ({"allowed_batch_sizes": [1, 16]}, r"must rise to max_batch_size. Received: allowed_batch_sizes=\[1, 16\]"),
        ({"allowed_batch_sizes": [8, 4, 32]}, "must rise"),
        ({"allowed_batch_sizes": [8, 8, 32]}, "must rise"),
        ({"allowed_batch_sizes": [0, 32]}, "must rise"),
        ({"allowed_batch_sizes": []}, "must rise"),
    ],
)
def test_batching_that_the_server_would_refuse(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        serving.batching_config(**arguments)


def test_monitoring() -> None:
    found = text_format.Parse(
        serving.monitoring_config("/metrics"), _message({"prometheus_config": (1, 11, "PrometheusConfig")})
    )
    assert (found.prometheus_config.enable, found.prometheus_config.path) == (True, "/metrics")
    with pytest.raises(ValueError, match="begin with a slash"):
        serving.monitoring_config("metrics")


def test_files_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "models.config"
    assert serving.write_config(file, "one\n") == file
    assert file.read_text() == "one\n"
    assert file.stat().st_mode & 0o777 == 0o644
    file.chmod(0o640)
    serving.write_config(file, "two\n")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("two\n", 0o640)

    def fail(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(_configs.os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        serving.write_config(file, "three\n")
    assert file.read_text() == "two\n"
    assert list(tmp_path.iterdir()) == [file]
