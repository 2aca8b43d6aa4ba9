"""The spectral benchmark: that what it times is the same, and what it finds in exports. No times."""

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import layers
from tf_symconv.benchmarks import spectral


def pair(x):
    """Return a plain layer and a spectral one with the same kernel."""
    plain, ours = (cls(4, 3, padding="same") for cls in (keras.layers.Conv2D, layers.SpectralConv2D))
    plain(x)
    ours(x)
    ours.from_spatial(plain.kernel)
    return plain, ours


def test_both_take_the_same_training_step():
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 6, 4)), tf.float32)
    plain, ours = pair(x)
    before = np.asarray(plain.kernel)
    for one, other in zip(spectral.training_step(plain, x)(), spectral.training_step(ours, x)(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert np.abs(np.asarray(plain.kernel) - before).max() > 1e-6
    np.testing.assert_allclose(ours.kernel, plain.kernel, atol=1e-6)


def test_an_export_has_no_operation_that_a_plain_one_lacks(tmp_path):
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 6, 4)), tf.float32)
    plain, ours = pair(x)
    (run, operations), (run_ours, operations_ours) = (
        spectral.exported(layer, x, tmp_path / name) for name, layer in (("plain", plain), ("spectral", ours))
    )
    assert "Conv2D" in operations and operations_ours <= operations
    np.testing.assert_allclose(*(next(iter(each().values())) for each in (run, run_ours)), atol=1e-5)


def test_ratios_are_those_of_medians_and_quartiles_of_rounds():
    found = spectral.compared({"plain": [1.0, 2.0, 3.0, 4.0], "spectral": [2.0, 2.0, 3.0, 8.0]})
    assert found["plain_ms"] == 2500 and found["spectral_ms"] == 2500 and found["ratio"] == 1.0
    assert found["quartiles"] == [1.0, 2.0]
