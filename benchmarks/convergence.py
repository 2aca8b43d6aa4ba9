"""Epochs to a given loss: SpectralConv2D against Conv2D, Adam, the same initial kernels, the same batches.

    python -m tf_symconv.benchmarks.convergence [--datasets digits,mnist] [--seeds 5] [--epochs 40] [--quick]

The network: two convolutions with ReLU, each followed by a maximum over 2x2 cells, and a dense layer. Both networks of
a pair start from the same function: the spectra are those of the spatial kernels. After each epoch the cross-entropy on
all training images is taken. Epochs to a loss are read off that curve, on a line between epochs in its logarithm; the
ratio of a pair is spatial by spectral: above 1 where learning the spectrum is faster. Rippel, Snoek and Adams (2015)
report 2 to 5.

The digits ship with scikit-learn. Other sets of TensorFlow Datasets are downloaded when they are named, unless they lie
in --data_dir. Writes convergence.json and convergence.png.
"""

import argparse
import importlib.metadata
import itertools
import json
import logging
import math
import os
import statistics
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import datasets, layers

KINDS = {"spatial": keras.layers.Conv2D, "spectral": layers.SpectralConv2D}
COLOURS = {"spatial": "#d9772b", "spectral": "#1f5fbf"}
TARGETS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
QUICK = {"seeds": 1, "epochs": 5, "kernel_sizes": "5", "learning_rates": "0.003", "images": 512}


def build(kind, image_shape, classes, kernel_size, width):
    """Return a network with spatial or spectral filters."""
    x = inputs = keras.Input(image_shape)
    for number in (1, 2):
        layer = KINDS[kind](width * number, kernel_size, padding="same", activation="relu", name=f"conv{number}")
        x = keras.layers.MaxPooling2D(2, padding="same")(layer(x))
    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(x)))


def make_equal(spectral, spatial):
    """Give a spectral network the kernels and all other weights of a spatial one."""
    for ours, theirs in zip(spectral.layers, spatial.layers, strict=True):
        if isinstance(ours, layers.SpectralConv2D):
            ours.from_spatial(theirs.kernel)
            ours.set_weights([ours.get_weights()[0], theirs.get_weights()[1]])
        else:
            ours.set_weights(theirs.get_weights())


class Pair:
    """A spatial and a spectral network that learn anew for every seed; their graphs are made once."""

    def __init__(self, data, kernel_size, width, learning_rate, batch_size):
        self.images, self.labels, self.classes = data
        self.batch_size = batch_size
        self.arguments = (self.images.shape[1:], self.classes, kernel_size, width)
        self.models: dict[str, Any] = {kind: build(kind, *self.arguments) for kind in KINDS}
        self.optimizers = {kind: keras.optimizers.Adam(learning_rate) for kind in KINDS}
        for kind, optimizer in self.optimizers.items():
            optimizer.build(self.models[kind].trainable_variables)
        self.epochs = {
            kind: tf.function(lambda *batches, kind=kind: self._epoch(kind, *batches), reduce_retracing=True)
            for kind in KINDS
        }
        self.losses = {
            kind: tf.function(lambda *batch, kind=kind: self._loss(kind, *batch), reduce_retracing=True)
            for kind in KINDS
        }

    def _loss(self, kind, images, labels) -> Any:
        scores = self.models[kind](images)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores))

    def _epoch(self, kind, images, labels):
        variables = self.models[kind].trainable_variables
        for step in tf.range(tf.shape(labels)[0]):
            with tf.GradientTape() as tape:
                loss = self._loss(kind, images[step], labels[step])
            self.optimizers[kind].apply(tape.gradient(loss, variables), variables)

    def learn(self, seed, epochs):
        """Return the loss after each epoch, the start included, for each kind."""
        keras.utils.set_random_seed(seed)
        self.models["spatial"].set_weights(build("spatial", *self.arguments).get_weights())
        make_equal(self.models["spectral"], self.models["spatial"])
        for optimizer in self.optimizers.values():
            learning_rate = float(optimizer.learning_rate)
            for variable in optimizer.variables:
                variable.assign(tf.zeros_like(variable))
            optimizer.learning_rate = learning_rate
        curves = {kind: [self.loss(kind)] for kind in KINDS}
        start = [curve[0] for curve in curves.values()]
        if abs(start[0] - start[1]) > 1e-4 * max(start):
            raise RuntimeError(f"the networks of a pair start from different losses: {start}")
        steps = len(self.labels) // self.batch_size
        for epoch in range(epochs):
            order = np.random.default_rng((seed, epoch)).permutation(len(self.labels))[: steps * self.batch_size]
            images = self.images[order].reshape(steps, self.batch_size, *self.images.shape[1:])
            labels = self.labels[order].reshape(steps, self.batch_size)
            for kind in KINDS:
                self.epochs[kind](tf.constant(images), tf.constant(labels))
                curves[kind].append(self.loss(kind))
        return curves

    def loss(self, kind):
        """Return the mean loss of a network on all images."""
        parts = [slice(start, start + 1024) for start in range(0, len(self.labels), 1024)]
        batches = [(tf.constant(self.images[part]), tf.constant(self.labels[part])) for part in parts]
        each = [float(self.losses[kind](*batch)) for batch in batches]
        return float(np.average(each, weights=[len(self.labels[part]) for part in parts]))


