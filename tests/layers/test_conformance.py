"""What a Keras user expects of a layer, checked for every row of the table."""

import inspect
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests import oracles
from tests.layers.cases import CASES
from tf_symconv import layers
from tf_symconv.layers._structured import StructuredKernel

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
stock_rows = pytest.mark.parametrize("case", [c for c in CASES if c.stock], ids=lambda case: case.id)
structured_rows = pytest.mark.parametrize(
    "case", [c for c in CASES if issubclass(c.layer, StructuredKernel)], ids=lambda case: case.id
)
tied_rows = pytest.mark.parametrize("case", [c for c in CASES if c.labels is not None], ids=lambda case: case.id)


image_rows = pytest.mark.parametrize(
    "case",
    [c for c in CASES if "data_format" in inspect.signature(c.layer).parameters],
    ids=lambda case: case.id,
)


def predict(model, x):
    return np.asarray(model(x))


def channels_axis_first(x):
    return np.moveaxis(x, -1, 1)


def train(model, x, **arguments):
    """Take two training steps towards random targets."""
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", **arguments)
    fit(model, x)


def fit(model, x):
    if not model.trainable_variables:
        return
    targets = np.random.default_rng(1).normal(size=model.compute_output_shape(x.shape))
    # Two batches, not two epochs: iterators over distributed data take longer than the steps.
    twice = (np.concatenate([both, both]) for both in (x, targets))
    model.fit(*twice, batch_size=len(x), shuffle=False, verbose=0)


def test_every_public_layer_has_a_row():
    public = {getattr(layers, name) for name in layers.__all__}
    assert {c.layer for c in CASES} == {c for c in public if issubclass(c, keras.layers.Layer)}
    assert len({c.id for c in CASES}) == len(CASES)


