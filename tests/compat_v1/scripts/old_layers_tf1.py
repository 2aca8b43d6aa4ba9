# ruff: noqa
# Models of the TF1 era with the layers of keras_gcnn, custom_layers and symmetric_layers_tf1.
import os
import sys

import keras
import keras_gcnn.layers
import numpy as np
import tensorflow as tf
from custom_layers import Conv2DTiledKernel, CustomConv2D, GlobalConv1D, TopKPool
from custom_layers import SymmetricConv2D as Flipped
from keras.layers import Activation, Dense, Flatten, Input
from keras.models import Model, Sequential, load_model
from keras_gcnn.layers import GBatchNorm, GConv2D, GroupPool
from keras_gcnn.layers.convolutional import GConv2D as same
from symmetric_layers_tf1 import SymmetricConv2D, SymmetricConv2DTranspose

golden = np.load(sys.argv[1])
assert same is GConv2D

# The group convolution of the golden file, in a graph with a placeholder.
for case in ("Z2_C4_3_2_3", "C4_C4_3_2_3", "Z2_D4_3_2_3", "D4_D4_3_2_3"):
    arrays = {name: golden["groupy/%s/%s" % (case, name)] for name in ("x", "w", "y_SAME1")}
    h_input, h_output = case.split("_")[:2]
    layer = GConv2D(3, 3, h_input, h_output, padding="same", name="g" + case)
    x = tf.placeholder(tf.float32, arrays["x"].shape)
    y = layer(x)
    layer.set_weights([arrays["w"]])
    value = tf.keras.backend.get_session().run(y, {x: arrays["x"]})
    print(
        case, layer.kernel.get_shape().as_list(), layer.weights[0].name, np.abs(value - arrays["y_SAME1"]).max() < 1e-5
    )

images = Input((9, 9, 1))
h = Conv2DTiledKernel(4, (1, 3), (3, 1))(images)
h = GConv2D(4, 3, "Z2", "D4", padding="same")(h)
h = GBatchNorm("D4")(h)
h = Activation("relu")(h)
h = GConv2D(4, 3, h_input="D4", h_output="D4", padding="same")(h)
h = GroupPool("D4")(h)
h = SymmetricConv2D(4, (3, 3), symmetry={"h": "50%"}, padding="same")(h)
h = SymmetricConv2DTranspose(4, (3, 3), strides=(1, 1), symmetry={"hv": 4}, padding="same")(h)
h = Flipped(8, (3, 3), symmetry={"h": 4, "v": 4, "hv": 0}, padding="same")(h)
h = CustomConv2D(3)(h)
model = Model(images, Dense(2, activation="softmax")(Flatten()(h)))
model.compile("adam", "categorical_crossentropy")
rng = np.random.RandomState(0)
data, labels = rng.randn(64, 9, 9, 1), np.eye(2)[rng.randint(0, 2, 64)]
history = model.fit(data, labels, epochs=12, batch_size=32, verbose=0).history["loss"]
print("fit", history[-1] < history[0])
norm = [layer for layer in model.layers if isinstance(layer, GBatchNorm)][0]
print("moving", bool((norm.get_weights()[3] != 1).all()))
model.save(sys.argv[2])
again = load_model(sys.argv[2])
model.save_weights(sys.argv[3] + ".h5")
np.savez(sys.argv[3] + ".npz", x=data, y=model.predict(data, verbose=0))
print("again", np.allclose(again.predict(data, verbose=0), model.predict(data, verbose=0), atol=1e-6))
print(" ".join(v.op.name for layer in model.layers for v in layer.weights if "symmetric" in layer.name))

sequence = Sequential([GlobalConv1D(3, activation="relu", input_shape=(6,)), TopKPool(2)])
print("sequence", sequence.predict(rng.randn(5, 6), verbose=0).shape, [w.shape for w in sequence.get_weights()])
