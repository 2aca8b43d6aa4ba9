"""Every module against the Keras layer of its name, and against what TensorFlow users do with a ``tf.Module``.

The rows are those of the table of layers: a row whose layer has a module of its name is a row here.
"""

import inspect
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.cases import CASES
from tf_symconv import layers, modules
from tf_symconv.ops import _structured

MODULES: dict[str, Any] = {
    name: value
    for name, value in vars(modules).items()
    if name in modules.__all__ and inspect.isclass(value) and issubclass(value, tf.Module)
}
ROWS = [case for case in CASES if case.layer.__name__ in MODULES]
KERAS_ONLY = ("regularizer", "constraint", "renorm", "renorm_clipping", "renorm_momentum", "synchronized")


def make(case, **changes) -> Any:
    return MODULES[case.layer.__name__](**{**case.arguments, **changes})


def make_built(case, **changes) -> Any:
    module = make(case, **changes)
    module.build((None, *case.input_shape))
    return module


def rows_with(*wanted):
    """Parametrise a test over the rows whose modules have all these attributes once they are built."""
    found = [case for case in ROWS if all(hasattr(make_built(case), name) for name in wanted)]
    return pytest.mark.parametrize("case", found, ids=lambda case: case.id)


rows = pytest.mark.parametrize("case", ROWS, ids=lambda case: case.id)


def weights_of(layer):
    """Return the variables of a layer or module by what they are."""
    names = ("latent" if hasattr(layer, "latent") else "kernel", "pointwise_kernel", "bias")
    names += ("gamma", "beta", "moving_mean", "moving_variance")
    return {name: getattr(layer, name) for name in names if getattr(layer, name, None) is not None}


def built_pair(case, **changes):
    """Return a Keras layer with random weights and a module with the same."""
    layer, module = case.make(**changes), make(case, **changes)
    layer.build((None, *case.input_shape))
    module.build((None, *case.input_shape))
    rng = np.random.default_rng(0)
    theirs, ours = weights_of(layer), weights_of(module)
    assert list(theirs) == list(ours)
    for name, variable in ours.items():
        value = rng.normal(size=theirs[name].shape)
        value = value**2 if name == "moving_variance" else value
        theirs[name].assign(value)
        variable.assign(tf.cast(value, variable.dtype))
    return layer, module


def test_every_public_module_has_a_row():
    assert {case.layer.__name__ for case in ROWS} == set(MODULES)


def test_every_convolution_layer_has_a_module():
    assert {name for name in layers.__all__ if "Conv" in name} <= set(MODULES)


@rows
def test_same_numbers_and_gradients_as_the_keras_layer(case):
    layer, module = built_pair(case)
    x = tf.constant(case.inputs(3))
    np.testing.assert_allclose(module(x), layer(x), rtol=1e-5, atol=1e-5)
    theirs, ours = weights_of(layer), weights_of(module)
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(tf.sin(one(x))) for one in (layer, module)]
    for name, variable in ours.items():
        if not variable.trainable:
            continue
        expected = tape.gradient(losses[0], theirs[name].value)
        np.testing.assert_allclose(tape.gradient(losses[1], variable), expected, rtol=1e-4, atol=1e-4)


@rows
def test_variables_are_made_at_the_first_call(case):
    module = make(case)
    assert not module.built
    assert module.variables == ()
    assert not hasattr(module, "latent")
    x = tf.constant(case.inputs(2))
    module(x)
    made = module.trainable_variables
    module(x)
    assert all(one is other for one, other in zip(module.trainable_variables, made, strict=True))
    layer = case.make()
    layer.build((None, *case.input_shape))
    assert sorted(v.shape.as_list() for v in made) == sorted(list(v.shape) for v in layer.trainable_variables)
    assert all(variable.name.startswith(f"{module.name}/") for variable in made)
    assert make(case, name="mine").name == "mine"


@rows
def test_signature_is_that_of_the_layer_without_what_only_keras_has(case):
    ours = inspect.signature(MODULES[case.layer.__name__]).parameters
    theirs = inspect.signature(case.layer).parameters
    expected = {name: one for name, one in theirs.items() if not name.endswith(KERAS_ONLY) and name != "kwargs"}
    own = [name for name in ours if name not in ("name", "dtype")]
    assert [name for name in own if name in expected] == list(expected)
    if "kwargs" not in theirs or case.stock is not None:
        assert own == list(expected)
    for name in expected:
        default = expected[name].default
        # Keras spells some defaults as tuples.
        assert np.all(np.asarray(ours[name].default) == np.asarray(default)), name


@rows
def test_config_makes_another_such_module(case):
    _, module = built_pair(case)
    other = type(module).from_config(module.get_config())
    x = case.inputs(2)
    other.build(x.shape)
    for one, two in zip(module.variables, other.variables, strict=True):
        two.assign(one)
    np.testing.assert_array_equal(module(x), other(x))
    assert set(module.get_config()) == set(inspect.signature(type(module)).parameters)


