"""Seconds to construct and build structured layers, beside the stock layers that they replace.

    python -m benchmarks.construction [--channels 512] [--size 11] [--runs 5] [--only Symmetric,Tiled]

Structured and stock layers take turns in one process; medians are shown, in seconds. Tables that the kernel maps keep
are forgotten before each run, so that every run pays for them. The rule: less than 0.1 s beyond the stock layer. The
exit status is 1 where it is broken.
"""

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from tf_symconv import initializers, kernels, layers

LIMIT = 0.1


def rows(channels, size):
    """Return ``(layer, its arguments, stock layer, its arguments, channels)``; 3-D layers have fewer channels."""
    few = max(channels // 8, 1)
    plain = {"filters": channels, "kernel_size": size}
    small = {"filters": few, "kernel_size": size}
    depthwise = {"kernel_size": size, "depth_multiplier": 8}
    separable = {"filters": channels, "kernel_size": size, "depth_multiplier": 4}
    half = (size + 1) // 2
    pattern = kernels.repeat_pattern((2,) * half, (2,) * half)
    conv = keras.layers

    def row(cls, stock, arguments, given=channels, **own):
        return cls, {**arguments, **own}, stock, arguments, given

    yield row(layers.SymmetricConv1D, conv.Conv1D, plain)
    for symmetry in (
        "hv",
        "d4",
        "circular",
        kernels.Circular("linear"),
        kernels.Mirror("hv", ("odd", "even")),
        {"hv": "50%", "circular": "25%"},
    ):
        yield row(layers.SymmetricConv2D, conv.Conv2D, plain, symmetry=symmetry)
    normal = {**plain, "kernel_initializer": "he_normal"}
    yield row(layers.SymmetricConv2D, conv.Conv2D, normal, kernel_initializer=initializers.OrbitScaling())
    yield row(layers.SymmetricConv3D, conv.Conv3D, small, few, symmetry="hvz")
    yield row(layers.SymmetricConv1DTranspose, conv.Conv1DTranspose, plain)
    yield row(layers.SymmetricConv2DTranspose, conv.Conv2DTranspose, plain, symmetry={"hv": "50%", "d4": "25%"})
    yield row(layers.SymmetricConv3DTranspose, conv.Conv3DTranspose, small, few, symmetry="hvz")
    yield row(layers.SymmetricDepthwiseConv1D, conv.DepthwiseConv1D, depthwise)
    yield row(layers.SymmetricDepthwiseConv2D, conv.DepthwiseConv2D, depthwise)
    yield row(layers.SymmetricSeparableConv1D, conv.SeparableConv1D, separable)
    yield row(layers.SymmetricSeparableConv2D, conv.SeparableConv2D, separable)
    for cls, stock, arguments, given in (
        (layers.TiledConv1D, conv.Conv1D, plain, channels),
        (layers.TiledConv2D, conv.Conv2D, plain, channels),
        (layers.TiledConv3D, conv.Conv3D, small, few),
    ):
        rank = int(cls.__name__[-2])
        own = {"kernel_size": (1,) * (rank - 1) + (size,), "multiples": (size,) * (rank - 1) + (1,)}
        yield row(cls, stock, arguments, given, **own)
    line = {"filters": channels, "kernel_size": 2 * half}
    yield layers.PatternConv1D, {"filters": channels, "pattern": "AB" * half}, conv.Conv1D, line, channels
    yield layers.PatternConv2D, {"filters": channels, "pattern": pattern}, conv.Conv2D, line, channels
    yield row(layers.FlipBankConv1D, conv.Conv1D, plain)
    yield row(layers.FlipBankConv2D, conv.Conv2D, plain, symmetry={"h": "25%", "hv": "50%"})
    yield row(layers.FlipBankConv3D, conv.Conv3D, small, few)
    yield row(layers.FlipBankConv2DTranspose, conv.Conv2DTranspose, plain)
    yield row(layers.FlipBankConv3DTranspose, conv.Conv3DTranspose, small, few)
    yield row(layers.TwinFlipConv1D, conv.Conv1D, plain)
    yield row(layers.TwinFlipConv2D, conv.Conv2D, plain, reduction="concat")
    yield row(layers.TwinFlipConv3D, conv.Conv3D, small, few)
    yield layers.GlobalConv1D, {"filters": channels}, conv.Conv1D, {"filters": channels, "kernel_size": 2}, channels
    yield row(layers.GroupConv2D, conv.Conv2D, plain, group="d4", input_group="d4")
    yield row(layers.GroupConv2DTranspose, conv.Conv2DTranspose, plain, group="c4", input_group="c4")
    yield row(layers.SpectralConv1D, conv.Conv1D, plain)
    yield row(layers.SpectralConv2D, conv.Conv2D, plain)
    yield row(layers.FourierConv2D, conv.Conv2D, plain)


def forget():
    """Empty all caches of the kernel maps."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tf_symconv"):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def seconds(cls, arguments, shape):
    """Return how long it takes to construct and build one layer."""
    forget()
    start = time.perf_counter()
    cls(**arguments).build(shape)
    return time.perf_counter() - start


def _short(value):
    return value if isinstance(value, str) else type(value).__name__ if hasattr(value, "get_config") else repr(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=512, help="input and output channels (512)")
    parser.add_argument("--size", type=int, default=11, help="the kernel's size along each axis (11)")
    parser.add_argument("--runs", type=int, default=5, help="how often each layer is built (5)")
    parser.add_argument("--only", default="", help="comma-separated beginnings of layer names, all by default")
    flags = parser.parse_args()
    print(f"{flags.channels} -> {flags.channels} channels, kernels of size {flags.size}, {flags.runs} runs\n")
    print(f"{'layer':30s}{'structure':44s}{'stock':>8s}{'ours':>8s}{'beyond':>8s}")
    worst = 0.0
    missing = {name for name in layers.__all__ if "Conv" in name} - {row[0].__name__ for row in rows(8, 3)}
    if missing:
        sys.exit(f"These layers have no row: {', '.join(sorted(missing))}")
    for cls, arguments, stock, stock_arguments, channels in rows(flags.channels, flags.size):
        if not cls.__name__.startswith(tuple(flags.only.split(","))):
            continue
        shape = (None, *(31,) * int(next(letter for letter in cls.__name__ if letter.isdigit())), channels)
        seconds(stock, stock_arguments, shape)
        ours, theirs = [], []
        for _ in range(flags.runs):
            theirs.append(seconds(stock, stock_arguments, shape))
            ours.append(seconds(cls, arguments, shape))
        beyond = statistics.median(ours) - statistics.median(theirs)
        worst = max(worst, beyond)
        differs = {name: value for name, value in arguments.items() if stock_arguments.get(name) != value}
        own = ", ".join(f"{name}={_short(value)}" for name, value in differs.items())
        print(
            f"{cls.__name__:30s}{own[:42]:44s}{statistics.median(theirs):8.3f}"
            f"{statistics.median(ours):8.3f}{beyond:8.3f}",
            flush=True,
        )
    print(f"\nworst: {worst:.3f} s beyond the stock layer; the rule is {LIMIT} s")
    return int(worst >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
