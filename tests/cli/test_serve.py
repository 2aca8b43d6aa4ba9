"""symconv serve with a small program in the place of TensorFlow Serving: what it is told, and what becomes of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tf_symconv.cli import main, serve

# A server that speaks the status endpoint alone. It notes its arguments and the config files that they name, and does
# what the variables FAKE_* say. It answers "docker version" and "docker run", too.
FAKE = f"""#!{sys.executable}
import http.server, json, os, pathlib, re, signal, sys, time

if sys.argv[1:] == ["version"]:
    sys.exit(int(os.environ.get("FAKE_DAEMON", "0")))
files = {{name: pathlib.Path(name).read_text() for name in re.findall("_file=(.*?)(?:$|,)", ",".join(sys.argv) + ",")}}
note = pathlib.Path(os.environ["FAKE_NOTE"])
noted = {{"program": sys.argv[0], "arguments": sys.argv[1:], "files": files, "pid": os.getpid(), "signals": []}}

def write():
    note.with_suffix(".part").write_text(json.dumps(noted))
    note.with_suffix(".part").replace(note)

def catch(number, frame):
    noted["signals"].append(signal.Signals(number).name)
    write()
    if number != signal.SIGHUP:
        os._exit(int(os.environ.get("FAKE_STATUS", "0")))

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, catch)
write()
if "FAKE_DIES" in os.environ:
    sys.exit(int(os.environ["FAKE_DIES"]))
if "FAKE_KILLED" in os.environ:
    os.kill(os.getpid(), signal.SIGKILL)
polls = int(os.environ.get("FAKE_POLLS", "1"))