@rows
def test_functions_do_not_retrace_on_new_batch_sizes(case):
    module = make(case)
    function = tf.function(module, input_signature=[tf.TensorSpec((None, *case.input_shape))])
    function(case.inputs(2))
    traces = function.experimental_get_tracing_count()
    for batch in (3, 1, 5):
        x = case.inputs(batch)
        np.testing.assert_allclose(function(x), module(x), rtol=1e-5, atol=1e-5)
    assert function.experimental_get_tracing_count() == traces
    # The call that makes variables is traced twice by TensorFlow.
    assert traces == (2 if module.variables else 1)
    assert len(module.variables) == len(make_built(case).variables)


def test_autograph_leaves_convolutions_alone(monkeypatch):
    """It would take seconds to rewrite all that they call, where a function is traced for the first time."""
    found, run = [], _structured.run

    def spied(*arguments):
        found.append(tf.__internal__.autograph.control_status_ctx().status.name)
        return run(*arguments)

    monkeypatch.setattr(_structured, "run", spied)
    module = modules.SymmetricConv2D(4, 3, symmetry="v")
    tf.function(module, input_signature=[tf.TensorSpec((None, 8, 8, 3))]).get_concrete_function()
    assert set(found) == {"DISABLED"}


@rows_with("kernel")
def test_checkpoints_restore_before_and_after_the_first_call(case, tmp_path):
    module, later, sooner = make_built(case), make(case), make_built(case)
    path = tf.train.Checkpoint(module=module).save(tmp_path / "checkpoint")
    status = tf.train.Checkpoint(module=later).restore(path)
    x = case.inputs(2)
    np.testing.assert_allclose(later(x), module(x), rtol=1e-6, atol=1e-6)
    status.assert_consumed()
    tf.train.Checkpoint(module=sooner).restore(path).assert_consumed()
    np.testing.assert_allclose(sooner(x), module(x), rtol=1e-6, atol=1e-6)


@rows
def test_saved_models_take_any_batch(case, tmp_path):
    module = make_built(case)
    signature = tf.function(module, input_signature=[tf.TensorSpec((None, *case.input_shape), name="inputs")])
    tf.saved_model.save(module, tmp_path / "model", signatures=signature)
    loaded = tf.saved_model.load(tmp_path / "model")
    for batch in (1, 4):
        x = tf.constant(case.inputs(batch))
        (outputs,) = loaded.signatures["serving_default"](inputs=x).values()
        np.testing.assert_allclose(outputs, module(x), rtol=1e-5, atol=1e-5)


@rows
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_computation_follows_the_type_of_the_inputs(case, dtype):
    layer, module = built_pair(case)
    x = case.inputs(2)
    outputs = module(tf.cast(x, dtype))
    assert outputs.dtype == dtype
    tolerance = {"float16": 0.02, "bfloat16": 0.15, "float64": 1e-5}[dtype]
    np.testing.assert_allclose(tf.cast(outputs, tf.float64), layer(x), rtol=tolerance, atol=3 * tolerance)
    assert all(variable.dtype == tf.float32 for variable in module.variables)


@rows_with("kernel")
def test_double_precision_variables(case):
    layer, module = built_pair(case, dtype="float64")
    assert all(variable.dtype == tf.float64 for variable in module.variables)
    x = case.inputs(2, "float64")
    np.testing.assert_allclose(module(x), layer(x), rtol=1e-11, atol=1e-11)


@rows
def test_compiled_by_xla(case):
    module = make_built(case)
    x = tf.constant(case.inputs(2))
    np.testing.assert_allclose(tf.function(module, jit_compile=True)(x), module(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", [case for case in ROWS if len(case.input_shape) > 1], ids=lambda case: case.id)
def test_channels_first_is_channels_last_transposed(case):
    has_axis = "axis" in inspect.signature(MODULES[case.layer.__name__]).parameters
    last, first = make_built(case), make(case, **({"axis": 1} if has_axis else {"data_format": "channels_first"}))
    first.build((None, case.input_shape[-1], *case.input_shape[:-1]))
    for one, two in zip(last.variables, first.variables, strict=True):
        two.assign(one)
    x = case.inputs(2)
    np.testing.assert_allclose(np.moveaxis(np.asarray(first(np.moveaxis(x, -1, 1))), 1, -1), last(x), atol=1e-5)


@rows_with("latent")
def test_training_keeps_the_structure(case):
    module = make_built(case)
    x = tf.constant(case.inputs(4))

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(module(x) - 1.0))
        variables = module.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(tf.multiply(0.02, gradient))
        return loss

    losses = [float(step()) for _ in range(6)]
    assert losses[-1] < losses[0]
    kernel = module.kernel
    structured = module.kernel_map.expand(module.kernel_map.project(kernel), module.kernel_shape)
    np.testing.assert_allclose(kernel, structured, atol=1e-5)
