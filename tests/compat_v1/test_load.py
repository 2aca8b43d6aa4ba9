"""Name-based checkpoints into modules and Keras models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.compat_v1.test_golden import GOLDEN, GROUP_CASES, PLAIN, arrays
from tests.oracles import convolve
from tf_symconv import compat_v1, layers, modules

v1 = tf.compat.v1
CHECKPOINT = GOLDEN / "checkpoint/model.ckpt"
NAMES = [name.removesuffix(":0") for name in arrays["legacy/var_names"]]
rng = np.random.default_rng(11)


def legacy(x):
    h = tf.nn.relu(v1.nn.conv2d(x, compat_v1.SymmetricKernels(5, 3, 2, 4, name="k1"), PLAIN, "SAME"))
    t1 = compat_v1.symmetric_convolution(h, 6, (3, 3), "a")
    t2 = compat_v1.symmetric_convolution(h, 6, (3, 3), "a", dilations=[1, 2, 2, 1])
    h2 = v1.nn.conv2d(h, compat_v1.SymmetricKernels(4, 4, 4, 3, name="k2"), [1, 2, 2, 1], "VALID")
    with v1.variable_scope("tower"):
        t3 = compat_v1.symmetric_convolution(h2, 5, (3, 5), "b")
    return {"h": h, "t1": t1, "t2": t2, "h2": h2, "t3": t3}


def close(value, key):
    expected = arrays[f"legacy/{key}"]
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def save(path, variables):
    """Write a checkpoint as TF1 code does."""
    with tf.Graph().as_default():
        for name, value in variables.items():
            v1.get_variable(name, initializer=tf.constant(value))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            return v1.train.Saver().save(session, str(path))


def test_the_golden_checkpoint_into_a_v1_module():
    module = compat_v1.V1Module(legacy)
    module.build(tf.TensorSpec([None, 12, 12, 2]))
    before = module.named_variables["Variable"].numpy()
    report = compat_v1.load_checkpoint(CHECKPOINT, module, dry_run=True)
    assert [(match.source, match.target, match.action) for match in report.matched] == [
        (name, name, "copied") for name in sorted(NAMES)
    ]
    assert (report.left_over, report.missing, report.errors) == ((), (), ())
    np.testing.assert_array_equal(module.named_variables["Variable"], before)
    assert compat_v1.load_checkpoint(CHECKPOINT.parent, module) == report
    for key, value in module(arrays["legacy/x"]).items():
        close(value, key)


def test_the_golden_checkpoint_into_a_keras_model():
    """The whole graph: the twin flips keep all channels, and their maximum is that of TF1."""

    def twin(filters, size, name, **kwargs):
        return layers.TwinFlipConv2D(
            filters, size, axes="h", reduction="concat", padding="same", use_bias=False, name=name, **kwargs
        )

    def most(x):
        return keras.ops.max(x, axis=-1, keepdims=True)

    inputs = keras.Input((12, 12, 2))
    k1 = layers.SymmetricConv2D(4, (5, 3), symmetry="v", padding="same", use_bias=False, activation="relu", name="k1")
    h = k1(inputs)
    a, dilated = twin(12, 3, "a"), twin(12, 3, "a_dilated", dilation_rate=2)
    h2 = layers.SymmetricConv2D(3, 4, strides=2, symmetry="v", use_bias=False, name="k2")(h)
    outputs = {"h": h, "t1": most(a(h)), "t2": most(dilated(h)), "h2": h2, "t3": most(twin(10, (3, 5), "b")(h2))}
    model = keras.Model(inputs, outputs)
    mapping = {
        "Variable": "k1/kernel",
        "Variable_1": "k2/kernel",
        "conv_kernel_a": "a/kernel",
        "tower//conv_kernel_b": "b/kernel",
    }
    report = compat_v1.load_checkpoint(CHECKPOINT, model, mapping)
    assert {(match.source, match.target, match.action) for match in report.matched} == {
        (source, target, "copied") for source, target in mapping.items()
    }
    assert (report.left_over, report.missing) == ((), ("a_dilated/kernel",))
    dilated.set_weights(a.get_weights())
    for key, value in model(arrays["legacy/x"]).items():
        close(value, key)
    np.testing.assert_array_equal(k1.kernel, arrays["legacy/w1"])


def test_modules_of_this_library_take_kernels_as_its_layers_do(tmp_path):
    class Net(tf.Module):
        def __init__(self):
            super().__init__()
            self.first = modules.SymmetricConv2D(4, (5, 3), symmetry="v", padding="same", use_bias=False, name="first")

        def __call__(self, x):
            return tf.nn.relu(self.first(x))

    full = save(tmp_path / "m", {"first/kernel": arrays["legacy/w1"]})
    for path, mapping, action in ((full, None, "selected"), (CHECKPOINT, {"Variable": "first/kernel"}, "copied")):
        net = Net()
        net(tf.zeros([1, 12, 12, 2]))
        report = compat_v1.load_checkpoint(path, net, mapping)
        assert [(match.target, match.action) for match in report.matched] == [("first/kernel", action)]
        close(net(tf.constant(arrays["legacy/x"])), "h")


@pytest.mark.parametrize("case", GROUP_CASES)
def test_filters_on_groups_find_their_order(tmp_path, case):
    golden = {key.rsplit("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"groupy/{case}/")}
    group, no, nto = case.split("_")[1].lower(), *map(int, golden["info"][:2])
    bias = np.arange(1.0, no + 1, dtype="float32")
    x, w = golden["x"], golden["w"]
    with tf.Graph().as_default():
        variable = v1.get_variable("conv/weights", initializer=w)
        v1.get_variable("conv/biases", initializer=bias)
        indices, info, _ = compat_v1.gconv2d_util(*case.split("_")[:2], info_channels(golden), no, w.shape[0])
        y = compat_v1.gconv2d_addbias(
            compat_v1.gconv2d(tf.constant(x), variable, PLAIN, "VALID", indices, info),
            v1.global_variables()[1],
            nto,
        )
        step = v1.train.AdamOptimizer(0.01, epsilon=1e-7).minimize(tf.reduce_mean(tf.square(y)))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(step)
            path = v1.train.Saver().save(session, str(tmp_path / "m"))
            expected = [session.run([tf.reduce_mean(tf.square(y)), step])[0] for _ in range(3)]
    layer = layers.GroupConv2D(
        no * nto,
        w.shape[0],
        group=group,
        input_group=None if case.startswith("Z2") else group,
        equivariance="relaxed",
        name="g",
    )
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile(keras.optimizers.Adam(0.01), lambda _, y: keras.ops.mean(keras.ops.square(y)), run_eagerly=True)
    report = compat_v1.load_checkpoint(path, model, {"conv/weights": "g/kernel", "conv/biases": "g/bias"})
    actions = {match.source: match.action for match in report.matched}
    assert actions["conv/weights"] == ("copied" if case.startswith("Z2") else "reordered")
    assert actions["conv/weights/Adam_1"] == "state"
    losses = [model.train_on_batch(x, np.zeros(model.output_shape[1:])[None].repeat(len(x), 0)) for _ in range(3)]
    np.testing.assert_allclose(losses, expected, rtol=3e-5)


def info_channels(golden):
    return int(golden["info"][2])


def test_spectra_go_into_spectral_layers(tmp_path):
    filters = rng.normal(size=(2, 3, 4, 5))
    x = rng.normal(size=(2, 9, 8, 2)).astype("float32")
    with tf.Graph().as_default():
        initial = {"net/conv": np.fft.fft2(filters)}
        y, _, _ = compat_v1.fft_conv(tf.constant(x), 3, 5, 4, 1, name="net/conv", initialization=initial)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            path = v1.train.Saver().save(session, str(tmp_path / "m"))
            expected = session.run(y)
    layer = layers.SpectralConv2D(3, (4, 5), padding="same", activation="relu", name="s")
    model = keras.Sequential([keras.Input((9, 8, 2)), layer])
    mapping = {"net/conv/spectrum": "s/kernel", "net/conv/bias": "s/bias"}
    report = compat_v1.load_checkpoint(path, model, mapping)
    assert {match.action for match in report.matched} == {"transformed", "copied"}
    np.testing.assert_allclose(layer.kernel, filters.transpose(2, 3, 0, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)


def test_layers_of_cnn_symmetry_become_flip_banks(tmp_path):
    blocks = {name: rng.normal(size=(3, 3, 2, n)).astype("float32") for name, n in (("h", 2), ("v", 1), ("hv", 1))}
    free = rng.normal(size=(3, 3, 2, 2)).astype("float32")
    biases = {"v": np.float32([5]), "h": np.float32([6, 7]), "hv": np.float32([8]), "nonsym": np.float32([9, 10])}
    variables = {f"sym/kernel_sym_{name}": block for name, block in blocks.items()} | {"sym/kernel_nonsym": free}
    path = save(tmp_path / "m", variables | {f"sym/bias_{name}": bias for name, bias in biases.items()})
    # As the original builds them: pairs, pairs, quadruples; its shared biases come in the order v, h, hv.
    h, v, hv = blocks["h"], blocks["v"], blocks["hv"]
    kernel = np.concatenate([h, h[:, ::-1], v, v[::-1], hv, hv[:, ::-1], hv[::-1], hv[::-1, ::-1], free], axis=-1)
    bias = np.concatenate([biases["v"], biases["v"], biases["h"], biases["h"], *[biases["hv"]] * 4, biases["nonsym"]])
    x = rng.normal(size=(2, 7, 6, 2)).astype("float32")
    layer = layers.FlipBankConv2D(12, 3, symmetry={"h": 4, "v": 2, "hv": 4}, share_bias=False, name="bank")
    model = keras.Sequential([keras.Input((7, 6, 2)), layer])
    report = compat_v1.load_checkpoint(path, model, {"sym/": "bank/"})
    assert {match.action for match in report.matched} == {"merged"}
    assert report.left_over == report.missing == ()
    np.testing.assert_allclose(model(x), convolve(x, kernel) + bias, rtol=1e-4, atol=1e-4)
    # A target that has the parts gets the parts.
    apart = tf.Module()
    apart.all = [tf.Variable(tf.zeros_like(value), name=name) for name, value in variables.items()]
    report = compat_v1.load_checkpoint(path, apart)
    assert {match.action for match in report.matched} == {"copied"}
    np.testing.assert_array_equal(apart.all[0], blocks["h"])
    shared = keras.Sequential([keras.Input((7, 6, 2)), layers.FlipBankConv2D(12, 3, symmetry={"hv": 4}, name="bank")])
    with pytest.raises(
        ValueError, match=r"'sym/kernel' has the shape \(3, 3, 2, 6\) and '.*bank/kernel' \(3, 3, 2, 9\)"
    ):
        compat_v1.load_checkpoint(path, shared, {"sym/": "bank/"})


def test_centre_and_surround_become_one_kernel_and_small_kernels_are_spread(tmp_path):
    centre, surround = rng.normal(size=(2, 1, 3, 4)).astype("float32")
    small = rng.normal(size=(3, 3, 1, 2)).astype("float32")
    path = save(
        tmp_path / "m",
        {
            "global/kernel": centre,
            "global/surround": surround,
            "global/bias": np.ones((1, 1, 4), "float32"),
            "custom/kernel": small,
            "custom/bias": np.zeros(2, "float32"),
        },
    )
    mixed, images = keras.Input((6, 3)), keras.Input((9, 9, 1))
    outputs = [
        layers.GlobalConv1D(4, name="global")(mixed),
        layers.PatternConv2D(2, "AABCC/AABCC/DDEFF/GGHII/GGHII", name="custom")(images),
    ]
    model = keras.Model([mixed, images], outputs)
    report = compat_v1.load_checkpoint(path, model)
    assert {match.source: match.action for match in report.matched} == {
        "global/kernel + global/surround": "merged",
        "global/bias": "reshaped",
        "custom/kernel": "reshaped",
        "custom/bias": "copied",
    }
    x, y = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 9, 9, 1)).astype("float32")
    rest = x.sum(1, keepdims=True) - x
    first, second = model([x.astype("float32"), y])
    np.testing.assert_allclose(first, x @ centre[0] + rest @ surround[0] + 1, rtol=1e-4, atol=1e-4)
    spread = np.repeat(np.repeat(small, (2, 1, 2), 0), (2, 1, 2), 1)
    np.testing.assert_allclose(second, convolve(y, spread), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("symmetric", [True, False])
def test_full_kernels_go_into_structured_layers(tmp_path, symmetric):
    kernel = rng.normal(size=(5, 5, 2, 3)).astype("float32")
    if symmetric:
        kernel = (kernel + kernel[::-1]) / 2
    path = save(tmp_path / "m", {"net/conv/kernel": kernel, "net/conv/bias": np.arange(3.0, dtype="float32")})
    model = keras.Sequential([keras.Input((8, 8, 2)), layers.SymmetricConv2D(3, 5, symmetry="v", name="conv")])
    report = compat_v1.load_checkpoint(path, model, {"net/": "/"})
    np.testing.assert_allclose(model.layers[0].kernel, (kernel + kernel[::-1]) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.layers[0].bias, [0, 1, 2])
    (match,) = [match for match in report.matched if match.source.endswith("kernel")]
    lost = np.linalg.norm(kernel - kernel[::-1]) / 2 / np.linalg.norm(kernel)
    assert match.action == ("selected" if symmetric else "projected")
    assert match.residual == pytest.approx(0.0 if symmetric else lost, rel=1e-4)
    assert "net/conv/kernel -> sequential" in str(report)
    assert (f"relative residual {lost:.2g}" in str(report)) != symmetric


def test_axes_of_size_one_do_not_matter(tmp_path):
    path = save(tmp_path / "m", {"w": np.ones((1, 1, 4), "float32"), "double": np.ones(2), "n": np.float32(3)})
    module = tf.Module()
    module.w, module.double, module.n = tf.Variable(tf.zeros([4])), tf.Variable(tf.zeros([2])), tf.Variable([0.0])
    report = compat_v1.load_checkpoint(path, module)
    assert {match.source: match.action for match in report.matched} == {
        "w": "reshaped",
        "double": "copied",
        "n": "reshaped",
    }
    np.testing.assert_array_equal(module.w, np.ones(4))
    np.testing.assert_array_equal(module.double, np.ones(2))
    np.testing.assert_array_equal(module.n, [3])


def test_modules_are_reached_by_names_and_by_paths(tmp_path):
    class Net(tf.Module):
        def __init__(self):
            super().__init__()
            self.first = {"w": tf.Variable([0.0], name="encoder/w")}
            self.rest = [tf.Variable([0.0], name="w"), tf.Variable([0.0], name="w")]

    path = save(tmp_path / "m", {n: np.float32([i]) for i, n in enumerate(["encoder/w", "old/a", "old/b"], 1)})
    net = Net()
    report = compat_v1.load_checkpoint(path, net, {"old/a": "rest/0", "old/b": "rest/1"})
    assert [float(v[0]) for v in (net.first["w"], *net.rest)] == [1, 2, 3]
    assert report.missing == ()
    with pytest.raises(ValueError, match="'w' stands for several variables: 'rest/0', 'rest/1'"):
        compat_v1.load_checkpoint(path, net, {"old/a": "w"})


def test_mappings_rename_scopes_and_drop_names(tmp_path):
    path = save(tmp_path / "m", {n: np.float32(i) for i, n in enumerate(["a/x", "a/b/x", "a/b/y", "z"])})

    def module(*names):
        made = tf.Module()
        made.all = [tf.Variable(-1.0, name=name) for name in names]
        return made

    net = module("new/x", "deep/x", "deep/y", "z")
    report = compat_v1.load_checkpoint(path, net, {"a/": "new/", "a/b/": "deep/", "z": None})
    assert [float(v) for v in net.all] == [0, 1, 2, -1]
    assert report.left_over == ("z",)
    assert report.missing == ("z",)
    net = module("top/a/x", "top/z")
    report = compat_v1.load_checkpoint(path, net, {"/": "top/"})
    assert [float(v) for v in net.all] == [0, 3]
    net = module("A/X", "Z")
    report = compat_v1.load_checkpoint(path, net, lambda name: name.upper() if "b" not in name else None)
    assert [float(v) for v in net.all] == [0, 3]
    assert report.left_over == ("a/b/x", "a/b/y")


@pytest.mark.parametrize(
    ("mapping", "messages"),
    [
        ({"conv/kernal": "kernel"}, ["The checkpoint has no 'conv/kernal'; nearest: 'conv/kernel'"]),
        ({"cov/": "x/"}, ["The checkpoint has no 'cov/'; nearest: 'conv/'"]),
        ({"conv/kernel": "kernle"}, ["The target has no 'kernle'; nearest: 'kernel'"]),
        ({"conv/kernel": "bias"}, [r"'conv/kernel' has the shape \(3, 3, 1, 2\) and 'bias' \(2,\)", "'conv/bias'"]),
        ({"conv/kernel": "kernel", "conv/bias": "kernel"}, ["'conv/kernel' both go into 'kernel'|and 'conv/kernel'"]),
        (None, ["No name of the checkpoint is one of the target", "'bias', 'kernel'", "'conv/bias', 'conv/kernel'"]),
    ],
)
def test_errors_name_what_is_near_and_change_nothing(tmp_path, mapping, messages):
    path = save(tmp_path / "m", {"conv/kernel": np.ones((3, 3, 1, 2), "float32"), "conv/bias": np.ones(2, "float32")})
    module = tf.Module()
    module.kernel, module.bias = tf.Variable(tf.zeros([3, 3, 1, 2])), tf.Variable(tf.zeros([2]))
    with pytest.raises(ValueError) as caught:
        compat_v1.load_checkpoint(path, module, mapping)
    for message in messages:
        assert caught.match(message)
    report = compat_v1.load_checkpoint(path, module, mapping, dry_run=True)
    assert bool(report.errors) == (mapping is not None)
    assert not np.any(module.kernel) and not np.any(module.bias)


def test_bad_targets_and_checkpoints_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"V1Module, a tf\.Module or a Keras model"):
        compat_v1.load_checkpoint(CHECKPOINT, object())
    with pytest.raises(ValueError, match="build it or call it once"):
        compat_v1.load_checkpoint(CHECKPOINT, compat_v1.V1Module(legacy))
    module = tf.Module()
    module.w = tf.Variable(1.0)
    with pytest.raises(ValueError, match="cannot be read"):
        compat_v1.load_checkpoint(tmp_path / "nothing", module)
    with pytest.raises(ValueError, match="has no 'checkpoint' file"):
        compat_v1.load_checkpoint(tmp_path, module)
    path = tf.train.Checkpoint(module=module).save(str(tmp_path / "object"))
    with pytest.raises(ValueError, match=r"tf\.train\.Checkpoint wrote this checkpoint"):
        compat_v1.load_checkpoint(path, module)


OPTIMIZERS = {
    "Adam": (lambda: v1.train.AdamOptimizer(0.01, epsilon=1e-7), lambda: keras.optimizers.Adam(0.01)),
    "Momentum": (lambda: v1.train.MomentumOptimizer(0.02, 0.9), lambda: keras.optimizers.SGD(0.02, momentum=0.9)),
    "Nesterov": (
        lambda: v1.train.MomentumOptimizer(0.02, 0.9, use_nesterov=True),
        lambda: keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    ),
    "RMSProp": (
        lambda: v1.train.RMSPropOptimizer(0.01, momentum=0.5, epsilon=1e-7),
        lambda: keras.optimizers.RMSprop(0.01, momentum=0.5),
    ),
    "centered RMSProp": (
        lambda: v1.train.RMSPropOptimizer(0.01, momentum=0.5, centered=True, epsilon=1e-7),
        lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    ),
    "Adagrad": (lambda: v1.train.AdagradOptimizer(0.05), lambda: keras.optimizers.Adagrad(0.05)),
    "Adadelta": (
        lambda: v1.train.AdadeltaOptimizer(1.0, epsilon=1e-7),
        lambda: keras.optimizers.Adadelta(1.0),
    ),
    "Ftrl": (lambda: v1.train.FtrlOptimizer(0.05), lambda: keras.optimizers.Ftrl(0.05)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_with_the_same_steps(tmp_path, name):
    make_old, make_new = OPTIMIZERS[name]
    x = rng.normal(size=(16, 4)).astype("float32")
    target = rng.normal(size=(16, 3)).astype("float32")
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        with v1.variable_scope("dense"):
            kernel, bias = v1.get_variable("kernel", [4, 3]), v1.get_variable("bias", [3])
        loss = tf.reduce_mean(tf.square(tf.matmul(x, kernel) + bias - target))
        step = make_old().minimize(loss, v1.train.get_or_create_global_step())
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(5):
                session.run(step)
            path = v1.train.Saver().save(session, str(tmp_path / "m"))
            expected = [session.run([loss, step])[0] for _ in range(4)]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")])
    model.compile(make_new(), "mse", run_eagerly=True)
    report = compat_v1.load_checkpoint(path, model)
    assert report.missing == ()
    assert sum(match.action == "state" for match in report.matched) >= 3
    assert int(model.optimizer.iterations) == 5
    losses = [model.train_on_batch(x, target) for _ in range(4)]
    np.testing.assert_allclose(losses, expected, rtol=2e-5)
    # A fresh optimiser takes other steps, so the state matters.
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")])
    compat_v1.load_checkpoint(path, other)
    other.compile(make_new(), "mse", run_eagerly=True)
    fresh = [other.train_on_batch(x, target) for _ in range(4)]
    assert np.abs(np.array(fresh) - expected).max() > 1e-4


def test_optimisers_of_modules(tmp_path):
    def function(x):
        return tf.reduce_mean(tf.square(tf.matmul(x, v1.get_variable("s/w", [4, 3])) - 1.0))

    x = rng.normal(size=(8, 4)).astype("float32")
    with tf.Graph().as_default():
        loss = function(tf.constant(x))
        step = v1.train.AdamOptimizer(0.01, epsilon=1e-7).minimize(loss)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(3):
                session.run(step)
            path = v1.train.Saver().save(session, str(tmp_path / "m"))
            expected = [session.run([loss, step])[0] for _ in range(4)]

    for kind in ("keras", "scaled", "v1"):
        module = compat_v1.V1Module(function)
        module.build(tf.TensorSpec([None, 4]))
        variables = list(module.trainable_variables)
        if kind == "keras":
            optimizer = keras.optimizers.Adam(0.01)
        elif kind == "scaled":
            optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=1.0)
        else:
            optimizer = v1.train.AdamOptimizer(0.01, epsilon=1e-7)
            # This one makes its slots with its first step.
            optimizer.apply_gradients([(tf.zeros_like(v), v) for v in variables])
        report = compat_v1.load_checkpoint(path, module, optimizer=optimizer)
        assert {"s/w/Adam", "s/w/Adam_1", "beta1_power"} <= {match.source for match in report.matched}
        losses = []
        for _ in range(4):
            with tf.GradientTape() as tape:
                loss = module(x)
            losses.append(float(loss))
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        np.testing.assert_allclose(losses, expected, rtol=2e-5)


@pytest.mark.parametrize("steps", [3, 2000, 60000])
def test_adam_counts_its_own_steps(tmp_path, steps):
    powers = {"beta1_power": 0.9 ** (steps + 1), "beta2_power": 0.999 ** (steps + 1)}
    path = save(
        tmp_path / "m",
        {
            "w": np.ones(2, "float32"),
            "w/Adam": np.ones(2, "float32"),
            "w/Adam_1": np.ones(2, "float32"),
            **{name: np.float32(value) for name, value in powers.items()},
            "global_step": np.int64(7),
        },
    )
    module = tf.Module()
    module.w = tf.Variable([0.0, 0.0], name="w")
    optimizer = keras.optimizers.Adam()
    compat_v1.load_checkpoint(path, module, optimizer=optimizer)
    assert int(optimizer.iterations) == (steps if steps <= 2000 else pytest.approx(steps, rel=1e-3))
