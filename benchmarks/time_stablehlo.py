"""Time layers that were lowered to StableHLO, with JAX, where TensorFlow is not: on a GPU machine above all.

    symconv bench --profile=bars --lower=lowered             # with TensorFlow
    python time_stablehlo.py lowered                         # with JAX; needs _timing.py beside it, and NumPy
    symconv bench --profile=bars --gpu=lowered/timed.json    # shows both

Plain, dense and folded forms take turns; the ratio is folded to dense. ``timed.json`` in the directory keeps the times:
cases that it has are not measured again, unless another device or JAX measured them.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    from tf_symconv.benchmarks._timing import Patience, interleave, quartiles, ratio
except ImportError:  # run by its path, where only its folder is known
    from _timing import Patience, interleave, quartiles, ratio

import numpy as np

_TOLERANCE = 1e-3  # of the norm of a result; a GPU that rounds products to 10 bits may exceed it


def compiled(text: str, shapes: list[list[int]], device: Any, seed: int) -> Callable[[], Any]:
    """Return a function without arguments that runs a StableHLO module on random arrays and waits for its end."""
    jax = importlib.import_module("jax")
    xla_client = importlib.import_module("jaxlib.xla_client")
    executable = device.client.compile_and_load(
        text.encode(), executable_devices=xla_client.DeviceList((device,)), compile_options=xla_client.CompileOptions()
    )
    random = np.random.default_rng(seed)
    arrays = [jax.device_put(random.normal(size=shape).astype("float32"), device) for shape in shapes]

    def run() -> Any:
        results = executable.execute(arrays)
        for result in results:
            result.block_until_ready()
        return results

    return run


def time_case(entry: dict[str, Any], directory: Path, device: Any, patience: Patience, seed: int) -> dict[str, Any]:
    """Return medians, times and the ratio of the forms of a case, and how far dense and folded results differ."""
    functions = {
        name: compiled((directory / file).read_text("utf-8"), entry["arguments"][name], device, seed)
        for name, file in entry["files"].items()
    }
    dense, folded = ([np.asarray(result) for result in functions[name]()] for name in ("dense", "folded"))
    difference = max(
        float(np.linalg.norm(one - other) / max(np.linalg.norm(one), 1e-30))
        for one, other in zip(dense, folded, strict=True)
    )
    times = interleave(functions, [("folded", "dense")], patience, seed)
    return {
        "case": entry["case"],
        "medians": {name: quartiles(values)[1] for name, values in times.items()},
        "ratio": ratio(times["folded"], times["dense"]),
        "difference": difference,
        "seconds": {name: [float(f"{value:.4g}") for value in values] for name, values in times.items()},
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="what symconv bench --lower wrote")
    parser.add_argument("--case_seconds", type=float, default=2.0, help="seconds for each case at most (2)")
    parser.add_argument("--precision", type=float, default=0.02, help="stop when ratios are known to this share (0.02)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the arrays and the order (0)")
    parser.add_argument("--only", default="", help="cases whose names have this text in them")
    flags = parser.parse_args(arguments)
    try:
        index = json.loads((flags.directory / "index.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {flags.directory} holds no lowered layers ({error})\n")
    try:
        jax = importlib.import_module("jax")
    except ImportError as error:
        parser.exit(1, f"{parser.prog}: JAX is needed ({error})\n")
    device = jax.devices()[0]
    about = {"device": f"{device.platform}: {device.device_kind}", "versions": {"jax": jax.__version__}}
    target = flags.directory / "timed.json"
    timed = json.loads(target.read_text("utf-8")) if target.exists() else {}
    if {name: timed.get(name) for name in about} != about:
        timed = {**about, "cases": {}}
    patience = Patience(precision=flags.precision, seconds=flags.case_seconds, sample=0.002)
    for number, (key, entry) in enumerate(index.items(), 1):
        if key in timed["cases"] or flags.only not in key:
            continue
        found = time_case(entry, flags.directory, device, patience, flags.seed)
        timed["cases"][key] = found
        temporary = target.with_suffix(".tmp")
        temporary.write_text(json.dumps(timed, indent=1) + "\n", "utf-8")
        temporary.replace(target)
        medians = ", ".join(f"{name} {1e3 * value:.3g} ms" for name, value in found["medians"].items())
        low, high = found["ratio"]["quartiles"]
        share = f"{found['ratio']['median']:.2f} ({low:.2f}-{high:.2f})"
        apart = f"; results differ by {found['difference']:.1g}" if found["difference"] > _TOLERANCE else ""
        print(f"{number}/{len(index)} {key}: {medians}; folded/dense {share}{apart}", flush=True)
    print(f"{about['device']}: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
