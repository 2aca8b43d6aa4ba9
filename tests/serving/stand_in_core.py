"""What a stand-in for TensorFlow Serving serves: models, versions, labels, signatures. Run by TensorFlow's C API.

The rules are those of ``server_core.cc``, ``predict_impl.cc`` and ``classifier.cc``, as far as the tests need them.
"""

import contextlib
import dataclasses
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from tf_symconv.serving import _c_api
from tf_symconv.serving._dtypes import dtype_name, dtype_number
from tf_symconv.serving._saved_model import SavedModel, SavedModelError, Signature, read

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"


class Refusal(Exception):
    """A status other than OK."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Servable:
    """A loaded version."""

    def __init__(self, name: str, version: int, path: Path):
        self.name, self.version = name, version
        self.model: SavedModel = read(path)
        self.session = _c_api.Session(path)
        saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        self.signature_defs = saved.meta_graphs[0].signature_def
        self.warmed = self._warm_up(path / WARMUP)

    def signature(self, name: str) -> Signature:
        name = name or "serving_default"
        if name not in self.model.signatures:
            raise Refusal("INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def')
        return self.model.signatures[name]

    def predict(self, signature_name: str, inputs: Mapping[str, np.ndarray], outputs=()) -> dict[str, np.ndarray]:
        signature = self.signature(signature_name)
        if set(inputs) != set(signature.inputs):
            raise Refusal("INVALID_ARGUMENT", f"input keys {sorted(inputs)} are not {sorted(signature.inputs)}")
        unknown = set(outputs) - set(signature.outputs)
        if unknown:
            raise Refusal("INVALID_ARGUMENT", f"output tensor alias not found in signature: {sorted(unknown)}")
        return self._run(signature, inputs, list(outputs) or list(signature.outputs))

    def classify(self, signature_name: str, examples: list[bytes]) -> list[list[tuple[str, float]]]:
        found = self._run_examples(signature_name, CLASSIFY, examples)
        scores = found["scores"]
        labels = found.get("classes", np.full(scores.shape, b"", object))
        return [[(a.decode(), float(b)) for a, b in zip(*row, strict=True)] for row in zip(labels, scores, strict=True)]

    def regress(self, signature_name: str, examples: list[bytes]) -> list[float]:
        return self._run_examples(signature_name, REGRESS, examples)["outputs"].ravel().tolist()

    def _run_examples(self, signature_name: str, method: str, examples: list[bytes]) -> dict[str, np.ndarray]:
        signature = self.signature(signature_name)
        if signature.method != method:
            raise Refusal("INVALID_ARGUMENT", f"Expected signature method_name to be {method}")
        if not examples:
            raise Refusal("INVALID_ARGUMENT", "Input is empty.")
        return self._run(signature, {"inputs": np.array(examples, object)}, list(signature.outputs))

    def _run(self, signature: Signature, inputs: Mapping[str, np.ndarray], outputs: list[str]) -> dict[str, np.ndarray]:
        for name, spec in signature.inputs.items():
            got = dtype_name(dtype_number(inputs[name]))
            if got != spec.dtype:
                raise Refusal("INVALID_ARGUMENT", f"input {name} has type {got}, expected {spec.dtype}")
        feeds = {spec.tensor: inputs[name] for name, spec in signature.inputs.items()}
        try:
            found = self.session.run(feeds, [signature.outputs[name].tensor for name in outputs])
        except _c_api.StatusError as error:
            raise Refusal(error.code, error.message) from error
        return dict(zip(outputs, found, strict=True))

    def _warm_up(self, file: Path) -> int | None:
        if not file.exists():
            return None
        count = 0
        for record in tf.data.TFRecordDataset(str(file)):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            kind = log.WhichOneof("log_type")
            if kind == "predict_log":
                request = log.predict_log.request
                arrays = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
                self.predict(request.model_spec.signature_name, arrays)
            else:
                request = getattr(log, kind).request
                examples = [one.SerializeToString() for one in request.input.example_list.examples]
                call = {"classify_log": self.classify, "regress_log": self.regress}[kind]
                call(request.model_spec.signature_name, examples)
            count += 1
        return count


@dataclasses.dataclass
class State:
    state: str
    code: str = "OK"
    message: str = ""
    servable: Servable | None = None


class Core:
    """The models of a config, kept up to date with their directories."""

    def __init__(self, config, allow_labels: bool, poll: float = 0.1, log=lambda line: None):
        self._config, self._allow, self._log = config, allow_labels, log
        self._states: dict[str, dict[int, State]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._old: list[Servable] = []  # Requests may still be on their way to unloaded versions.
        self._lock = threading.Lock()
        self._updating = threading.Lock()
        self._stop = threading.Event()
        self.counts: Counter[tuple[str, str]] = Counter()
        self._set_labels(config)
        self.update()
        self._thread = threading.Thread(target=self._poll, args=(poll,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        with self._lock:
            for servable in [*self._servables(), *self._old]:
                servable.session.close()

    def reload(self, config) -> None:
        """Labels are checked against the versions of now, before others are loaded."""
        if not config.HasField("model_config_list"):
            raise Refusal("INVALID_ARGUMENT", "Only ModelConfigList is currently supported")
        self._config = config
        self._set_labels(config)
        self.update()

    def find(self, spec) -> Servable:
        with self._lock:
            states = self._states.get(spec.name, {})
            if spec.HasField("version"):
                version = spec.version.value
            elif spec.version_label:
                version = self._labels.get(spec.name, {}).get(spec.version_label)
                if version is None:
                    raise Refusal("INVALID_ARGUMENT", f"Unrecognized servable version label: {spec.version_label}")
            else:
                version = max((number for number, one in states.items() if one.state == "AVAILABLE"), default=0)
            found = states.get(version)
            if found is None or found.servable is None:
                raise Refusal("NOT_FOUND", f"Servable not found for request: {spec.name} {version or 'Latest'}")
            return found.servable

    def states(self, spec) -> list[tuple[int, State]]:
        with self._lock:
            found = sorted(self._states.get(spec.name, {}).items(), reverse=True)
        if spec.HasField("version"):
            found = [(number, state) for number, state in found if number == spec.version.value]
        if not found:
            raise Refusal("NOT_FOUND", f"Could not find any versions of model {spec.name}")
        return found

    @contextlib.contextmanager
    def counted(self, spec) -> Iterator[None]:
        """Count a request with its outcome."""
        code = "OK"
        try:
            yield
        except Refusal as error:
            code = error.code
            raise
        finally:
            self.counts[spec.name, code] += 1

    def update(self) -> None:
        """Load what the config wants, then unload what it does not."""
        with self._updating:
            self._update()

    def _update(self) -> None:
        wanted = {entry.name: _wanted(entry) for entry in self._config.model_config_list.config}
        for name, versions in wanted.items():
            states = self._states.setdefault(name, {})
            for version, path in versions.items():
                if version in states and states[version].state in ("AVAILABLE", "END"):
                    continue
                states[version] = State("LOADING")
                try:
                    servable = Servable(name, version, path)
                except (SavedModelError, _c_api.StatusError, Refusal, tf.errors.OpError) as error:
                    states[version] = State("END", "INTERNAL", str(error))
                    continue
                if servable.warmed is not None:
                    self._log(f"Finished reading warmup data. Number of warmup records read: {servable.warmed}.")
                with self._lock:
                    states[version] = State("AVAILABLE", servable=servable)
        with self._lock:
            for name, states in self._states.items():
                for version in set(states) - set(wanted.get(name, ())):
                    self._old += [servable for servable in [states[version].servable] if servable]
                    states[version] = State("END")

    def _servables(self) -> list[Servable]:
        return [state.servable for states in self._states.values() for state in states.values() if state.servable]

    def _set_labels(self, config) -> None:
        labels: dict[str, dict[str, int]] = {}
        for entry in config.model_config_list.config:
            states = self._states.get(entry.name, {})
            for label, version in entry.version_labels.items():
                used = self._labels.get(entry.name, {}).get(label, version)
                available = version in states and states[version].state == "AVAILABLE"
                if not available and not (self._allow and used == version):
                    raise Refusal(
                        "FAILED_PRECONDITION",
                        f"Request to assign label to version {version} of model {entry.name}, which is not currently "
                        "available for inference",
                    )
                labels.setdefault(entry.name, {})[label] = version
        self._labels = labels

    def _poll(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self.update()


def _wanted(entry) -> dict[int, Path]:
    """The versions on the disk that the policy asks for."""
    found = {int(path.name): path for path in Path(entry.base_path).glob("*") if path.name.isdecimal()}
    policy = entry.model_version_policy
    kind = policy.WhichOneof("policy_choice") or "latest"
    if kind == "all":
        return found
    if kind == "specific":
        return {version: path for version, path in found.items() if version in policy.specific.versions}
    latest = sorted(found)[-max(1, policy.latest.num_versions) :]
    return {version: found[version] for version in latest}
