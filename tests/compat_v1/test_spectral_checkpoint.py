"""Checkpoints with one variable per free number, written by TensorFlow 1.15.5."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import compat_v1

DATA = Path(__file__).parent / "data"
OLD = DATA / "spectral_per_cell.ckpt"
SIZES = {"conv1": (4, 4), "conv2": (3, 5), "conv3": (3, 3)}
v1 = tf.compat.v1


def test_a_converted_checkpoint_restores_and_trains_on(tmp_path):
    with np.load(DATA / "spectral_per_cell.npz") as file:
        golden = dict(file)
    sources = compat_v1.convert_spectral_checkpoint(OLD, tmp_path / "new" / "model.ckpt", SIZES)
    assert len(sources["conv1/spectrum"]) == 32
    assert sources["conv2/bias/RMSProp_1"] == ("conv2/Variable_60/RMSProp_1",)
    assert sources["conv3/spectrum"] == ("conv3/real", "conv3/imag")
    assert not any(name.startswith("conv3/") and name.endswith("Momentum") for name in sources)
    assert sources["global_step"] == ("global_step",)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "model.ckpt.data-00000-of-00001",
        "model.ckpt.index",
    ]
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 9, 9, 1])
        y, _, _ = compat_v1.fft_conv(x, 2, 4, 4, 1, name="conv1")
        y, _, _ = compat_v1.fft_conv(y, 2, 5, 3, 1, name="conv2")
        y, _, _ = compat_v1.fft_conv(y, 1, 3, 3, 1, name="conv3")
        loss = tf.reduce_mean(tf.square(y - 1.0))
        trained = [v for v in v1.trainable_variables() if not v.name.startswith("conv3/")]
        step = v1.train.RMSPropOptimizer(0.03).minimize(loss, v1.train.get_or_create_global_step(), var_list=trained)
        with v1.Session() as session:
            v1.train.Saver().restore(session, str(tmp_path / "new" / "model.ckpt"))
            np.testing.assert_allclose(session.run(y, {x: golden["x"]}), golden["y"], rtol=1e-5, atol=1e-5)
            losses = [session.run([loss, step], {x: golden["x"]})[0] for _ in range(3)]
            assert session.run(v1.train.get_global_step()) == 5
    # The same losses step by step: the slots arrived, each at the number it belongs to.
    np.testing.assert_allclose(losses, golden["losses"], rtol=1e-6)
    np.testing.assert_array_less(0.0005, -np.diff(golden["losses"]))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"conv1": (4, 5)}, "'conv1' has 32 numbers for 2 filters, which is no multiple"),
        ({"conv1": (16,)}, "no multiple"),
        ({"conv9": (4, 4)}, "the checkpoint has no such variables"),
        ({"conv3": (3, 5)}, r"'conv3/real' has the shape \(2, 1, 3, 3\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path, sizes, message):
    with pytest.raises(ValueError, match=message):
        compat_v1.convert_spectral_checkpoint(OLD, tmp_path / "model.ckpt", sizes)
    assert not list(tmp_path.iterdir())


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        compat_v1.convert_spectral_checkpoint(tmp_path / "none.ckpt", tmp_path / "new.ckpt", SIZES)
