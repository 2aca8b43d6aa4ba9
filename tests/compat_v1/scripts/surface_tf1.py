# ruff: noqa
# What a TF1 script expects to find; it prints what it found as JSON.
import json
import os
import sys

import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim
from groupy.gconv.make_gconv_indices import flatten_indices, make_d4_p4m_indices
from groupy.gconv.tensorflow_gconv.splitgconv2d import gconv2d, gconv2d_addbias, gconv2d_util
from groupy.gconv.tensorflow_gconv.transform_filter import transform_filter_2d_nchw, transform_filter_2d_nhwc
from tensorflow import Session
from tensorflow.contrib import layers
from tensorflow.contrib.layers import conv2d
from tensorflow.python.framework import ops

import neighbour

found = {
    "argv": sys.argv,
    "path": sys.path[0],
    "name": __name__,
    "file": __file__,
    "cwd": os.getcwd(),
    "neighbour": neighbour.VALUE,
    "version": [tf.__version__, tf.VERSION],
    "eager": tf.executing_eagerly(),
    "dimension": type(tf.placeholder(tf.float32, [2, 3]).shape[0]).__name__,
    "variable": type(tf.Variable(1.0)).__name__,
    "same": [Session is tf.Session, conv2d is slim.conv2d, tf.contrib.layers is layers],
    "numpy": [np.int is int, np.float is float, bool(np.bool(1))],
}

# A bit of everything that stood in every tutorial.
tf.reset_default_graph()
sess = tf.InteractiveSession()
x = tf.placeholder(tf.float32, shape=[None, 4])
w = tf.get_variable("w", [4, 2], initializer=tf.ones_initializer())
y = tf.matmul(x, w) + tf.random_normal([2], stddev=0.0) + tf.log(tf.to_float(1))
loss = tf.losses.mean_squared_error(tf.zeros_like(y), y)
step = tf.train.get_or_create_global_step()
train = tf.train.GradientDescentOptimizer(0.01).minimize(loss, global_step=step)
summary = tf.summary.merge([tf.summary.scalar("loss", loss), tf.summary.histogram("w", w)])
tf.global_variables_initializer().run()
found["before"] = float(loss.eval({x: np.ones((1, 4))}))
sess.run([train, summary], {x: np.ones((1, 4))})
found["after"] = float(loss.eval({x: np.ones((1, 4))}))
iterator = tf.data.Dataset.range(3).make_one_shot_iterator().get_next()
found["data"] = [int(sess.run(iterator)) for _ in range(3)]
found["cond"] = int(sess.run(tf.cond(step > 0, lambda: 1, lambda: 2)))
queue = tf.train.batch([tf.constant([1.0])], 2)
coordinator = tf.train.Coordinator()
threads = tf.train.start_queue_runners(sess, coordinator)
found["queue"] = sess.run(queue).tolist()
coordinator.request_stop()
coordinator.join(threads, stop_grace_period_secs=2)
indices, info, shape = gconv2d_util("Z2", "D4", 1, 2, 4)
filters = tf.constant(np.random.randn(*shape), tf.float32)
found["gconv"] = gconv2d(tf.zeros([1, 8, 8, 1]), filters, [1, 1, 1, 1], "SAME", indices, info).get_shape().as_list()

# absl's logging has flags of these names, which scripts of the time define for themselves.
tf.app.flags.DEFINE_string("log_dir", "mine", "Where to log.")
tf.app.flags.FLAGS(["script"])
found["log_dir"] = tf.app.flags.FLAGS.log_dir

messages = {}
for symbol in (
    "contrib.rnn.LSTMCell",
    "estimator",
    "mul",
    "examples",
    "no_such_thing",
    "placeholdr",
    "layers.dense",
    "keras.layers",
    "nn.rnn_cell.GRUCell",
):
    try:
        value = tf
        for part in symbol.split("."):
            value = getattr(value, part)
        messages[symbol] = "there"
    except AttributeError as error:
        messages[symbol] = str(error)
for module in ("tensorflow.examples.tutorials.mnist", "tensorflow.contrib.rnn", "keras.models"):
    try:
        __import__(module)
        messages["import " + module] = "there"
    except ImportError as error:
        messages["import " + module] = str(error)
found["messages"] = messages
with open(sys.argv[1], "w") as out:
    json.dump(found, out)
