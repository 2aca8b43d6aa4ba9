"""Minimal filtering where TensorFlow convolves with kernels of its own. Run by test_winograd.py."""

import itertools
import os
import sys

import numpy as np
import tensorflow as tf

from tf_symconv.ops._axes import Axis
from tf_symconv.ops._by_point import WinogradByPoint
from tf_symconv.ops._forms import Dense, Problem
from tf_symconv.ops._winograd import Winograd


def main() -> int:
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    rng = np.random.default_rng(0)
    for padding, (filtering, groups) in itertools.product(("same", "valid"), ((Winograd, 2), (WinogradByPoint, 1))):
        problem = Problem((Axis(9, 4, 1, 1, padding), Axis(11, 5, 1, 1, padding)), 4, 6, groups)
        shapes = (3, 9, 11, 4), (4, 5, 4 // groups, 6)
        inputs, kernel = (tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes)
        results = []
        for form in (filtering(problem), Dense(problem)):
            with tf.GradientTape() as tape:
                tape.watch([inputs, kernel])
                outputs = form(inputs, kernel)
                loss = tf.reduce_sum(outputs**3)
            results.append([outputs, *tape.gradient(loss, [inputs, kernel])])
        for got, want in zip(*results, strict=True):
            np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())
    return 0


if __name__ == "__main__":
    sys.exit(main())