def epochs_to(curve, target):
    """Return after how many epochs a curve of losses first comes down to a target, or None."""
    for epoch, (before, after) in enumerate(itertools.pairwise(curve)):
        if after <= target < before:
            return epoch + math.log(before / target) / math.log(before / max(after, 1e-300))
    return None


def ratios(runs, target):
    """Return epochs to a loss of both kinds and their ratio, seed by seed; None unless all come down to it."""
    reached = {kind: [epochs_to(curves[kind], target) for curves in runs] for kind in KINDS}
    spatial, spectral = ([one for one in reached[kind] if one is not None] for kind in ("spatial", "spectral"))
    if len(spatial) < len(runs) or len(spectral) < len(runs):
        return None
    return {
        "target": target,
        "spatial": statistics.fmean(spatial),
        "spectral": statistics.fmean(spectral),
        "ratios": [a / b for a, b in zip(spatial, spectral, strict=True)],
    }


def arrays(name, data_dir, images):
    """Return the training images of a set, their labels and the number of classes."""
    data = datasets.load(name, data_dir=data_dir, batch_size=1024)
    batches = list(data.train(0).as_numpy_iterator())
    found = [np.concatenate(part) for part in zip(*batches, strict=True)]
    return found[0][:images], found[1][:images], len(data.class_names)


def draw(results, file):
    """Draw the curves: a row for each set and kernel size, a column for each learning rate."""
    from matplotlib.figure import Figure

    studies = results["studies"]
    rows = list(dict.fromkeys((study["dataset"], study["kernel_size"]) for study in studies))
    columns = list(dict.fromkeys(study["learning_rate"] for study in studies))
    figure = Figure(
        figsize=(3.4 * max(len(columns), 2), 2.9 * len(rows) + 0.3), dpi=144, layout="constrained", facecolor="white"
    )
    panels = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
    for study in studies:
        place = rows.index((study["dataset"], study["kernel_size"])), columns.index(study["learning_rate"])
        axes = panels[place]
        for kind, colour in COLOURS.items():
            logs = np.log([curves[kind] for curves in study["runs"]])
            mean, spread = logs.mean(0), logs.std(0, ddof=1) if len(logs) > 1 else np.zeros(logs.shape[1])
            across = np.arange(logs.shape[1])
            axes.plot(across, np.exp(mean), color=colour, linewidth=1.8, label=f"{kind} filters")
            axes.fill_between(
                across, np.exp(mean - spread), np.exp(mean + spread), color=colour, alpha=0.2, linewidth=0
            )
        axes.set_yscale("log")
        size = f"{study['kernel_size']}x{study['kernel_size']}"
        axes.set_title(f"{study['dataset']}, {size}, Adam {study['learning_rate']:g}", fontsize=9, loc="left")
        axes.grid(color="#e3e7ec", linewidth=0.8)
        axes.tick_params(which="both", labelsize=8, length=0, labelbottom=True)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
    for axes in panels[-1]:
        axes.set_xlabel("epochs", fontsize=9)
    for row in panels:
        row[0].set_ylabel("loss on the training images", fontsize=9)
    panels[0, 0].legend(fontsize=8, frameon=False)
    temporary = file.with_name(f".{file.name}")
    figure.savefig(temporary, format="png")
    temporary.replace(file)


