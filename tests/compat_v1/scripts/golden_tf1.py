# ruff: noqa
# Rebuilds the golden graph in TF1 behaviour (reference variables, Dimension objects) and restores the checkpoint.
import sys

import numpy as np
import tensorflow as tf
from tf_symconv.compat_v1 import SymmetricKernels, export_saved_model, fft_conv, fft_conv_pure, symmetric_convolution

golden = dict(np.load(sys.argv[1]))
x = tf.placeholder(tf.float32, [None, 12, 12, 2], name="x")
h = tf.nn.relu(tf.nn.conv2d(x, SymmetricKernels(5, 3, 2, 4, name="k1"), [1, 1, 1, 1], "SAME"))
t1 = symmetric_convolution(h, 6, (3, 3), "a")
t2 = symmetric_convolution(h, 6, (3, 3), "a", dilations=[1, 2, 2, 1])
h2 = tf.nn.conv2d(h, SymmetricKernels(4, 4, 4, 3, name="k2"), [1, 2, 2, 1], "VALID")
with tf.variable_scope("tower"):
    t3 = symmetric_convolution(h2, 5, (3, 5), "b")
assert [v.name for v in tf.global_variables()] == list(golden["legacy/var_names"])
saver = tf.train.Saver()
key = "spec/4_4_2_3_12/"
initial = {"c": golden[key + "init"], "d": golden[key + "init"]}
images = tf.placeholder(tf.float32, [None, 12, 12, 2])
a, _, _ = fft_conv(images, 3, 4, 4, 1, name="c", initialization=initial)
p, _, _ = fft_conv_pure(images, 3, 4, 4, 1, name="d", initialization=initial)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    saver.restore(sess, sys.argv[2])
    for name, value in zip(["h", "t1", "t2", "h2", "t3"], sess.run([h, t1, t2, h2, t3], {x: golden["legacy/x"]})):
        expected = golden["legacy/" + name]
        assert np.abs(value - expected).max() < 1e-5 * np.abs(expected).max(), name
    for name, value in zip("ap", sess.run([a, p], {images: golden[key + "x"]})):
        assert np.abs(value - golden[key + name]).max() < 1e-5, name
    export_saved_model(sess, sys.argv[3], {"x": x}, {"t1": t1, "t3": t3}, examples={"x": golden["legacy/x"]})
print("golden")
