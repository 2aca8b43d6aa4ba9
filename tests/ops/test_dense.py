"""The dense forms: against NumPy over their arguments, and on every CPU in every precision."""

import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from tf_symconv import kernels, ops


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolutions_equal_numpy_and_keras(rank, padding):
    x = normal(2, *(4, 3, 5)[:rank], 3)
    cases = 0
    for sizes, strides in itertools.product([(1, 2, 3), (3, 3, 2), (4, 1, 1)], [(1, 1, 1), (2, 1, 3), (3, 2, 2)]):
        sizes, strides = sizes[:rank], strides[:rank]
        for dilation, extra in itertools.product((1, 2), (None, 0, 1)):
            if max(strides) > 1 < dilation or (extra is not None and extra >= min(strides)):
                continue
            if padding == "same" and extra == 0 and any((dilation * (n - 1) + 1) % 2 == 0 for n in sizes):
                continue
            kernel = normal(*sizes, 2, 3, seed=1)
            extras = None if extra is None else (extra,) * rank
            arguments = {"strides": strides, "padding": padding, "output_padding": extras}
            y = ops.dense_transposed_convolution(
                tf.constant(x),
                tf.constant(kernel),
                dilations=(dilation,) * rank,
                data_format="channels_last",
                **arguments,
            )
            expected = oracles.convolve_transposed(x, kernel, strides, padding, extras, dilation)
            np.testing.assert_allclose(y, expected, atol=1e-9)
            if dilation == 1:
                stock = keras.ops.conv_transpose(x, kernel, data_format="channels_last", **arguments)
                np.testing.assert_allclose(y, np.asarray(stock), atol=1e-9)
            cases += 1
    assert cases > 15


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 3)])
@pytest.mark.parametrize("rank", [1, 2])
def test_depthwise_convolutions_equal_numpy(rank, strides, dilations, padding):
    strides, dilations = strides[:rank], dilations[:rank]
    x = normal(2, *(9, 7)[:rank], 3)

    def check(kernel, multiplier):
        def convolve(x):
            arguments = {"strides": strides, "padding": padding, "dilations": dilations, "data_format": "channels_last"}
            return ops.dense_depthwise_convolution(x, tf.constant(kernel), **arguments)

        grouped = kernel.reshape(*kernel.shape[:rank], 1, -1)
        expected = oracles.convolve(x, grouped, strides, padding, dilations, groups=3)
        np.testing.assert_allclose(convolve(tf.constant(x)), expected, atol=1e-9)
        if multiplier == 2:
            unknown = tf.function(convolve, input_signature=[tf.TensorSpec((None,) * (rank + 1) + (3,), tf.float64)])
            np.testing.assert_allclose(unknown(x), expected, atol=1e-9)

    for sizes, multiplier in itertools.product([(1, 3), (3, 2), (2, 2)], (1, 2)):
        check(normal(*sizes[:rank], 3, multiplier, seed=1), multiplier)


@pytest.mark.parametrize("reduction", ["max", "min", "sum", "mean"])
def test_reductions_of_twins(reduction):
    x, kernel = normal(2, 6, 7, 4), normal(3, 3, 2, 6, seed=1)
    y = ops.twin_convolution(
        tf.constant(x),
        tf.constant(kernel),
        kernels.Free(),
        kernel.shape,
        flipped_axes=(0, 1),
        reduction=reduction,
        strides=(2, 1),
        padding="same",
        dilations=(1, 1),
        groups=2,
    )
    pair = [oracles.convolve(x, one, (2, 1), "same", groups=2) for one in (kernel, kernel[::-1, ::-1])]
    np.testing.assert_allclose(y, getattr(np, reduction)(np.stack(pair), axis=0), atol=1e-9)


def test_wrong_arguments_get_one_clear_message():
    x, kernel = tf.zeros((1, 5, 5, 2)), tf.zeros((3, 3, 2, 2))
    transposed = {"padding": "same", "output_padding": None, "data_format": "channels_last"}
    with pytest.raises(ValueError, match=r"not both. Received: strides=\(2, 1\), dilations=\(1, 2\)"):
        ops.dense_transposed_convolution(x, kernel, strides=(2, 1), dilations=(1, 2), **transposed)
    for reduction in ("median", "", None, 0):
        with pytest.raises(ValueError, match=f"Received: reduction={reduction!r}"):
            ops.check_reduction(reduction)  # pyright: ignore[reportArgumentType]


# Every form with its gradients, in every precision and layout, on a CPU without the oneDNN kernels.
_EVERYWHERE = """
import itertools
import tensorflow as tf
from tf_symconv import ops

def attempt(x, kernel, convolve):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        loss = tf.reduce_sum(tf.cast(convolve(x, kernel), tf.float32))
    assert all(tf.reduce_any(g != 0) for g in tape.gradient(loss, [x, kernel]))

count = 0
for rank, layout, dtype, dilation, stride in itertools.product(
    (1, 2, 3),
    ("channels_last", "channels_first"),
    ("float16", "bfloat16", "float32", "float64"),
    (1, 2),
    (1, 2),
):
    if stride > 1 and dilation > 1:
        continue
    x = tf.ones((2, *(5,) * rank, 4) if layout == "channels_last" else (2, 4, *(5,) * rank), dtype)
    common = dict(
        strides=(stride,) * rank, padding="same", dilations=(dilation,) * rank, data_format=layout
    )
    kernel = tf.ones((3,) * rank + (2, 4), dtype)
    attempt(x, kernel, lambda x, k: ops.dense_convolution(x, k, groups=2, **common))
    attempt(x, kernel, lambda x, k: ops.dense_transposed_convolution(x, k, output_padding=None, **common))
    if rank < 3:
        kernel = tf.ones((3,) * rank + (4, 2), dtype)
        attempt(x, kernel, lambda x, k: ops.dense_depthwise_convolution(x, k, **common))
    count += 1
print(count)
"""


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_every_cpu_runs_every_form_in_every_precision(onednn):
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn}
    done = subprocess.run(
        [sys.executable, "-c", _EVERYWHERE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == 3 * 2 * 4 * 3