class Status(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global polls
        polls -= 1
        state = "LOADING" if polls > 0 else "AVAILABLE"
        one = {{"version": "7", "state": state, "status": {{"error_code": "OK", "error_message": "hold on"}}}}
        body = json.dumps({{"model_version_status": [one]}}).encode()
        if os.environ.get("FAKE_NAME", self.path.rpartition("/")[2]) != self.path.rpartition("/")[2]:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if "FAKE_ENDS" in os.environ and polls <= 0:
            os._exit(int(os.environ["FAKE_ENDS"]))

    def log_message(self, *arguments):
        pass

port = int(re.search("--rest_api_port=([0-9]+)", " ".join(sys.argv))[1])
http.server.HTTPServer(("127.0.0.1", port), Status).serve_forever()
"""


@pytest.fixture(autouse=True)
def fresh_flags() -> Iterator[None]:
    yield
    for name in list(serve.FLAGS):
        serve.FLAGS[name].unparse()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    version = tmp_path / "models" / "7"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    return version.parent


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program, at a place that nothing points to, and nothing else that could serve."""
    place = tmp_path / "bin" / "fake"
    place.parent.mkdir()
    place.write_text(FAKE)
    place.chmod(0o755)
    monkeypatch.delenv("TENSORFLOW_MODEL_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setenv("FAKE_NOTE", str(tmp_path / "note"))
    return place


@pytest.fixture
def ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("", 0))
        two.bind(("", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _flags(ports: tuple[int, int]) -> list[str]:
    return [f"--port={ports[0]}", f"--rest_api_port={ports[1]}"]


def _note(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "note").read_text())


def _wait_until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_waits_and_exits_as_the_server_does(base, fake: Path, ports, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("FAKE_POLLS", "3")
    monkeypatch.setenv("FAKE_ENDS", "5")
    assert main(["symconv", "serve", str(base), f"--binary={fake}", "--name=digits", *_flags(ports)]) == 5
    out, err = capfd.readouterr()
    grpc, rest = ports
    assert out == (
        f"digits is AVAILABLE, version 7: gRPC localhost:{grpc}, REST http://localhost:{rest}/v1/models/digits\n"
    )
    assert err == ""
    assert _note(tmp_path)["arguments"] == [*_flags(ports), "--model_name=digits", f"--model_base_path={base}"]


@pytest.mark.parametrize(
    ("variables", "status"), [({"FAKE_DIES": "3"}, 3), ({"FAKE_DIES": "0"}, 0), ({"FAKE_KILLED": "1"}, 137)]
)
def test_a_server_that_dies_at_once(base, fake: Path, ports, monkeypatch, capfd, variables, status: int) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["symconv", "serve", str(base), f"--binary={fake}", *_flags(ports)]) == status
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("where", ["binary", "variable", "path"])
def test_where_the_server_is_looked_for(base, fake: Path, ports, tmp_path: Path, monkeypatch, where: str) -> None:
    monkeypatch.setenv("FAKE_ENDS", "0")
    places = {name: tmp_path / name / "tensorflow_model_server" for name in ("binary", "variable", "path")}
    for place in places.values():
        place.parent.mkdir()
        place.write_bytes(fake.read_bytes())
        place.chmod(0o755)
    arguments = ["symconv", "serve", str(base), *_flags(ports)]
    if where == "binary":
        arguments.append(f"--binary={places['binary']}")
    if where in ("binary", "variable"):
        monkeypatch.setenv("TENSORFLOW_MODEL_SERVER", str(places["variable"]))
    monkeypatch.setenv("PATH", str(places["path"].parent))
    assert main(arguments) == 0
    assert _note(tmp_path)["program"] == str(places[where])


def test_docker_is_the_last_resort(base, fake: Path, ports, tmp_path: Path, monkeypatch, capfd) -> None:
    docker = fake.with_name("docker")
    fake.rename(docker)
    monkeypatch.setenv("PATH", str(docker.parent))
    monkeypatch.setenv("FAKE_ENDS", "4")
    assert main(["symconv", "serve", str(base), "--monitoring", "--image=own/image:1", *_flags(ports)]) == 4
    noted = _note(tmp_path)
    [config] = noted["files"]
    assert noted["arguments"] == [
        "run",
        "--rm",
        "--init",
        f"--publish={ports[0]}:{ports[0]}",
        f"--publish={ports[1]}:{ports[1]}",
        f"--mount=type=bind,source={base},target={base},readonly",
        f"--mount=type=bind,source={Path(config).parent},target={Path(config).parent},readonly",
        "--entrypoint=tensorflow_model_server",
        "own/image:1",
        *_flags(ports),
        "--model_name=model",
        f"--model_base_path={base}",
        f"--monitoring_config_file={config}",
    ]
    monkeypatch.setenv("FAKE_DAEMON", "1")
    capfd.readouterr()
    assert main(["symconv", "serve", str(base), *_flags(ports)]) == 1
    assert "docker has no daemon that answers: install the package" in capfd.readouterr().err


def test_without_any_server_it_says_how_to_get_one(base, fake: Path, capfd) -> None:
    assert main(["symconv", "serve", str(base)]) == 1
    assert capfd.readouterr() == (
        "",
        "symconv: TensorFlow Serving is not here: install the package tensorflow-model-server, name a binary by "
        "--binary or TENSORFLOW_MODEL_SERVER, or start docker, which runs the image tensorflow/serving\n",
    )


def test_configs_are_written_on_request(base, fake: Path, ports, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("FAKE_ENDS", "0")
    request = [
        "--batching",
        "--max_batch_size=8",
        "--labels=stable=7,canary=8",
        "--monitoring",
        "--",
        "--grpc_max_threads=9",
        "-x",
    ]
    assert main(["symconv", "serve", str(base), f"--binary={fake}", *_flags(ports), *request]) == 0
    noted = _note(tmp_path)
    files = {Path(name).name: text for name, text in noted["files"].items()}
    assert set(files) == {"models.config", "batching.config", "monitoring.config"}
    assert "max_batch_size { value: 8 }" in files["batching.config"]
    assert f'base_path: "{base}"' in files["models.config"]
    assert 'key: "canary"' in files["models.config"]
    assert "prometheus_config" in files["monitoring.config"]
    flags = [argument for argument in noted["arguments"] if "_file=" not in argument]
    assert flags == [
        *_flags(ports),
        "--allow_version_labels_for_unavailable_models=true",
        "--enable_batching=true",
        f"--rest_api_num_threads={4 * max(os.cpu_count() or 1, 8)}",
        "--grpc_max_threads=9",  # Own flags count.
        "-x",
    ]
    assert not any(Path(name).exists() for name in noted["files"])  # They were for this run only.


def test_configs_that_are_there_are_used(base, fake: Path, ports, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("FAKE_ENDS", "0")
    configs = tmp_path / "new" / "configs"
    command = ["symconv", "serve", str(base), f"--binary={fake}", *_flags(ports), f"--config_dir={configs}"]
    assert main([*command, "--labels=stable=7"]) == 0
    models = configs / "models.config"
    models.write_text(models.read_text().replace('"model"', '"other"'))
    (configs / "batching.config").write_text("max_batch_size { value: 5 }\n")
    assert main(command) == 0
    out, _ = capfd.readouterr()
    assert "other is AVAILABLE" in out.splitlines()[1]
    noted = _note(tmp_path)["files"]
    assert noted == {str(path): path.read_text() for path in (models, configs / "batching.config")}
    assert main([*command, "--labels=stable=7"]) == 1
    assert "models.config is there already; symconv promote moves its labels" in capfd.readouterr().err


def test_a_dry_run_writes_and_prints(base, fake: Path, ports, tmp_path: Path, capfd) -> None:
    configs = tmp_path / "configs"
    command = ["symconv", "serve", str(base), f"--binary={fake}", *_flags(ports), "--monitoring", "--dry_run"]
    assert main([*command, f"--config_dir={configs}"]) == 0
    out, err = capfd.readouterr()
    flags = [*_flags(ports), "--model_name=model", f"--model_base_path={base}"]
    assert out.split() == [str(fake), *flags, f"--monitoring_config_file={configs / 'monitoring.config'}"]
    assert err == ""
    assert [path.name for path in configs.iterdir()] == ["monitoring.config"]
    assert not (tmp_path / "note").exists()
    assert main([*command, "--config_dir="]) == 1
    assert "--dry_run needs --config_dir" in capfd.readouterr().err


def _start(base: Path, fake: Path, ports: tuple[int, int], variables: Mapping[str, str]) -> subprocess.Popen[str]:
    script = "import sys; from tf_symconv.cli import main; sys.exit(main(['symconv', 'serve', *sys.argv[1:]]))"
    return subprocess.Popen(
        [sys.executable, "-c", script, str(base), f"--binary={fake}", *_flags(ports)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_go_on_to_the_server(base, fake: Path, ports, tmp_path: Path, number: signal.Signals) -> None:
    with _start(base, fake, ports, {"FAKE_STATUS": "9"}) as process:
        assert process.stdout is not None
        assert "AVAILABLE" in process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        _wait_until(lambda: _note(tmp_path)["signals"] == ["SIGHUP"])
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (9, "", "")
    assert _note(tmp_path)["signals"] == ["SIGHUP", number.name]


def test_signals_before_the_model_is_available(base, fake: Path, ports, tmp_path: Path) -> None:
    with _start(base, fake, ports, {"FAKE_POLLS": "100000"}) as process:
        _wait_until((tmp_path / "note").exists)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
    assert _note(tmp_path)["signals"] == ["SIGTERM"]


def test_a_model_that_does_not_get_available(base, fake: Path, ports, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("FAKE_POLLS", "100000")
    assert main(["symconv", "serve", str(base), f"--binary={fake}", "--wait=1.5", *_flags(ports)]) == 1
    assert capfd.readouterr() == (
        "",
        "symconv: model is not AVAILABLE after 1.5 s: version 7 is LOADING hold on\n",
    )
    noted = _note(tmp_path)
    assert noted["signals"] == ["SIGTERM"]
    with pytest.raises(ProcessLookupError):
        os.kill(noted["pid"], 0)
    monkeypatch.setenv("FAKE_NAME", "another")
    assert main(["symconv", "serve", str(base), f"--binary={fake}", "--wait=1.5", *_flags(ports)]) == 1
    assert "404" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "takes one BASE_DIR"),
        (["{base}", "another"], 1, "takes one BASE_DIR"),
        (["{base}/7"], 1, "no version to serve"),
        (["{base}/none"], 1, "no version to serve"),
        (["{base}", "--binary={base}/none"], 1, "--binary names no program: {base}/none"),
        (["{base}", "--labels=stable"], 1, "--labels must be LABEL=VERSION,... Received: 'stable'"),
        (["{base}", "--labels=a/b=7"], 1, "a label must have no slash"),
        (["{base}", "--port=8501"], 1, "ports of their own. Received: 8501 twice"),
        (["{base}", "--rest_api_port=0"], 2, "rest_api_port"),
        (["{base}", "--port={taken}"], 1, "port {taken} cannot be used"),
        (["{base}", "--batching", "--max_batch_size=0"], 2, "max_batch_size"),
    ],
)
def test_mistakes_get_one_line(base, fake: Path, capfd, arguments: list[str], status: int, message: str) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        values = {"base": base, "taken": taken.getsockname()[1]}
        given = [argument.format(**values) for argument in arguments]
        if not any(argument.startswith("--binary") for argument in given):
            given.append(f"--binary={fake}")
        assert main(["symconv", "serve", *given]) == status
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message.format(**values) in err
