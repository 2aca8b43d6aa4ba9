"""Folded convolutions in a graph of TensorFlow 1, without the behaviour of TensorFlow 2. Run by test_folding.py."""

import sys

import numpy as np
import tensorflow as tf

from tf_symconv import kernels, ops

v1 = tf.compat.v1
MAPS = {
    "mirror": kernels.Mirror("hv"),
    "rows": kernels.Mirror("v"),
    "tile": kernels.Tile((5, 1)),
    "turns": kernels.Rotational(2),
    "bank": kernels.FlipBank({"hv": 64}),
    "lift": kernels.GroupLift("d4"),
    "regular": kernels.GroupRegular("hv"),
}


def results(kernel_map: kernels.KernelMap, implementation: str, size: int | None) -> list[np.ndarray]:
    """Return outputs and gradients for a batch of unknown size, large enough to be cut up."""
    shape, rng = (5, 5, 64, 64), np.random.default_rng(0)
    with tf.Graph().as_default():
        inputs = v1.placeholder("float32", (None, size, size, 64))
        latent = v1.placeholder("float32", kernel_map.latent_shape(shape))
        outputs = ops.convolution(
            inputs,
            latent,
            kernel_map,
            shape,
            strides=(1, 1),
            padding="same",
            dilations=(1, 1),
            implementation=implementation,
        )
        wanted = [outputs, *tf.gradients(tf.reduce_sum(tf.sin(0.05 * outputs)), [inputs, latent])]
        feeds = {inputs: rng.normal(size=(9, 24, 24, 64)), latent: rng.normal(size=kernel_map.latent_shape(shape))}
        with v1.Session() as session:
            return session.run(wanted, feeds)


def main(names: list[str]) -> None:
    v1.disable_v2_behavior()
    for name in names:
        for size in (24, None):
            dense, folded = (results(MAPS[name], implementation, size) for implementation in ("dense", "folded"))
            for want, got in zip(dense, folded, strict=True):
                np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max(), err_msg=f"{name} {size}")


if __name__ == "__main__":
    main(sys.argv[1:] or list(MAPS))
