"""How well the cost model of ``implementation="auto"`` predicts, and the rates that fit a library best.

    python -m tf_symconv.benchmarks.costs --rows FILE [--cases mirror-v/k5/64-64/s32/b16,...] [--seconds 0.3] [--fit]

Every scheme by which a layer can be computed takes its turn beside the dense one, in one process: the forward pass and,
where the layer is linear, either gradient by itself; else the whole training step. FILE keeps the ratios to the dense
scheme as they come, and the same command goes on where it was stopped. Shown are ratios beside predictions, and the
mean error of the prediction. With ``--fit``, rates are fitted to all ratios in FILE (least squares on logarithms, as
far as they differ from those in use) and printed as Python, to be written into ``tf_symconv/libraries.py``; the
predictions shown are theirs. Fitting needs no quiet machine, measuring does.
"""

import argparse
import dataclasses
import importlib.util
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tf_symconv.benchmarks._cases import Case, grid
from tf_symconv.benchmarks._store import machine
from tf_symconv.benchmarks._subjects import structured_layer
from tf_symconv.benchmarks._timing import Patience, interleave, ratio
from tf_symconv.libraries import Library, Op, Rates, current
from tf_symconv.ops._cost import Step, forward_cost, inputs_gradient_cost, kernel_gradient_cost
from tf_symconv.ops._order import after
from tf_symconv.ops._plan import MARGIN, Choice
from tf_symconv.ops._run import run
from tf_symconv.ops._scheme import Scheme
from tf_symconv.ops._structured import candidates

PARTS = ("forward", "inputs", "kernel", "step")
#: A scheme whose forward pass takes so many times as long as the dense one's is not measured further.
_HOPELESS = 2.2
#: How far a rate may leave its present value for a gain: the square of so many times the logarithm counts as error.
_INERTIA = 0.1
_RATES = ("number", "multiplication", "inputs_gradient", "kernel_gradient", "start")


def default_cases() -> list[Case]:
    """Return the cases that are measured unless others are named: every structure, at shapes that differ enough."""
    wide, three = [(64, 64), (128, 128)], [(3, 64)]
    some = [
        grid(["mirror-v", "mirror-h"], [3, 5, 7], [(64, 64)], [32], [16], ["training"]),
        grid(["mirror-v"], [5, 7], [(32, 32), (128, 128)], [32], [8], ["training"]),
        grid(["mirror-v"], [5, 7], [(64, 64)], [32], [1], ["training"]),
        grid(["mirror-h"], [5], [(32, 32), (64, 64)], [56], [1, 8], ["training"]),
        grid(["mirror-hv"], [3, 5, 7], three, [56], [16], ["training"]),
        grid(["mirror-hv"], [5, 7], three, [32], [1, 32], ["training"]),
        grid(["mirror-hv"], [3, 5, 7], [(128, 128)], [56], [4], ["training"]),
        grid(["mirror-hv"], [5, 11], [(64, 64)], [32], [1, 8], ["training"]),
        grid(["twin-max", "twin-sum"], [3, 5, 7], [(128, 128)], [32], [8], ["training"]),
        grid(["bank-hv", "group-d4-lift"], [3, 5, 7], wide, [32], [8], ["training"]),
        grid(["group-d4-regular", "c4"], [5, 7], wide, [32], [8], ["training"]),
        grid(["tile-rows", "tile-columns"], [3, 5, 7], [(64, 64)], [32], [16], ["training"]),
        grid(["pattern"], [5], [(64, 64)], [32], [16], ["training"]),
        grid(["mirror-1d", "mirror-3d", "depthwise"], [3, 5], [(64, 64)], [32], [8], ["training"]),
    ]
    return list(dict.fromkeys(itertools.chain(*some)))


def schemes_of(case: Case) -> tuple[Any, list[Scheme]]:
    """Return a built layer and all schemes by which it can be computed, the dense one first."""
    layer = structured_layer(case, use_bias=False)
    layer.build(case.input_shape)
    arguments = {**layer.convolution_arguments(), "depthwise": case.layer == "depthwise"}
    del arguments["implementation"]
    return layer, candidates(case.input_shape, layer.kernel_map, layer.kernel_shape, dtype=tf.float32, **arguments)


