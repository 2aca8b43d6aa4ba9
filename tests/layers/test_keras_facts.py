"""What the layers rely on in Keras; a release that changes one of these fails here, and not in a user's model."""

import keras
import numpy as np
import pytest
import tensorflow as tf


def test_convolutions_read_the_kernel_property_over_the_kernel_variable():
    layer = keras.layers.Conv2D(2, 3)
    layer.build((None, 5, 5, 1))
    assert layer.__dict__["_kernel"] is layer.kernel
    assert isinstance(type(layer).kernel, property)


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (keras.layers.Conv2DTranspose(2, 3), {"kernel"}),
        (keras.layers.DepthwiseConv2D(3), {"kernel"}),
        (keras.layers.SeparableConv2D(2, 3), {"depthwise_kernel", "pointwise_kernel"}),
    ],
)
def test_other_convolutions_assign_their_kernels(layer, names):
    layer.build((None, 5, 5, 1))
    assert names <= set(layer.__dict__)
    assert names <= {v.name for v in layer.variables}


def test_conv1d_does_not_call_convolution_op():
    class Spy(keras.layers.Conv1D):
        def convolution_op(self, inputs, kernel):
            raise AssertionError

    assert Spy(2, 3)(np.zeros((1, 5, 1))).shape == (1, 3, 2)


def test_convolutions_save_the_kernel_property_and_layers_their_variables():
    class Doubled(keras.layers.Conv2D):
        kernel = property(lambda self: 2 * self._kernel)

    layer = Doubled(1, 1, kernel_initializer="ones", use_bias=False)
    layer.build((None, 1, 1, 1))
    store, plain = {}, {}
    layer.save_own_variables(store)
    keras.layers.Layer.save_own_variables(layer, plain)
    assert float(np.ravel(store["0"])[0]) == 2.0
    assert float(np.ravel(plain["0"])[0]) == 1.0


def test_saving_evaluates_properties(tmp_path):
    reads = []

    @keras.saving.register_keras_serializable(package="facts")
    class Watched(keras.layers.Layer):
        @property
        def watched(self):
            reads.append(1)
            return None

    model = keras.Sequential([keras.Input((1,)), Watched()])
    reads.clear()
    model.save(tmp_path / "model.keras")
    assert reads


def test_nested_configs_come_back_as_dicts():
    @keras.saving.register_keras_serializable(package="facts")
    class Holder(keras.layers.Layer):
        def __init__(self, held, **kwargs):
            super().__init__(**kwargs)
            self.was = type(held)
            self.held = held

        def get_config(self):
            return {**super().get_config(), "held": {"class_name": "Mirror", "config": {"axes": "h"}}}

    layer = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Holder(held=1)))
    assert layer.was is dict


def test_autocast_hands_layers_their_variables_in_the_compute_dtype():
    class Reader(keras.layers.Layer):
        def build(self, shape):
            self.cast = self.add_weight(shape=(1,), name="cast")
            self.kept = self.add_weight(shape=(1,), name="kept", autocast=False)

        def call(self, x):
            return tf.convert_to_tensor(self.cast), tf.convert_to_tensor(self.kept)

    cast, kept = Reader(dtype="mixed_float16")(np.zeros((1, 1)))
    assert (cast.dtype, kept.dtype) == ("float16", "float32")


def test_a_functional_model_with_one_output_exports_it_as_output_0(tmp_path):
    model = keras.Sequential([keras.Input((1,), name="x"), keras.layers.Dense(1, name="y")])
    model.export(tmp_path, verbose=False)
    signature = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert list(signature.structured_outputs) == ["output_0"]


def test_grouped_convolutions_of_keras_hide_an_xla_only_function(tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    model = keras.Sequential([keras.Input((5, 5, 4)), keras.layers.Conv2D(4, 3, groups=2)])
    model.export(tmp_path, verbose=False)
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    assert any(function.attr["_XlaMustCompile"].b for function in functions)
