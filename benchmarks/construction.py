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
    yield layers.SymmetricConv1D, plain, keras.layers.Conv1D, plain, channels
    for symmetry in (
        "hv",
        "d4",
        "circular",
        kernels.Circular("linear"),
        kernels.Mirror("hv", ("odd", "even")),
        {"hv": "50%", "circular": "25%"},
    ):
        yield layers.SymmetricConv2D, {**plain, "symmetry": symmetry}, keras.layers.Conv2D, plain, channels
    scaled = {**plain, "kernel_initializer": initializers.OrbitScaling()}
    stock = {**plain, "kernel_initializer": "he_normal"}
    yield layers.SymmetricConv2D, scaled, keras.layers.Conv2D, stock, channels
    small = {"filters": few, "kernel_size": size}
    yield layers.SymmetricConv3D, {**small, "symmetry": "hvz"}, keras.layers.Conv3D, small, few


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
    for cls, arguments, stock, stock_arguments, channels in rows(flags.channels, flags.size):
        if not cls.__name__.startswith(tuple(flags.only.split(","))):
            continue
        shape = (None, *(32,) * int(cls.__name__.partition("D")[0][-1]), channels)
        seconds(stock, stock_arguments, shape)
        ours, theirs = [], []
        for _ in range(flags.runs):
            theirs.append(seconds(stock, stock_arguments, shape))
            ours.append(seconds(cls, arguments, shape))
        beyond = statistics.median(ours) - statistics.median(theirs)
        worst = max(worst, beyond)
        own = ", ".join(str(value) for name, value in arguments.items() if name not in ("filters", "kernel_size"))
        print(
            f"{cls.__name__:30s}{own[:42]:44s}{statistics.median(theirs):8.3f}"
            f"{statistics.median(ours):8.3f}{beyond:8.3f}",
            flush=True,
        )
    print(f"\nworst: {worst:.3f} s beyond the stock layer; the rule is {LIMIT} s")
    return int(worst >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
