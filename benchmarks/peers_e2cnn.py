"""Time the group convolutions of e2cnn (PyTorch) beside a plain torch.nn.Conv2d: ``symconv bench --peers PYTHON``.

Runs in an interpreter that has torch and e2cnn and none of ours. The first line that it prints tells the versions; then
each line that it reads is a case as JSON, and each line that it prints the answer. e2cnn stores its filters as weights
of a basis, expands them in every training step, and keeps the expanded ones for inference, as ``eval()`` does.
"""

import argparse
import importlib
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from typing import Any

try:
    from tf_symconv.benchmarks._timing import Patience, interleave, quartiles, ratio
except ImportError:  # run by its path, where only its folder is known
    from _timing import Patience, interleave, quartiles, ratio


def functions(request: dict[str, Any]) -> tuple[dict[str, Callable[[], Any]], float]:
    """Return the functions to be timed, and the seconds to construct e2cnn's layer."""
    torch = importlib.import_module("torch")
    gspaces, nn = importlib.import_module("e2cnn.gspaces"), importlib.import_module("e2cnn.nn")
    case = request["case"]
    torch.manual_seed(request["seed"])
    _, group, kind = case["layer"].split("-")
    space, order = {"c4": (gspaces.Rot2dOnR2(4), 4), "d4": (gspaces.FlipRot2dOnR2(4), 8)}[group]
    channels_in, channels_out, kernel = case["channels_in"], case["channels_out"], case["kernel"]
    regular = [space.regular_repr]
    given = regular * (channels_in // order) if kind == "regular" else [space.trivial_repr] * channels_in
    type_in, type_out = nn.FieldType(space, given), nn.FieldType(space, regular * (channels_out // order))
    common = {"padding": kernel // 2, "bias": request["bias"]}
    start = time.perf_counter()
    layers = {"e2cnn": nn.R2Conv(type_in, type_out, kernel, **common)}
    construction = time.perf_counter() - start
    layers["torch"] = torch.nn.Conv2d(channels_in, channels_out, kernel, **common)
    training = case["kind"] == "training"
    inputs = torch.randn(case["batch"], channels_in, case["size"], case["size"], requires_grad=training)
    upstream = torch.randn(case["batch"], channels_out, case["size"], case["size"])

    def make(name: str, layer: Any) -> Callable[[], Any]:
        layer.train(training)

        def outputs() -> Any:
            return layer(nn.GeometricTensor(inputs, type_in)).tensor if name == "e2cnn" else layer(inputs)

        def inference() -> Any:
            with torch.no_grad():
                return outputs()

        optimizer = torch.optim.SGD(layer.parameters(), lr=1e-6)

        def step() -> Any:
            optimizer.zero_grad()
            inputs.grad = None
            outputs().backward(upstream)
            optimizer.step()
            return inputs.grad

        return step if training else inference

    return {name: make(name, layer) for name, layer in layers.items()}, construction


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return medians and times of both, and the ratio of e2cnn to torch."""
    subjects, construction = functions(request)
    patience = Patience(**request["patience"])
    times = interleave(subjects, [("e2cnn", "torch")], patience, request["seed"])
    return {
        "medians": {name: quartiles(values)[1] for name, values in times.items()},
        "ratio": ratio(times["e2cnn"], times["torch"]),
        "construction": construction,
        "seconds": {name: [float(f"{value:.4g}") for value in values] for name, values in times.items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=0, help="threads of an operation (torch's own choice)")
    flags = parser.parse_args()
    try:
        torch = importlib.import_module("torch")
        importlib.import_module("e2cnn")
    except ImportError as error:
        print(json.dumps({"error": f"this interpreter lacks a library ({error})"}), flush=True)
        return 1
    if flags.threads:
        torch.set_num_threads(flags.threads)
    versions = {name: importlib.metadata.version(name) for name in ("e2cnn", "torch", "numpy")}
    print(json.dumps({"versions": versions}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