@stock_rows
def test_signature_is_that_of_the_stock_layer(case):
    ours = inspect.signature(case.layer).parameters
    stock = inspect.signature(case.stock).parameters
    positional = [p for p in ours.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    replaced = getattr(case.layer, "renamed_arguments", {})
    expected = [p for p in stock.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == [replaced.get(p.name, p.name) for p in expected]
    assert [p.default for p in positional] == [p.default for p in expected]
    assert inspect.signature(case.make()) == inspect.signature(keras.layers.Layer())
    assert {p.kind for p in ours.values()} - {inspect.Parameter.POSITIONAL_OR_KEYWORD} <= {
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    }
    assert all(
        p.default is not inspect.Parameter.empty for p in ours.values() if p.kind is inspect.Parameter.KEYWORD_ONLY
    )


@rows
def test_values_equal_the_numpy_oracle(case):
    plain = {"activation": None, "bias_initializer": "random_normal"}
    layer = case.make(**{k: v for k, v in plain.items() if k in inspect.signature(case.layer).parameters})
    x = case.inputs()
    y = layer(x)
    expected = case.oracle(layer, x)
    if getattr(layer, "bias", None) is not None:
        bias = np.asarray(layer.bias)
        shared = getattr(layer, "shared_bias", None)
        expected = expected + (bias if shared is None else bias[list(shared)])
    assert y.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, expected, atol=2e-5, rtol=1e-5)


@tied_rows
def test_kernel_is_tied_as_drawn(case):
    layer = case.make()
    layer.build((None, *case.input_shape))
    labels = np.asarray(case.labels)
    free = np.reshape(layer.latent, (labels.max() + 1, *layer.kernel.shape[labels.ndim :]))
    np.testing.assert_array_equal(layer.kernel, oracles.spread(free, labels, case.signs))


@tied_rows
def test_gradients_equal_those_of_the_stock_layer_tied_by_hand(case):
    layer = case.make(activation="tanh")
    x = tf.constant(case.inputs())
    layer(x)
    free = {k: v for k, v in case.arguments.items() if k in inspect.signature(case.stock).parameters}
    stock = case.stock(**{**free, "activation": "tanh", "kernel_size": layer.kernel.shape[:-2]})
    stock.build(x.shape)
    stock.kernel.assign(layer.kernel)
    weight = np.random.default_rng(5).normal(size=layer(x).shape)
    gradients = []
    for one, variable in ((layer, layer.latent), (stock, stock.kernel)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(one(x) * weight)
        gradients.append(tape.gradient(loss, [x, variable.value]))
    (input_gradient, latent_gradient), (stock_input_gradient, kernel_gradient) = gradients
    signed = np.asarray(kernel_gradient)
    if case.signs is not None:
        signed = signed * np.asarray(case.signs)[..., None, None]
    expected = oracles.tie(signed, case.labels)
    np.testing.assert_allclose(input_gradient, stock_input_gradient, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(np.reshape(latent_gradient, expected.shape), expected, atol=1e-3, rtol=1e-4)


@rows
def test_config_round_trip(case):
    layer = case.make()
    config = layer.get_config()
    assert set(inspect.signature(case.layer).parameters) - {"kwargs"} <= set(config)
    again = case.layer.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config


@rows
def test_clone_model(case):
    model = case.make_model()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = case.inputs()
    np.testing.assert_array_equal(predict(clone, x), predict(model, x))


_LOAD = """
import sys, pathlib, keras, numpy as np, tf_symconv.layers
folder = pathlib.Path(sys.argv[1])
for path in sorted(folder.glob("*.keras")):
    model = keras.saving.load_model(path)
    x = np.load(path.with_suffix(".x.npy"))
    np.save(path.with_suffix(".y.npy"), model(x))
    blank = keras.Sequential.from_config(model.get_config())
    blank.load_weights(path.with_suffix(".weights.h5"))
    np.save(path.with_suffix(".w.npy"), blank(x))
"""


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory):
    """Save a trained model of every row, and load them all in a process of its own."""
    folder = tmp_path_factory.mktemp("models")
    expected = {}
    for case in CASES:
        model, x = case.make_model(), case.inputs()
        train(model, x, jit_compile=False)
        model.save(folder / f"{case.id}.keras")
        model.save_weights(folder / f"{case.id}.weights.h5")
        np.save(folder / f"{case.id}.x.npy", x)
        expected[case.id] = predict(model, x)
    subprocess.run([sys.executable, "-c", _LOAD, str(folder)], check=True)
    return folder, expected


@rows
def test_keras_file_and_weights_file_in_a_fresh_process(case, reloaded):
    folder, expected = reloaded
    np.testing.assert_allclose(np.load(folder / f"{case.id}.y.npy"), expected[case.id], atol=1e-6)
    np.testing.assert_allclose(np.load(folder / f"{case.id}.w.npy"), expected[case.id], atol=1e-6)


@rows
def test_saved_model_by_export_and_by_save(case, tmp_path):
    model, x = case.make_model(), case.inputs(3)
    model.export(tmp_path / "export", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(loaded.serve(x), predict(model, x), atol=1e-6)
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "export" / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    assert functions
    assert not any(function.attr["_XlaMustCompile"].b for function in functions)
    tf.saved_model.save(model, str(tmp_path / "save"))
    signature = tf.saved_model.load(str(tmp_path / "save")).signatures["serving_default"]
    (y,) = signature(tf.constant(x)).values()
    np.testing.assert_allclose(y, predict(model, x), atol=1e-6)


@rows
@pytest.mark.parametrize(("policy", "eagerly"), [("mixed_float16", False), ("mixed_bfloat16", True), ("float64", True)])
def test_dtype_policies(case, policy, eagerly):
    """They train eagerly, which is faster, but for the one that scales the loss."""
    x = case.inputs()
    model = case.make_model()
    other = case.make_model(dtype=policy)
    other.set_weights(model.get_weights())
    policy = keras.dtype_policies.get(policy)
    y = other(x)
    assert y.dtype == policy.compute_dtype
    assert all(v.dtype == policy.variable_dtype for v in other.weights)
    scale = np.abs(predict(model, x)).max()
    tolerance = {"float16": 1e-2, "bfloat16": 5e-2, "float64": 1e-5}[policy.compute_dtype]
    np.testing.assert_allclose(tf.cast(y, "float32"), predict(model, x), atol=tolerance * scale)
    before = other.get_weights()
    train(other, x, run_eagerly=eagerly, jit_compile=False)
    assert all(np.isfinite(v).all() for v in other.get_weights())
    assert all(np.any(a != b) for a, b in zip(before, other.get_weights(), strict=True))


@rows
def test_jit_compile_trains_as_without(case):
    x = case.inputs()
    plain, compiled = case.make_model(), case.make_model()
    compiled.set_weights(plain.get_weights())
    train(plain, x, run_eagerly=True, jit_compile=False)
    train(compiled, x, jit_compile=True)
    for a, b in zip(plain.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@rows
def test_unknown_batch_and_spatial_sizes(case):
    channels = case.input_shape[-1]
    shape = (None,) * (len(case.input_shape) - 1) + (channels,)
    layer = case.make()
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    function = tf.function(layer, input_signature=[tf.TensorSpec((None, *shape), "float32")])
    for batch in (1, 3):
        x = case.inputs(batch)
        y = function(x)
        assert y.shape == layer.compute_output_shape(x.shape)
        np.testing.assert_allclose(y, layer(x), atol=1e-5)
        np.testing.assert_allclose(y, model(x), atol=1e-5)
    assert function.experimental_get_tracing_count() == 1


@image_rows
def test_channels_first_is_the_transpose_of_channels_last(case):
    x = case.inputs()
    last, first = case.make(), case.make(data_format="channels_first")
    y = last(x)
    x_first = channels_axis_first(x)
    first.build(x_first.shape)
    first.set_weights(last.get_weights())
    y_first = first(x_first)
    assert y_first.shape == first.compute_output_shape(x_first.shape)
    np.testing.assert_allclose(y_first, channels_axis_first(y), atol=1e-5)


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())


@rows
def test_two_replicas_stay_equal_and_structured(case, strategy):
    x = case.inputs(4)
    with strategy.scope():
        model = case.make_model()
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", jit_compile=False)
    single = case.make_model()
    single.set_weights(model.get_weights())
    fit(model, x)
    train(single, x, run_eagerly=True, jit_compile=False)
    for ours, variable in zip(single.trainable_variables, model.trainable_variables, strict=True):
        replicas = [np.asarray(v) for v in strategy.experimental_local_results(variable.value)]
        assert len(replicas) == 2
        np.testing.assert_array_equal(replicas[0], replicas[1])
        if not case.batch_statistics:
            np.testing.assert_allclose(replicas[0], ours, atol=1e-4)
    if case.labels is not None:
        labels = np.asarray(case.labels)
        kernel = np.asarray(model.get_layer("layer").kernel)
        free = np.reshape(model.get_layer("layer").latent, (labels.max() + 1, *kernel.shape[labels.ndim :]))
        np.testing.assert_array_equal(kernel, oracles.spread(free, labels, case.signs))
    for i, (twin, letters) in enumerate(case.twins):
        axis = -2 if "Transpose" in case.layer.__name__ else -1
        one, other = (np.take(model.get_layer("layer").kernel, [j], axis) for j in (i, twin))
        flipped = np.flip(one, tuple(-3 - "hvz".index(letter) for letter in letters))
        np.testing.assert_array_equal(other, flipped)


@rows
def test_freezing(case):
    x = case.inputs()
    model = case.make_model(trainable=False)
    before = model.get_weights()
    assert not model.trainable_variables
    head = keras.Sequential([model, keras.layers.Flatten(), keras.layers.Dense(1)])
    train(head, x, run_eagerly=True)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@structured_rows
def test_regularizer_and_constraint_act_on_the_latent(case):
    structured = case.layer.structured_weight
    prefix = "depthwise" if "depthwise_regularizer" in inspect.signature(case.layer).parameters else "kernel"
    layer = case.make(**{f"{prefix}_regularizer": keras.regularizers.L2(0.5), f"{prefix}_constraint": "non_neg"})
    model = keras.Sequential([keras.Input(case.input_shape), layer])
    np.testing.assert_allclose(sum(model.losses), 0.5 * np.sum(np.square(layer.latent)), rtol=1e-5)
    train(model, case.inputs(), run_eagerly=True)
    assert np.min(layer.latent) >= 0
    assert layer.latent.name == structured


@rows
def test_summary_counts_the_free_weights(case):
    model = case.make_model()
    lines = []
    model.summary(print_fn=lines.append)
    layer = model.get_layer("layer")
    count = sum(int(np.prod(w.shape)) for w in layer.weights)
    assert layer.count_params() == count
    assert any(f"Total params: {count:,}" in line for line in "\n".join(map(str, lines)).splitlines())


@structured_rows
def test_lora_is_refused_in_words(case):
    layer = case.make()
    layer.build((None, *case.input_shape))
    with pytest.raises(ValueError, match="structured layer stores fewer weights"):
        layer.enable_lora(2)
    with pytest.raises(ValueError, match=r"lora_rank.*Received: \{'lora_rank': 2\}"):
        case.make(lora_rank=2)


@structured_rows
@pytest.mark.parametrize("implementation", ["fast", "", None, 1])
def test_unknown_implementations_are_named(case, implementation):
    with pytest.raises(ValueError, match=re.escape(f"implementation={implementation!r}")):
        case.make(implementation=implementation)


@structured_rows
def test_an_unbuilt_layer_has_no_kernel(case):
    layer = case.make()
    for name in ("latent", case.layer.structured_weight):
        assert not hasattr(layer, name)
        with pytest.raises(AttributeError, match=r"once it is built. Received: unbuilt layer"):
            getattr(layer, name)
