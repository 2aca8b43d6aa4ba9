"""Exports beside those of their Conv2D twins: latency, load time and size, as TensorFlow Serving would see them.

    python -m tf_symconv.benchmarks.serving [--quick] [--rows NAME,...] [--batches 1,8,32] [--json FILE]

Each row is a small network, three convolutions with batch normalisation and ReLU, exported by serving.export(kernels=
"auto"), and its twin of plain Keras layers with as many filters (for twin flips, of two convolutions and their
maximum), exported by Keras' own model.export. Both are loaded by the C library of TensorFlow, the loader and the
runtime of the server, in one process that never imports TensorFlow's Python package, and take turns in an order that
changes from round to round; shown are the median of the ratios of pairs (ours / twin) and its 95 % interval. Where
TENSORFLOW_MODEL_SERVER names a binary of tensorflow_model_server, both are served by it as well and asked by gRPC. The
rules: latency at most 1.00 of the twin's, 0.80 for mirrored kernels of 5x5 and more; load time and size at most 1.05.
The exit status is 1 where a rule is broken by more than the noise.
"""

import argparse
import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_symconv.benchmarks._timing import Patience, interleave, ratio

SERVER = "TENSORFLOW_MODEL_SERVER"
LATENCY, LARGE_MIRRORED, LOAD, SIZE = 1.00, 0.80, 1.05, 1.05
LOADS = 7
# The layer of each network and its arguments.
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "mirror h 3x3": ("SymmetricConv2D", {"kernel_size": 3, "symmetry": "h"}),
    "mirror hv 3x3": ("SymmetricConv2D", {"kernel_size": 3, "symmetry": "hv"}),
    "mirror v 5x5": ("SymmetricConv2D", {"kernel_size": 5, "symmetry": "v"}),
    "mirror hv 5x5": ("SymmetricConv2D", {"kernel_size": 5, "symmetry": "hv"}),
    "mirror v 7x7": ("SymmetricConv2D", {"kernel_size": 7, "symmetry": "v"}),
    "mirror hv 7x7": ("SymmetricConv2D", {"kernel_size": 7, "symmetry": "hv"}),
    "d4 5x5": ("SymmetricConv2D", {"kernel_size": 5, "symmetry": "d4"}),
    "circular 5x5": ("SymmetricConv2D", {"kernel_size": 5, "symmetry": "circular"}),
    "tiled rows 5x5": ("TiledConv2D", {"kernel_size": (1, 5), "multiples": (5, 1)}),
    "flip bank hv 3x3": ("FlipBankConv2D", {"kernel_size": 3, "symmetry": {"hv": "100%"}}),
    "twin flip max 5x5": ("TwinFlipConv2D", {"kernel_size": 5, "reduction": "max"}),
    "group d4 3x3": ("GroupConv2D", {"kernel_size": 3, "group": "d4", "input_group": "d4"}),
    "spectral 5x5": ("SpectralConv2D", {"kernel_size": 5}),
    "depthwise hv 5x5": ("SymmetricDepthwiseConv2D", {"kernel_size": 5, "symmetry": "hv"}),
}
QUICK = ("mirror hv 3x3", "mirror v 5x5", "mirror hv 7x7", "tiled rows 5x5")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A ratio of ours to the twin, beside its rule."""

    row: str
    what: str
    limit: float
    ours: float
    twin: float
    ratio: float
    interval: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        if self.ratio <= self.limit:
            return "ok"
        return "noise" if self.interval is not None and self.interval[0] <= self.limit else "MISSED"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"batches 1 and 8 of {', '.join(QUICK)}, in a minute")
    parser.add_argument("--rows", help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--batches", help="batch sizes, as in 1,8,32 (the default)")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images (32)")
    parser.add_argument("--channels", type=int, default=64, help="filters of each layer (64)")
    parser.add_argument("--seconds", type=float, help="how long to measure a latency at most (3; quick: 1.5)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        print(json.dumps(_timed(json.loads(sys.stdin.read()))))
        return 0
    rows = options.rows.split(",") if options.rows else list(QUICK if options.quick else ROWS)
    unknown = [row for row in rows if row not in ROWS]
    if unknown:
        parser.error(f"no row {unknown[0]!r}; choose of {', '.join(ROWS)}")
    try:
        batches = [int(text) for text in (options.batches or ("1,8" if options.quick else "1,8,32")).split(",")]
    except ValueError:
        parser.error(f"--batches is numbers with commas. Received: {options.batches!r}")
    if min(*batches, options.size, options.channels) < 1:
        parser.error("sizes must be above 0")
    seconds = options.seconds or (1.5 if options.quick else 3.0)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        for number, row in enumerate(rows, 1):
            print(f"[{number}/{len(rows)}] {row}", file=sys.stderr, flush=True)
            figures += _measure(row, options, batches, seconds, Path(directory) / str(number))
    print(_table(figures))
    if options.json:
        options.json.write_text(
            json.dumps([{**dataclasses.asdict(f), "verdict": f.verdict} for f in figures], indent=2)
        )
    return 1 if any(figure.verdict == "MISSED" for figure in figures) else 0


def _measure(row: str, options: Any, batches: Sequence[int], seconds: float, directory: Path) -> Iterator[Figure]:
    ours, twin = _export(row, options.size, options.channels, directory)
    wide = row.startswith("mirror") and int(row[-1]) >= 5
    limit = LARGE_MIRRORED if wide else LATENCY
    request = {
        "versions": {"ours": str(ours), "twin": str(twin)},
        "shape": [options.size, options.size, 3],
        "batches": list(batches),
        "seconds": seconds,
    }
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tf_symconv.benchmarks.serving", "--child"]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    times = json.loads(done.stdout)
    for batch in batches:
        yield _figure(row, f"latency, batch {batch}", limit, times["latency"][str(batch)], 1e3)
    yield _figure(row, "load time", LOAD, times["load"], 1e3)
    sizes = {name: [_bytes(path)] for name, path in (("ours", ours), ("twin", twin))}
    yield _figure(row, "size", SIZE, sizes, 1e-3)
    binary = os.environ.get(SERVER)
    if binary:
        for batch, taken in _served(binary, {"ours": ours, "twin": twin}, request).items():
            yield _figure(row, f"server, batch {batch}", limit, taken, 1e3)


def _figure(row: str, what: str, limit: float, times: Mapping[str, Sequence[float]], unit: float) -> Figure:
    found = ratio(times["ours"], times["twin"])
    ours, twin = (statistics.median(times[name]) * unit for name in ("ours", "twin"))
    interval = None if found["interval"] is None else (found["interval"][0], found["interval"][1])
    return Figure(row, what, limit, ours, twin, found["median"], interval)


def _export(row: str, size: int, channels: int, directory: Path) -> tuple[Path, Path]:
    """Write both exports and return their directories."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from tf_symconv import layers, serving

    name, arguments = ROWS[row]
    depthwise = "Depthwise" in name
    kernel = arguments["kernel_size"]
    if name == "TiledConv2D":
        kernel = tuple(edge * times for edge, times in zip(kernel, arguments["multiples"], strict=True))
    filters = {} if depthwise else {"filters": channels}

    def ours() -> Any:
        return getattr(layers, name)(**filters, **arguments, padding="same", use_bias=False)

    def plain() -> Any:
        stock: Any = keras.layers.DepthwiseConv2D if depthwise else keras.layers.Conv2D
        made = [stock(**filters, kernel_size=kernel, padding="same", use_bias=False) for _ in range(2)]
        if name != "TwinFlipConv2D":
            return made[0]
        return lambda x: keras.layers.Maximum()([layer(x) for layer in made])

    paths = []
    for key, make in (("ours", ours), ("twin", plain)):
        keras.utils.set_random_seed(0)
        model = _network(keras, make, size, channels)
        if key == "ours":
            paths.append(serving.export(model, directory / key))
        else:
            paths.append(directory / key / "1")
            model.export(paths[-1], verbose=False)
        keras.backend.clear_session()
    return paths[0], paths[1]


