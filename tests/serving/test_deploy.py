"""The files of serving/deploy: each by its schema, and all of them together.

Kubernetes manifests are checked against the published schemas, strictly: a field that Kubernetes does not know is an
error. Compose files and InferenceServices have no such schemas in a package; the ones below are written for this test,
and know only the fields that the files use. No file is given to a cluster here.
"""

import copy
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import served_models
from tests.serving.stand_in import StandIn
from tf_symconv import serving

jsonschema = pytest.importorskip("jsonschema")
kubernetes_validate = pytest.importorskip("kubernetes_validate")
yaml = pytest.importorskip("yaml")

DEPLOY = Path(str(resources.files("tf_symconv.serving"))) / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
CONFIGS = sorted((DEPLOY / "config").glob("*.config"))
VERSIONS = ("1.28", "1.31", "1.34")


def _strict(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


STRING, STRINGS, TRUTH = {"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "boolean"}
DURATION = {"type": "string", "pattern": r"^(\d+(ms|s|m|h))+$"}
# https://github.com/compose-spec/compose-spec: the fields that are used here, with the types that it gives them
COMPOSE = _strict(
    {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {
            "type": "object",
            "patternProperties": {
                "^[a-zA-Z0-9._-]+$": _strict(
                    {
                        "image": STRING,
                        "entrypoint": STRINGS,
                        "command": STRINGS,
                        "init": TRUTH,
                        "read_only": TRUTH,
                        "ports": {**STRINGS, "uniqueItems": True},
                        "volumes": {
                            "type": "array",
                            "items": _strict(
                                {
                                    "type": {"enum": ["bind", "volume", "tmpfs", "cluster", "npipe", "image"]},
                                    "source": STRING,
                                    "target": STRING,
                                    "read_only": TRUTH,
                                },
                                "type",
                            ),
                        },
                        "healthcheck": _strict(
                            {
                                "test": {**STRINGS, "minItems": 2, "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}]},
                                "interval": DURATION,
                                "timeout": DURATION,
                                "start_period": DURATION,
                                "retries": {"type": "number"},
                            }
                        ),
                        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
                        "stop_grace_period": DURATION,
                        "tmpfs": STRINGS,
                        "cap_drop": STRINGS,
                        "security_opt": STRINGS,
                    },
                    "image",
                )
            },
            "additionalProperties": False,
        },
    },
    "services",
)
QUANTITIES = {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^[0-9.]+(m|Ki|Mi|Gi)?$"}}
# https://github.com/kserve/kserve, pkg/apis/serving/v1beta1: the fields that are used here
INFERENCE_SERVICE = _strict(
    {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": _strict({"name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}}, "name"),
        "spec": _strict(
            {
                "predictor": _strict(
                    {
                        "minReplicas": {"type": "integer", "minimum": 0},
                        "maxReplicas": {"type": "integer", "minimum": 0},
                        "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
                        "scaleTarget": {"type": "integer"},
                        "model": _strict(
                            {
                                "modelFormat": _strict({"name": STRING, "version": STRING}, "name"),
                                "protocolVersion": {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]},
                                "storageUri": STRING,
                                "resources": _strict({"requests": QUANTITIES, "limits": QUANTITIES}),
                            },
                            "modelFormat",
                        ),
                    },
                    "model",
                )
            },
            "predictor",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)


def _documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def _objects() -> dict[str, list[dict[str, Any]]]:
    """The objects of all Kubernetes manifests by kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in MANIFESTS:
        for document in _documents(file):
            found.setdefault(document["kind"], []).append(document)
    return found


def _compose() -> dict[str, Any]:
    [document] = _documents(DEPLOY / "docker-compose.yml")
    return document


def _flags(arguments: list[str]) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


def test_the_kinds_that_are_promised_are_there() -> None:
    kinds = {kind: len(found) for kind, found in _objects().items()}
    assert kinds == {
        "ConfigMap": 1,
        "Deployment": 1,
        "HorizontalPodAutoscaler": 1,
        "PersistentVolumeClaim": 1,
        "Service": 2,
    }
    assert [file.name for file in CONFIGS] == ["batching.config", "models.config", "monitoring.config"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_kubernetes_knows_every_field(file: Path, version: str) -> None:
    for document in _documents(file):
        assert kubernetes_validate.validate(document, version, strict=True) == version


def test_the_schemas_of_kubernetes_find_mistakes() -> None:
    [deployment] = _objects()["Deployment"]
    broken = copy.deepcopy(deployment)
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)
    broken = copy.deepcopy(deployment)
    broken["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = "8500"
    with pytest.raises(kubernetes_validate.ValidationError, match="8500"):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_the_compose_file_and_the_inference_service_have_their_form() -> None:
    [service] = _documents(DEPLOY / "kserve" / "inference-service.yaml")
    for document, schema in ((_compose(), COMPOSE), (service, INFERENCE_SERVICE)):
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
    predictor = service["spec"]["predictor"]
    assert predictor["minReplicas"] <= predictor["maxReplicas"]
    for broken, schema in (
        ({**_compose(), "service": {}}, COMPOSE),
        ({**service, "kind": "Service"}, INFERENCE_SERVICE),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema, jsonschema.Draft202012Validator)


def test_the_config_map_holds_the_config_files() -> None:
    [config_map] = _objects()["ConfigMap"]
    assert config_map["data"] == {file.name: file.read_text() for file in CONFIGS}


def test_the_config_files_say_what_the_functions_write() -> None:
    assert (DEPLOY / "config" / "monitoring.config").read_text() == serving.monitoring_config()
    assert (DEPLOY / "config" / "batching.config").read_text() == serving.batching_config(num_batch_threads=4)
    models = (DEPLOY / "config" / "models.config").read_text()
    assert models == serving.model_config(serving.ServedModel("/models/model", "model", {"stable": 1}))
    [entry] = text_format.Parse(models, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert dict(entry.version_labels) == {"stable": 1}


@pytest.mark.parametrize("where", ["compose", "kubernetes"])
def test_the_server_finds_what_its_flags_name(where: str) -> None:
    if where == "compose":
        service = _compose()["services"]["serving"]
        flags = _flags(service["command"])
        mounts = {volume["target"]: volume["source"] for volume in service["volumes"]}
        ports = {int(port.rsplit(":", 1)[1]) for port in service["ports"]}
        assert service["entrypoint"] == ["tensorflow_model_server"]
        assert mounts["/config"] == "./config"  # The directory: a file that is mounted alone would not be replaced.
        assert all(volume["read_only"] for volume in service["volumes"])
        assert all(port.startswith("${BIND:-127.0.0.1}:") for port in service["ports"])
    else:
        container = _container()
        flags = _flags(container["args"])
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        ports = {port["containerPort"] for port in container["ports"]}
        assert container["command"] == ["tensorflow_model_server"]
        assert not any("subPath" in mount for mount in container["volumeMounts"])
        assert int(flags["model_config_file_poll_wait_seconds"]) > 0
    assert {int(flags["port"]), int(flags["rest_api_port"])} == ports
    files = {name: value for name, value in flags.items() if name.endswith("_file")}
    assert set(files) == {"model_config_file", "batching_parameters_file", "monitoring_config_file"}
    for value in files.values():
        directory, name = value.rsplit("/", 1)
        assert directory in mounts
        assert (DEPLOY / "config" / name).exists()
    assert flags["enable_batching"] == "true"
    assert flags["allow_version_labels_for_unavailable_models"] == "true"
    assert "/models" in mounts
    assert 'base_path: "/models/model"' in (DEPLOY / "config" / "models.config").read_text()


def _container() -> dict[str, Any]:
    [deployment] = _objects()["Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return container


def test_services_autoscaler_and_volumes_belong_to_the_deployment() -> None:
    objects = _objects()
    [deployment] = objects["Deployment"]
    [scaler] = objects["HorizontalPodAutoscaler"]
    [claim] = objects["PersistentVolumeClaim"]
    [config_map] = objects["ConfigMap"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    names = {port["name"] for port in _container()["ports"]}
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert "replicas" not in deployment["spec"]  # Each apply would undo the autoscaler.
    for service in objects["Service"]:
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    assert any(service["spec"].get("clusterIP") == "None" for service in objects["Service"])
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == (deployment["apiVersion"], deployment["kind"])
    assert target["name"] == deployment["metadata"]["name"]
    assert 2 <= scaler["spec"]["minReplicas"] < scaler["spec"]["maxReplicas"]
    assert scaler["spec"]["metrics"][0]["resource"]["name"] in _container()["resources"]["requests"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in _container()["volumeMounts"]} == set(volumes)
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == config_map["metadata"]["name"]
    [service] = _documents(DEPLOY / "kserve" / "inference-service.yaml")
    assert service["spec"]["predictor"]["model"]["storageUri"] == f"pvc://{claim['metadata']['name']}/model"
    annotations = pod["metadata"]["annotations"]
    assert f'path: "{annotations["prometheus.io/path"]}"' in (DEPLOY / "config" / "monitoring.config").read_text()


def test_probes_ask_for_the_label_that_the_config_gives() -> None:
    container = _container()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        [action] = [container[probe][kind] for kind in ("httpGet", "tcpSocket") if kind in container[probe]]
        assert action["port"] == "rest"
    path = "/v1/models/model/labels/stable/metadata"
    assert container["readinessProbe"]["httpGet"]["path"] == path
    assert container["livenessProbe"]["httpGet"]["path"] == "/v1/models/model"
    [_, shell, _, script] = _compose()["services"]["serving"]["healthcheck"]["test"]
    assert shell == "bash"
    assert f"GET {path} HTTP/1.0" in script
    assert "$" not in script  # Compose would fill it in.
    readme = (DEPLOY / "README.md").read_text()
    assert {name for name in re.findall(r"`([\w/.-]+\.ya?ml)`", readme)} == {
        "docker-compose.yml",
        "kserve/inference-service.yaml",
    }


def test_the_health_check_tells_a_version_that_answers(tmp_path: Path) -> None:
    """The script of the compose file, run against a server on another port."""
    script = _compose()["services"]["serving"]["healthcheck"]["test"][3]
    served_models.save(served_models.make_model(), tmp_path / "1")
    config = model_server_config_pb2.ModelServerConfig()
    entry = config.model_config_list.config.add(name="model", base_path=str(tmp_path))
    entry.version_labels["stable"] = 1
    with StandIn(config) as server:
        for label, status in (("stable", 0), ("canary", 1)):
            command = script.replace("/8501", f"/{server.rest_port}").replace("/stable/", f"/{label}/")
            assert subprocess.run(["bash", "-c", command], timeout=60).returncode == status
    assert subprocess.run(["bash", "-c", command], timeout=60, capture_output=True).returncode != 0


def test_the_patch_in_the_readme_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [script] = re.findall(r"python3 -c '(.*)'\)", (DEPLOY / "README.md").read_text())
    (tmp_path / "models.config").write_text((DEPLOY / "config" / "models.config").read_text())
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["data"]["models.config"].startswith("model_config_list")
