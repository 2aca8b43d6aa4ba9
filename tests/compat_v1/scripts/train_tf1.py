# ruff: noqa
# A training script as they were written for TensorFlow 1. It is not to be modernised: that it runs as it is, is the test.
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os
import sys

import numpy as np
import tensorflow as tf
from groupy.gconv.tensorflow_gconv.splitgconv2d import gconv2d, gconv2d_util

flags = tf.app.flags
flags.DEFINE_string("train_dir", "/tmp/stripes", "Directory of checkpoints and summaries.")
flags.DEFINE_string("summary_dir", "", "Directory of summaries; train_dir by default.")
flags.DEFINE_integer("max_steps", 20, "Stop after this step.")
flags.DEFINE_integer("batch_size", 16, "Images in a batch.")
flags.DEFINE_float("learning_rate", 0.01, "Learning rate.")
flags.DEFINE_boolean("verbose", False, "Print the variables.")
FLAGS = flags.FLAGS


def next_batch(step, size):
    """Stripes at a slant, and how wide they are."""
    rng = np.random.RandomState(1000 + step)
    labels = rng.randint(0, 3, size=size).astype(np.int)
    slant = rng.uniform(0, np.pi, size=(size, 1, 1))
    rows, columns = np.mgrid[0:12, 0:12]
    phase = (rows * np.cos(slant) + columns * np.sin(slant)) / (labels[:, None, None] + 1.0)
    images = np.sin(phase) + 0.3 * rng.randn(size, 12, 12)
    return images[..., None].astype(np.float32), labels


def gconv_layer(inputs, h_input, h_output, out_channels, name):
    elements = {"Z2": 1, "C4": 4}
    in_channels = inputs.get_shape()[3].value // elements[h_input]
    indices, info, shape = gconv2d_util(h_input, h_output, in_channels, out_channels, 3)
    with tf.variable_scope(name):
        w = tf.get_variable(
            "weights",
            shape,
            initializer=tf.truncated_normal_initializer(stddev=0.3, seed=5),
            regularizer=lambda v: 1e-3 * tf.nn.l2_loss(v),
        )
        b = tf.get_variable("biases", [out_channels], initializer=tf.constant_initializer(0.0))
        tf.summary.histogram("weights", w)
        y = gconv2d(inputs, w, [1, 1, 1, 1], "SAME", indices, info)
        return tf.nn.relu(y + tf.reshape(tf.tile(tf.expand_dims(b, -1), [1, elements[h_output]]), [-1]))


def inference(images, is_training, reuse=None):
    with tf.variable_scope("net", reuse=reuse):
        net = gconv_layer(images, "Z2", "C4", 4, "conv1")
        net = tf.nn.max_pool(net, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
        net = gconv_layer(net, "C4", "C4", 4, "conv2")
        net = tf.reduce_mean(net, reduction_indices=[1, 2], keep_dims=True)
        net = tf.squeeze(net, squeeze_dims=[1, 2])
        with tf.variable_scope("logits"):
            w = tf.get_variable("w", [16, 3], initializer=tf.random_normal_initializer(stddev=0.1, seed=6))
            b = tf.Variable(tf.zeros([3])) if not reuse else tf.get_collection("logit_bias")[0]
            tf.add_to_collection("logit_bias", b)
            return tf.nn.xw_plus_b(net, w, b)


def main(argv):
    summary_dir = FLAGS.summary_dir or FLAGS.train_dir
    if FLAGS.max_steps < 1:
        raise RuntimeError("max_steps is positive")
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        global_step = tf.Variable(0, trainable=False, name="global_step")
        images = tf.placeholder(tf.float32, [None, 12, 12, 1], name="images")
        labels = tf.placeholder(tf.int64, [None], name="labels")
        logits = inference(images, True)
        predictions = tf.argmax(inference(images, False, reuse=True), 1)

        cross_entropy = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits), name="cross_entropy"
        )
        regularization = tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
        loss = cross_entropy + regularization
        accuracy = tf.reduce_mean(tf.to_float(tf.equal(predictions, labels)))
        tf.summary.scalar("loss", loss)
        tf.summary.scalar("accuracy", accuracy)

        optimizer = tf.train.AdamOptimizer(FLAGS.learning_rate)
        gradients, variables = zip(*optimizer.compute_gradients(loss))
        gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
        apply_op = optimizer.apply_gradients(zip(gradients, variables), global_step=global_step)
        averages = tf.train.ExponentialMovingAverage(0.9, global_step)
        with tf.control_dependencies([apply_op]):
            train_op = averages.apply(tf.trainable_variables())

        merged = tf.summary.merge_all()
        saver = tf.train.Saver(max_to_keep=2)
        if FLAGS.verbose:
            for variable in tf.global_variables():
                print(variable.op.name, variable.get_shape().as_list())

        config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        with tf.Session(config=config) as sess:
            checkpoint = tf.train.get_checkpoint_state(FLAGS.train_dir)
            if checkpoint and checkpoint.model_checkpoint_path:
                saver.restore(sess, checkpoint.model_checkpoint_path)
                print("restored at step %d" % sess.run(global_step))
            else:
                sess.run(tf.global_variables_initializer())
            writer = tf.summary.FileWriter(summary_dir, sess.graph)
            step = sess.run(global_step)
            while step < FLAGS.max_steps:
                batch, targets = next_batch(step, FLAGS.batch_size)
                feed = {images: batch, labels: targets}
                _, value, right, summary = sess.run([train_op, loss, accuracy, merged], feed_dict=feed)
                print("step %d loss %.6f accuracy %.3f" % (step, value, right))
                writer.add_summary(summary, step)
                step = tf.train.global_step(sess, global_step)
            writer.close()
            tf.gfile.MakeDirs(FLAGS.train_dir)
            saver.save(sess, os.path.join(FLAGS.train_dir, "model.ckpt"), global_step=global_step)
    print("arguments left: %s" % argv[1:])


if __name__ == "__main__":
    tf.app.run()
