"""Versions with signatures of every kind, saved by hand, and the Keras model that tells the right answers."""

import io
from pathlib import Path

import keras
import matplotlib.image
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

LABELS = ("zero", "one", "two")
SIZE = 8


def make_model(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(image)
    hidden = keras.layers.Flatten()(hidden)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="probabilities")(hidden))


def images(count: int, seed: int = 0) -> np.ndarray:
    """Values that a PNG of 8 bits holds exactly."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 1)).astype("float32") / np.float32(255)


def png(image: np.ndarray) -> bytes:
    return tf.io.encode_png(tf.cast(tf.round(image * 255), tf.uint8)).numpy()


def jpeg_size(width: int, height: int) -> bytes:
    """A picture in colour of another size."""
    file = io.BytesIO()
    pixels = np.random.default_rng(1).uniform(size=(height, width, 3))
    matplotlib.image.imsave(file, pixels, format="jpeg")
    return file.getvalue()


def save(model: keras.Model, path: Path) -> Path:
    """Save the model with the signatures serving_default, classify, regress, serving_bytes and many."""
    module = tf.Module()
    module.kept = [model, *(variable.value for variable in model.variables)]
    spec = tf.TensorSpec([None, SIZE, SIZE, 1], name="image")

    @tf.function(input_signature=[spec])
    def predict(image):
        return {"probabilities": model(tf.ensure_shape(image, spec.shape), training=False)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(inputs):
        features = {"image": tf.io.FixedLenFeature([SIZE, SIZE, 1], tf.float32)}
        scores = model(tf.io.parse_example(tf.ensure_shape(inputs, [None]), features)["image"], training=False)
        return {"classes": tf.tile([LABELS], [tf.shape(scores)[0], 1]), "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress(inputs):
        features = {"image": tf.io.FixedLenFeature([SIZE, SIZE, 1], tf.float32)}
        image = tf.io.parse_example(tf.ensure_shape(inputs, [None]), features)["image"]
        return {"outputs": tf.reduce_sum(image, [1, 2])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def from_bytes(image_bytes):
        def decode(one):
            decoded = tf.io.decode_image(one, channels=1, expand_animations=False)
            return tf.image.resize(tf.cast(decoded, tf.float32) / 255, [SIZE, SIZE])

        image = tf.map_fn(decode, tf.ensure_shape(image_bytes, [None]), fn_output_signature=tf.float32)
        return {"probabilities": model(tf.ensure_shape(image, spec.shape), training=False)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], name="x"),
            tf.TensorSpec([None], tf.int32, name="n"),
            tf.TensorSpec([None], tf.string, name="word"),
        ]
    )
    def many(x, n, word):
        x, n, word = tf.ensure_shape(x, [None, 2]), tf.ensure_shape(n, [None]), tf.ensure_shape(word, [None])
        return {
            "sum": x + tf.cast(n, tf.float32)[:, None],
            "n": n + 1,
            "wide": tf.cast(n, tf.int64) * 2**40,
            "large": n > 1,
            "half": tf.cast(x, tf.float64) / 4,
            "word": word,
            "raw_bytes": tf.strings.join([word, b"\xff\x00"]),
        }

    signatures = {
        "serving_default": predict,
        "classify": classify,
        "regress": regress,
        "serving_bytes": from_bytes,
        "many": many,
    }
    tf.saved_model.save(module, str(path), signatures=signatures)
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for name in ("classify", "regress"):
        saved.meta_graphs[0].signature_def[name].method_name = f"tensorflow/serving/{name}"
    file.write_bytes(saved.SerializeToString())
    return path