def _network(keras: Any, make: Callable[[], Any], size: int, channels: int) -> Any:
    image = keras.Input((size, size, 3), name="image")
    hidden = keras.layers.Conv2D(channels, 1, name="stem")(image)
    for _ in range(3):
        hidden = keras.layers.ReLU()(keras.layers.BatchNormalization()(make()(hidden)))
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax", name="scores")(hidden))


def _bytes(version: Path) -> float:
    return float(sum(file.stat().st_size for file in version.rglob("*") if file.is_file()))


def _timed(request: Mapping[str, Any]) -> dict[str, Any]:
    """Load and run the versions by the C library; runs in a process without TensorFlow's Python package."""
    import numpy as np

    from tf_symconv.serving._c_api import Session
    from tf_symconv.serving._saved_model import read

    versions = request["versions"]
    loads: dict[str, list[float]] = {name: [] for name in versions}
    for turn in range(LOADS + 1):
        for name in sorted(versions, reverse=bool(turn % 2)):
            start = time.perf_counter()
            Session(versions[name]).close()
            if turn:  # The first loads start the library.
                loads[name].append(time.perf_counter() - start)
    found: dict[str, Any] = {"load": loads, "latency": {}}
    sessions = {name: Session(path) for name, path in versions.items()}
    signatures = {name: read(path).signatures["serving_default"] for name, path in versions.items()}
    for batch in request["batches"]:
        images = np.random.default_rng(0).normal(size=(batch, *request["shape"])).astype("float32")
        calls = {}
        for name, signature in signatures.items():
            [source], targets = signature.inputs.values(), [spec.tensor for spec in signature.outputs.values()]
            calls[name] = functools.partial(sessions[name].run, {source.tensor: images}, targets)
        patience = Patience(precision=0.01, seconds=request["seconds"])
        found["latency"][str(batch)] = interleave(calls, [("ours", "twin")], patience)
    for session in sessions.values():
        session.close()
    return found