def show(study):
    """Print what a study found, a line for each loss that all its networks came down to."""
    size = f"{study['kernel_size']}x{study['kernel_size']}"
    for row in study["epochs_to"]:
        spread = f" ± {statistics.stdev(row['ratios']):.2f}" if len(row["ratios"]) > 1 else ""
        print(
            f"| {study['dataset']} | {size} | {study['learning_rate']:g} | {row['target']:g} | {row['spatial']:.1f} | "
            f"{row['spectral']:.1f} | {statistics.fmean(row['ratios']):.2f}{spread} |",
            flush=True,
        )


def numbers(kind, lowest):
    """Return a parser of comma-separated numbers above ``lowest``."""

    def parse(text):
        try:
            found = [kind(part) for part in text.split(",")]
        except ValueError:
            found = []
        if not found or any(not lowest < number < math.inf for number in found):
            raise argparse.ArgumentTypeError(f"comma-separated numbers above {lowest}. Received: {text!r}")
        return found

    return parse


def positive(text):
    """Parse a positive integer."""
    return numbers(int, 0)(text)[0]


def main(argv=None):
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # shapes differ from set to set, and so graphs do
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", default="digits", help="comma-separated names; digits needs no network (digits)")
    parser.add_argument("--data_dir", help="where prepared sets lie; by default that of TensorFlow Datasets")
    parser.add_argument("--images", type=positive, default=10000, help="training images at most (10000)")
    parser.add_argument("--seeds", type=positive, default=5, help="pairs for each setting (5)")
    parser.add_argument("--epochs", type=positive, default=40, help="passes over the images (40)")
    parser.add_argument("--kernel_sizes", type=numbers(int, 0), default="3,5", help="sizes of the square kernels (3,5)")
    parser.add_argument(
        "--learning_rates", type=numbers(float, 0.0), default="0.0003,0.001,0.003", help="of Adam (0.0003,0.001,0.003)"
    )
    parser.add_argument("--width", type=positive, default=16, help="filters of the first convolution (16)")
    parser.add_argument("--batch_size", type=positive, default=64, help="images per step (64)")
    parser.add_argument("--output", default="convergence", help="directory of the results (convergence)")
    parser.add_argument("--quick", action="store_true", help=f"try it in seconds: {QUICK}, unless they are given")
    quick, _ = parser.parse_known_args(argv)
    if quick.quick:
        parser.set_defaults(**QUICK)
    flags = parser.parse_args(argv)
    results: dict[str, Any] = {
        "settings": {name: value for name, value in vars(flags).items() if name not in ("output", "data_dir", "quick")},
        "versions": {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy")},
        "studies": [],
    }
    directory = Path(flags.output)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        sets = {name: arrays(name, flags.data_dir, flags.images) for name in flags.datasets.split(",")}
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"convergence: {' '.join(str(error).split())}")
    print("| set | kernels | learning rate | loss | epochs, spatial | epochs, spectral | ratio |\n" + "|---" * 7 + "|")
    for name, data in sets.items():
        if len(data[1]) < flags.batch_size:
            sys.exit(f"convergence: --batch_size={flags.batch_size} is more than the {len(data[1])} images of {name}")
        for kernel_size in flags.kernel_sizes:
            for learning_rate in flags.learning_rates:
                pair = Pair(data, kernel_size, flags.width, learning_rate, flags.batch_size)
                runs = []
                for seed in range(flags.seeds):
                    print(f"{name} {kernel_size} {learning_rate:g} seed {seed}", end="\r", file=sys.stderr, flush=True)
                    runs.append(pair.learn(seed, flags.epochs))
                found = [ratios(runs, target) for target in TARGETS]
                study = {
                    "dataset": name,
                    "kernel_size": kernel_size,
                    "learning_rate": learning_rate,
                    "epochs_to": [row for row in found if row is not None],
                    "runs": runs,
                }
                results["studies"].append(study)
                show(study)
                temporary = directory / ".convergence.json"
                temporary.write_text(json.dumps(results, indent=1) + "\n")
                temporary.replace(directory / "convergence.json")
    draw(results, directory / "convergence.png")


if __name__ == "__main__":
    sys.exit(main())
