# ruff: noqa
# Uses the parts of TensorFlow 1 that are built on Keras 2.
import keras
import keras.layers
import numpy as np
import tensorflow as tf
from tensorflow.python.keras import backend

x = tf.placeholder(tf.float32, [None, 6, 4])
with tf.variable_scope("net"):
    net = tf.layers.conv1d(x, 3, 2, activation=tf.nn.relu, name="conv")
    net = tf.layers.batch_normalization(net, training=True)
    cell = tf.nn.rnn_cell.BasicLSTMCell(5)
    outputs, state = tf.nn.dynamic_rnn(cell, net, dtype=tf.float32)
    logits = tf.layers.dense(tf.layers.flatten(outputs), 2)
print([v.op.name for v in tf.trainable_variables()])
train = tf.train.AdamOptimizer().minimize(tf.reduce_mean(logits))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        print(sess.run([logits, train], {x: np.ones((3, 6, 4))})[0].shape)
model = tf.keras.models.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
print(keras.__version__.split(".")[0], keras.layers.Dense is type(model.layers[0]))