def _served(binary: str, versions: Mapping[str, Path], request: Mapping[str, Any]) -> dict[int, Any]:
    """Time both versions behind a real server each, asked by gRPC."""
    import contextlib
    import socket

    import numpy as np

    from tf_symconv import serving

    found = {}
    with contextlib.ExitStack() as stack:
        calls: dict[str, Any] = {}
        for name, version in versions.items():
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            arguments = [f"--port={port}", f"--model_name={name}", f"--model_base_path={version.parent}"]
            server = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(server.wait)
            stack.callback(server.terminate)
            calls[name] = stack.enter_context(serving.Client(f"grpc://127.0.0.1:{port}", model=name))
            calls[name].wait_ready(timeout=120)
        for batch in request["batches"]:
            images = np.random.default_rng(0).normal(size=(batch, *request["shape"])).astype("float32")
            functions = {name: functools.partial(client.predict, images) for name, client in calls.items()}
            patience = Patience(precision=0.01, seconds=request["seconds"])
            found[batch] = interleave(functions, [("ours", "twin")], patience)
    return found


def _table(figures: Sequence[Figure]) -> str:
    head = ("network", "figure", "ours", "twin", "ratio", "95 % interval", "at most", "")
    lines: list[tuple[str, ...]] = [head]
    for figure in figures:
        unit = "kB" if figure.what == "size" else "ms"
        interval = "" if figure.interval is None else f"{figure.interval[0]:.2f} to {figure.interval[1]:.2f}"
        lines.append(
            (
                *(figure.row, figure.what, f"{figure.ours:.2f} {unit}", f"{figure.twin:.2f} {unit}"),
                *(f"{figure.ratio:.2f}", interval, f"{figure.limit:.2f}", figure.verdict),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
