"""How the variance of a signal grows through a deep stack of structured layers, for several ways to initialise them.

    python -m benchmarks.initialisation [--depth 8] [--seeds 4] [--structures hv,circular]

Two figures for each structure and way, geometric means over the seeds: the variance of the last layer's outputs before
the activation, in units of 2 E[x^2] of the input, which is what He's rule aims at (calibrated stacks: of 1); and, in
brackets, the growth per layer over the last half. Calibrated stacks are measured on inputs that they have not seen.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import initializers, kernels, layers, models

STRUCTURES = {
    "plain": "free",
    "h": "h",
    "hv": "hv",
    "c4": "c4",
    "d4": "d4",
    "circular, nearest": "circular",
    "circular, linear": kernels.Circular("linear"),
    "circular, exact": kernels.Circular("exact"),
    "h, odd": kernels.Mirror("h", "odd"),
    "hv, odd and even": kernels.Mirror("hv", ("odd", "even")),
    "half hv, rest free": {"hv": "50%"},
    "rows tiled 5 times": kernels.Tile((5, 1)),
    "pattern AABCC/...": kernels.Pattern("AABCC/AABCC/DDEFF/GGHII/GGHII"),
}
# Structures that are no matter of a single kernel: functions from the shared arguments to a layer.
BANKS = {
    "flip bank, hv": lambda *args, **kwargs: layers.FlipBankConv2D(*args, **kwargs),
    "twin flip, max": lambda *args, **kwargs: layers.TwinFlipConv2D(*args, reduction="max", **kwargs),
    "twin flip, sum": lambda *args, **kwargs: layers.TwinFlipConv2D(*args, reduction="sum", **kwargs),
    "twin flip, concat": lambda *args, **kwargs: layers.TwinFlipConv2D(*args, reduction="concat", **kwargs),
}


def convolution(structure, filters, kernel_size=5, **kwargs):
    """Return a layer with this structure."""
    if callable(structure):
        return structure(filters, kernel_size, padding="same", **kwargs)
    return layers.SymmetricConv2D(filters, kernel_size, padding="same", symmetry=structure, **kwargs)


class Centred(keras.initializers.Initializer):
    """He-normal filters without their mean, with the gain that this needs after a ReLU (Brock et al., 2021)."""

    def draw_latent(self, kernel_map, kernel_shape, dtype=None):
        kernel = keras.initializers.HeNormal()(kernel_shape, dtype=dtype)
        kernel = kernel_map.expand(kernel_map.select(kernel), kernel_shape)
        kernel -= tf.reduce_mean(kernel, axis=range(len(kernel_shape) - 1), keepdims=True)
        return kernel_map.project(kernel) / (1 - 1 / np.pi) ** 0.5


WAYS = {
    "default": lambda: keras.initializers.HeNormal(),
    "rho=1/pi": lambda: initializers.OrbitScaling("he_normal", rho=1 / np.pi),
    "stationary": lambda: initializers.OrbitScaling("he_normal"),
    "centred": Centred,
}


def noise(rng, size, channels):
    """Return independent normal values."""
    return rng.normal(size=(8, size, size, channels))


def images(rng, size, channels):
    """Return smooth fields with a mean, as natural images are: the spectrum falls with the frequency."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])
    spectrum = 1.0 / np.maximum(frequency, 1.0 / size)
    fields = np.fft.ifft2(np.fft.fft2(rng.normal(size=(8, channels, size, size))) * spectrum).real
    fields = fields.transpose(0, 2, 3, 1)
    return (fields - fields.mean()) / fields.std()


def variances(structure, way, inputs, depth, filters, kernel_size=5):
    """Return the variance of every layer's outputs before the activation, 1 where He's rule holds."""
    x = tf.constant(inputs, "float32")
    scale = 2.0 * float(tf.reduce_mean(tf.square(x)))
    found = []
    for _ in range(depth):
        layer = convolution(structure, filters, kernel_size, kernel_initializer=way())
        x = layer(x)
        found.append(float(tf.math.reduce_variance(x)) / scale)
        x = tf.nn.relu(x)
    return np.array(found)


def calibrated(structure, inputs, fresh, depth, filters, kernel_size=5):
    """Return the same for a model that is calibrated on ``inputs``, measured on ``fresh`` ones of another draw."""
    model = keras.Sequential([convolution(structure, filters, kernel_size, activation="relu") for _ in range(depth)])
    models.calibrate(model, inputs)
    x, found = fresh, []
    for layer in model.layers:
        layer.activation = keras.activations.linear
        x = layer(x)
        found.append(float(tf.math.reduce_variance(x)))
        x = tf.nn.relu(x)
    return np.array(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=8, help="the number of 5x5 ReLU layers (8)")
    parser.add_argument("--filters", type=int, default=64, help="the number of channels (64)")
    parser.add_argument("--size", type=int, default=32, help="height and width of the input (32)")
    parser.add_argument("--seeds", type=int, default=4, help="the number of draws; geometric means are shown (4)")
    parser.add_argument("--structures", help="comma-separated beginnings of names, all by default")
    flags = parser.parse_args()
    wanted = flags.structures.split(",") if flags.structures else [""]
    half = flags.depth // 2
    for source in (noise, images):
        print(
            f"\ninput: {source.__name__}, {flags.depth} layers 5x5, {flags.filters} channels, {flags.size}x{flags.size}"
        )
        print(f"{'':20s}" + "".join(f"{way:>20s}" for way in [*WAYS, "calibrate", "calibrate on noise"]))
        for name, structure in {**STRUCTURES, **BANKS}.items():
            if not name.startswith(tuple(wanted)):
                continue
            logs = {}
            for seed in range(flags.seeds):
                keras.utils.set_random_seed(seed)
                rng = np.random.default_rng(seed)
                inputs, fresh = (source(rng, flags.size, flags.filters) for _ in range(2))
                for way, make in WAYS.items():
                    found = variances(structure, make, inputs, flags.depth, flags.filters)
                    logs.setdefault(way, []).append(np.log(found))
                for way, batch in (("calibrate", inputs), ("calibrate on noise", noise(rng, *inputs.shape[2:]))):
                    found = calibrated(structure, batch, fresh, flags.depth, flags.filters)
                    logs.setdefault(way, []).append(np.log(found))
            cells = []
            for values in logs.values():
                mean = np.mean(values, axis=0)
                cells.append(
                    f"{np.exp(mean[-1]):.3g} ({np.exp((mean[-1] - mean[half - 1]) / (flags.depth - half)):.2f})"
                )
            print(f"{name:20s}" + "".join(f"{cell:>20s}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
