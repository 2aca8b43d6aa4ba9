"""What the synthesis of spectral kernels costs: SpectralConv2D beside Conv2D, in a training step and after export.

    python -m tf_symconv.benchmarks.spectral [--size 5] [--channels 64] [--batch 16] [--image 32] [--json FILE]

The two take turns in one process, in an order that changes from round to round; shown are medians in milliseconds, the
ratio of the medians and the middle half of the ratios round by round. A training step is the forward pass, the
gradients with respect to the kernel, the bias and the input, and an SGD update. The exports are SavedModels of both,
written by ``tf_symconv.serving.export`` and loaded again. The rules: at most 1.05 for the training step; after export
nothing, that is, no operation in the graph that a Conv2D's export lacks. The exit status is 1 where one is broken.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import layers, serving

LIMIT = 1.05


def training_step(layer, x):
    """Return a function that takes one step of plain gradient descent."""
    target = tf.constant(np.random.default_rng(1).normal(size=layer(x).shape), tf.float32)
    variables = [variable.value for variable in layer.trainable_variables]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(tf.square(layer(x) - target))
        gradients: Any = tape.gradient(loss, [x, *variables])
        gradient, *others = gradients
        for variable, one in zip(variables, others, strict=True):
            variable.assign_sub(1e-3 * one)
        return loss, tf.reduce_sum(gradient)

    return step


def inference(layer, x):
    """Return a function that runs the layer forward."""
    return tf.function(lambda: layer(x))


def exported(layer, x, directory):
    """Export a model of the layer alone, and return a function that runs what was loaded again, and its operations."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    version = serving.export(model, directory, examples=np.asarray(x[:2]))
    loaded: Any = tf.saved_model.load(str(version))
    signature = loaded.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]

    def run():
        return loaded.signatures["serving_default"](**{name: x})

    graph = signature.graph.as_graph_def()
    operations = {node.op for part in (graph, *graph.library.function) for node in nodes(part)}
    return run, operations


def nodes(part):
    """Return the nodes of a graph or of a function in it."""
    return part.node if hasattr(part, "node") else part.node_def


def interleaved(functions, rounds):
    """Return the seconds of every function in every round; the order changes from round to round."""
    names = list(functions)
    seconds = {name: [] for name in names}
    for number in range(-5, rounds):
        for name in names if number % 2 else names[::-1]:
            start = time.perf_counter()
            keras.tree.map_structure(np.asarray, functions[name]())
            if number >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def compared(seconds):
    """Return the medians in milliseconds, their ratio, and the quartiles of the ratios round by round."""
    plain, ours = seconds["plain"], seconds["spectral"]
    quartiles = statistics.quantiles([b / a for a, b in zip(plain, ours, strict=True)], n=4)
    medians = [1e3 * statistics.median(each) for each in (plain, ours)]
    return {
        "plain_ms": medians[0],
        "spectral_ms": medians[1],
        "ratio": medians[1] / medians[0],
        "quartiles": [quartiles[0], quartiles[2]],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=5, help="height and width of the kernel (5)")
    parser.add_argument("--channels", type=int, default=64, help="input and output channels (64)")
    parser.add_argument("--batch", type=int, default=16, help="images in a batch (16)")
    parser.add_argument("--image", type=int, default=32, help="height and width of the images (32)")
    parser.add_argument("--rounds", type=int, default=60, help="how often each is timed (60)")
    parser.add_argument("--json", help="a file for the figures")
    flags = parser.parse_args()
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(flags.batch, flags.image, flags.image, flags.channels)), tf.float32)
    pair = {
        "plain": keras.layers.Conv2D(flags.channels, flags.size, padding="same"),
        "spectral": layers.SpectralConv2D(flags.channels, flags.size, padding="same"),
    }
    for layer in pair.values():
        layer(x)
    pair["spectral"].from_spatial(pair["plain"].kernel)
    rows = {}
    with tempfile.TemporaryDirectory() as directory:
        served = {name: exported(layer, x, Path(directory) / name) for name, layer in pair.items()}
        rows["exported"] = compared(interleaved({name: run for name, (run, _) in served.items()}, flags.rounds))
        left = sorted(served["spectral"][1] - served["plain"][1])
    steps = {name: training_step(layer, x) for name, layer in pair.items()}
    rows["training step"] = compared(interleaved(steps, flags.rounds))
    rows["inference"] = compared(interleaved({name: inference(layer, x) for name, layer in pair.items()}, flags.rounds))
    print(
        f"SpectralConv2D beside Conv2D, {flags.size}x{flags.size}, {flags.channels} -> {flags.channels} channels, "
        f"batch {flags.batch}, {flags.image}x{flags.image}, {os.cpu_count()} cores, {flags.rounds} rounds\n"
    )
    print(f"{'':16s}{'plain ms':>10s}{'spectral ms':>13s}{'ratio':>8s}{'middle half':>16s}")
    for name, row in rows.items():
        low, high = row["quartiles"]
        print(
            f"{name:16s}{row['plain_ms']:10.2f}{row['spectral_ms']:13.2f}{row['ratio']:8.3f}"
            f"{f'{low:.3f} to {high:.3f}':>16s}"
        )
    variables = len(pair["spectral"].trainable_variables)
    print(
        f"\nvariables of the layer: {variables}; operations only the spectral export has: {', '.join(left) or 'none'}"
    )
    if flags.json:
        figures = {"settings": {k: v for k, v in vars(flags).items() if k != "json"}, "rows": rows, "left": left}
        Path(flags.json).write_text(json.dumps(figures, indent=2) + "\n")
    slow = rows["training step"]["ratio"] > LIMIT
    if slow:
        print(f"\nthe training step takes more than {LIMIT} of the plain one")
    if left:
        print("\nthe export synthesises its kernel")
    return int(slow or bool(left))


if __name__ == "__main__":
    sys.exit(main())