def function_of(part: str, scheme: Scheme, dense: Scheme, given: Sequence[tf.Tensor]) -> Callable[[], Any]:
    """Return a function without arguments that computes a part of a training step by a scheme.

    Args:
        part: One of :data:`PARTS`.
        scheme: The scheme.
        dense: The scheme of what is not asked for.
        given: Inputs, latent and the gradient with respect to the outputs.
    """
    chosen = [scheme if part in (own, "step") else dense for own in PARTS[:3]]
    choice = Choice(dense, *chosen, reason="", batches=(given[0].shape[0],))

    @tf.function(autograph=False)
    def compute(inputs: tf.Tensor, latent: tf.Tensor, upstream: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([inputs, latent])
            outputs = run(choice, inputs, latent)
        if part == "forward":
            return outputs
        if part == "step":
            return outputs, tape.gradient(outputs, [inputs, latent], after(upstream, outputs))
        return tape.gradient(outputs, inputs if part == "inputs" else latent, upstream)

    return lambda: compute(*given)


def measured(case: Case, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the ratios of the schemes of a case to the dense one, part by part."""
    layer, schemes = schemes_of(case)
    dense, *others = schemes
    outputs = layer.compute_output_shape(case.input_shape)
    given = tf.random.normal(case.input_shape), tf.convert_to_tensor(layer.latent), tf.random.normal(outputs)
    for part in PARTS[:3] if dense.linear else ("forward", "step"):
        functions = {one.name: function_of(part, one, dense, given) for one in (dense, *others)}
        pairs = [(one.name, dense.name) for one in others]
        times = interleave(functions, pairs, Patience(seconds=seconds, least=5, most=100, sample=0.003))
        hopeless = []
        for one in others:
            found = ratio(times[one.name], times[dense.name])["median"]
            hopeless += [one] if part == "forward" and found > _HOPELESS else []
            yield {
                "case": dataclasses.asdict(case),
                "part": part,
                "scheme": one.name,
                "ratio": found,
                "dense_ms": 1e3 * float(np.median(times[dense.name])),
            }
        others = [one for one in others if one not in hopeless]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A measured ratio, and the steps that predict it."""

    row: dict[str, Any]
    steps: Sequence[Step]
    dense: Sequence[Step]

    def predicted(self, on: Library) -> float:
        """Return the predicted ratio."""
        return self._cost(self.steps, on) / self._cost(self.dense, on)

    def _cost(self, steps: Sequence[Step], on: Library) -> float:
        batch, part = self.row["case"]["batch"], self.row["part"]
        costs = {
            "forward": lambda: forward_cost(steps, batch, on),
            "inputs": lambda: inputs_gradient_cost(steps, batch, on),
            "kernel": lambda: kernel_gradient_cost(steps, batch, on, known=False, alone=True),
        }
        if part != "step":
            return costs[part]()
        of_kernel = kernel_gradient_cost(steps, batch, on, known=True, alone=False)
        return costs["forward"]() + costs["inputs"]() + of_kernel


def comparisons(rows: Sequence[dict[str, Any]]) -> list[Comparison]:
    """Return the rows with the steps of their schemes; rows of schemes that there are no more are left out."""
    found = []
    for key, group in itertools.groupby(rows, lambda row: row["case"]):
        _, schemes = schemes_of(Case(**key))
        steps = {scheme.name: scheme.steps for scheme in schemes}
        dense = steps[schemes[0].name]
        found += [Comparison(row, steps[row["scheme"]], dense) for row in group if row["scheme"] in steps]
    return found


def error(some: Sequence[Comparison], on: Library) -> float:
    """Return the mean factor by which predictions are wrong, less one."""
    return math.exp(np.mean([abs(math.log(one.predicted(on) / one.row["ratio"])) for one in some])) - 1


def outcomes(some: Sequence[Comparison], on: Library) -> list[tuple[float, float]]:
    """Return, for each part of a case, the ratio of the scheme that the model chooses and that of the fastest one."""
    found = []
    for _, group in itertools.groupby(some, lambda one: (one.row["case"], one.row["part"])):
        schemes = list(group)
        best = min(schemes, key=lambda one: one.predicted(on))
        chosen = best.row["ratio"] if best.predicted(on) <= MARGIN else 1.0
        found.append((chosen, min(1.0, *(one.row["ratio"] for one in schemes))))
    return found


def fitted(some: Sequence[Comparison], start: Library) -> Library:
    """Return the library whose predictions are nearest, its rates no further from the present ones than pays."""
    from scipy.optimize import least_squares

    used = {step.op for one in some for step in (*one.steps, *one.dense)}
    names = [
        (op, name) for op in Op for name in _RATES if op in used and (op, name) != (Op.CONVOLUTION, "multiplication")
    ]
    logarithms = np.log([getattr(start.rates[op], name) for op, name in names])
    measured = np.log([one.row["ratio"] for one in some])
    # What is far from paying need not be known well.
    weights = 1 / np.maximum(np.exp(measured), 1)

    def of(values: np.ndarray) -> Library:
        rates = {op: dataclasses.asdict(start.rates[op]) for op in Op}
        for (op, name), value in zip(names, values, strict=True):
            rates[op][name] = math.exp(value)
        return dataclasses.replace(start, rates={op: Rates(**own) for op, own in rates.items()})

    def wrong(values: np.ndarray) -> np.ndarray:
        on = of(values)
        errors = weights * (np.log([one.predicted(on) for one in some]) - measured)
        return np.concatenate([errors, _INERTIA * (values - logarithms)])

    return of(least_squares(wrong, logarithms, loss="soft_l1", f_scale=0.1).x)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", required=True, type=Path, help="a JSON file that keeps what is measured")
    parser.add_argument("--cases", default="", help="keys such as mirror-v/k5/64-64/s32/b16 (default: a selection)")
    parser.add_argument("--seconds", type=float, default=0.3, help="for all schemes of a part of a case (0.3)")
    parser.add_argument("--fit", action="store_true", help="fit the rates, and measure nothing")
    flags = parser.parse_args()
    try:
        cases = [_parsed(text) for text in flags.cases.split(",")] if flags.cases else default_cases()
        rows = json.loads(flags.rows.read_text())["rows"] if flags.rows.exists() else []
    except (OSError, ValueError, KeyError) as problem:
        print(f"costs: {' '.join(str(problem).split())}", file=sys.stderr)
        return 2
    done = [row["case"] for row in rows]
    for case in [] if flags.fit else cases:
        if dataclasses.asdict(case) not in done:
            rows += measured(case, flags.seconds)
            _write(flags.rows, {"settings": machine(), "rows": rows})
            print(f"measured {case.key}", file=sys.stderr)
    some = comparisons(rows)
    if not some:
        print(f"costs: {flags.rows} holds no measurements", file=sys.stderr)
        return 2
    if flags.fit and importlib.util.find_spec("scipy") is None:
        print("costs: --fit needs SciPy: pip install 'tf_symconv[bench]'", file=sys.stderr)
        return 2
    on = fitted(some, current()) if flags.fit else current()
    for one in some:
        row, case = one.row, Case(**one.row["case"])
        print(f"{case.key:42s} {row['part']:8s}{row['scheme']:36s}{row['ratio']:7.2f}{one.predicted(on):7.2f}")
    print(f"\n{len(some)} predictions for {current().title}")
    for title, library in {"rates in use": current(), "fitted rates": on}.items():
        pairs = np.array(outcomes(some, library))
        chosen, best = np.exp(np.log(pairs).mean(0))
        print(
            f"{title}: mean error {error(some, library):.0%}; what is chosen takes {chosen:.3f} of dense on average, "
            f"{pairs[:, 0].max():.2f} at most; the fastest {best:.3f}"
        )
        if not flags.fit:
            break
    if flags.fit:
        print()
        for op in Op:
            values = ", ".join(f"{name}={getattr(on.rates[op], name):.3g}" for name in _RATES)
            print(f"        {op}: Rates({values}),")
    return 0


def _parsed(text: str) -> Case:
    try:
        layer, kernel, channels, size, batch = text.split("/")
        of, to = channels.split("-")
        return Case(layer, int(kernel[1:]), int(of), int(to), int(size[1:]), int(batch[1:]), "training")
    except ValueError as problem:
        raise ValueError(f"a case is written like mirror-v/k5/64-64/s32/b16. Received: {text!r}") from problem


def _write(file: Path, content: Any) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(file)


if __name__ == "__main__":
    sys.exit(main())
