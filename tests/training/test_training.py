"""The networks, the training loop, the clock and the page."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_datasets", reason="the extra 'train' is not installed")

from tf_symconv import datasets
from tf_symconv.layers import SymmetricConv2D
from tf_symconv.training import ROLES, Settings, TrainingError, _model, _plots, _report, _timing, _trainer

SETTINGS = Settings(filters=2, kernel_size="3", epochs=2, batch_size=300)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return datasets.load(data_dir=tmp_path_factory.mktemp("data"), batch_size=300)


def _build(role="plain", shape=(8, 8, 1), **changes):
    return _model.build(Settings(**{**SETTINGS.to_dict(), **changes}), role, shape, 10, 10)


def test_first_weights_depend_on_the_seed_alone():
    first = {role: _build(role).get_weights() for role in ROLES}
    keras.random.normal((3,))
    np.random.default_rng().normal()
    for role in reversed(ROLES):  # the other order, and after random numbers were drawn
        for old, new in zip(first[role], _build(role).get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    assert not np.array_equal(_build(seed=1).get_weights()[0], first["plain"][0])
    assert _build().variables[-1].shape == (10,)


def test_all_state_of_a_network_is_in_its_variables():
    """The dropout's random state too: a checkpoint must hold it."""
    seeds = [variable for variable in _build().variables if "seed" in variable.path]
    assert len(seeds) == 1 and seeds[0].shape == (2,)


@pytest.mark.parametrize(
    ("shape", "blocks", "last"),
    [
        ((1, 1, 1), 1, (1, 1)),
        ((8, 8, 1), 2, (2, 2)),
        ((28, 28, 1), 3, (4, 4)),
        ((32, 32, 3), 4, (2, 2)),
        ((7, 40, 3), 1, (4, 20)),
        ((224, 160, 3), 4, (14, 10)),
    ],
)
def test_the_depth_follows_the_image(shape, blocks, last):
    model = _build("symmetric", shape)
    assert len(_model.convolutions(model)) == 2 * blocks
    assert [layer.filters for layer in _model.convolutions(model)[::2]] == [2 * 2**block for block in range(blocks)]
    assert tuple(model.get_layer("flatten").input.shape[1:3]) == last
    assert model.output_shape == (None, 10)


def test_weights_are_counted_by_hand():
    counts = _model.weights(_build("symmetric", kernel_size="3x5", symmetry="h=50%", filters=4))
    first = counts["layers"][0]
    assert first == {"name": "block1_conv1", "kernel": [3, 5, 1, 4], "free": 2 * 9 + 2 * 15, "effective": 60}
    saved = sum(row["effective"] - row["free"] for row in counts["layers"])
    plain = _model.weights(_build("plain", kernel_size="3x5", filters=4))
    assert counts["effective"] == counts["free"] + saved == plain["free"] == plain["effective"]


def test_sixteen_bits_inside_thirty_two_outside():
    model = _build("symmetric", mixed_precision=True)
    layer = _model.convolutions(model)[0]
    assert (layer.compute_dtype, layer.variable_dtype) == ("bfloat16", "float32")
    assert model(np.zeros((2, 8, 8, 1), "float32")).dtype == tf.float32
    assert keras.config.dtype_policy().name == "float32"  # no global setting is left behind


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="symmetry='q'"):
        _build("symmetric", symmetry="q")
    with pytest.raises(ValueError, match="3"):
        _build("symmetric", symmetry="hv=3")
    _build("plain", symmetry="q")


def test_training_resumes_where_it_was(data, tmp_path):
    calls = []
    whole = _trainer.fit(
        _build(), data, 2, tmp_path / "a", tmp_path / "logs", lambda h, done: calls.append((len(h), done))
    )
    steps = data.steps_per_epoch
    fractions = [(0, 0.0), *((0, (n + 1) / steps) for n in range(steps)), (1, 1.0)]
    assert calls == fractions + [(1 + h, 1 + done) for h, done in fractions[1:]]

    def stop(history, done):
        if history:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _trainer.fit(_build(), data, 2, tmp_path / "b", tmp_path / "logs_b", stop)
    (tmp_path / "b" / "ckpt-2.data-00000-of-00001").write_text("half a checkpoint")
    (tmp_path / "b" / "ckpt-2_temp").mkdir()
    model = _build(seed=9)  # whatever it starts from
    seen = []
    rest = _trainer.fit(model, data, 2, tmp_path / "b", tmp_path / "logs_b", lambda h, done: seen.append((h, done)))
    assert seen[0] == (whole[:1], 1.0) and len(rest) == 2
    assert int(model.optimizer.iterations.numpy()) == 2 * data.steps_per_epoch
    names = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert names == ["checkpoint", "ckpt-2.data-00000-of-00001", "ckpt-2.index"]
    again = _trainer.fit(_build(), data, 2, tmp_path / "b", tmp_path / "logs_b")
    assert again == rest  # nothing left to train


def test_a_diverging_training_stops_in_words(data, tmp_path):
    with pytest.raises(TrainingError, match="not finite in epoch 1; lower --learning_rate"):
        _trainer.fit(_build(learning_rate=1e30), data, 2, tmp_path / "a", tmp_path / "logs")
    assert not list((tmp_path / "a").glob("ckpt*"))


def test_a_full_disk_stops_it_in_words(data, tmp_path, monkeypatch):
    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nmore of it")

    monkeypatch.setattr(tf.train.CheckpointManager, "save", full)
    with pytest.raises(TrainingError, match=r"stopped in epoch 1: No space left on device$"):
        _trainer.fit(_build(), data, 1, tmp_path / "a", tmp_path / "logs")


def test_a_checkpoint_of_another_model_or_a_damaged_one_is_told(data, tmp_path):
    _trainer.fit(_build(), data, 1, tmp_path / "a", tmp_path / "logs")
    with pytest.raises(TrainingError, match=r"cannot be used .* delete that directory"):
        _trainer.fit(_build(filters=3), data, 2, tmp_path / "a", tmp_path / "logs")
    (tmp_path / "a" / "ckpt-1.data-00000-of-00001").write_bytes(b"no")
    with pytest.raises(TrainingError, match="cannot be used") as caught:
        _trainer.fit(_build(), data, 2, tmp_path / "a", tmp_path / "logs")
    assert "\n" not in str(caught.value)


def test_times_are_medians_after_the_warm_up(monkeypatch):
    models = {"fast": _build(), "slow": _build()}
    steps = {"fast": 0, "slow": 0}
    clock = itertools.count()

    def step(name, seconds):
        def run():
            steps[name] += 1
            now[0] += 100.0 if steps[name] <= _timing._WARM_UP or steps[name] % 7 == 0 else seconds  # outliers
            return np.zeros(())

        return run

    now = [float(next(clock))]
    durations = {id(models["fast"]): ("fast", 0.002), id(models["slow"]): ("slow", 0.005)}
    for kind in ("_training_step", "_prediction_step"):
        monkeypatch.setattr(_timing, kind, lambda model, *_: step(*durations[id(model)]))
    monkeypatch.setattr(_timing, "_SECONDS", 1e9)
    monkeypatch.setattr(_timing.time, "perf_counter", lambda: now[0])
    times = _timing.step_times(models, np.zeros((2, 8, 8, 1)), np.zeros(2))
    assert times["fast"]["train"] == pytest.approx(2.0) and times["slow"]["train"] == pytest.approx(5.0)
    assert steps == {"fast": 2 * (_timing._WARM_UP + _timing._STEPS), "slow": 2 * (_timing._WARM_UP + _timing._STEPS)}


def test_slow_steps_are_timed_within_a_budget(monkeypatch):
    monkeypatch.setattr(_timing, "_SECONDS", 0.0)
    model = _build()
    before = int(model.optimizer.iterations.numpy())
    times = _timing.step_times({"one": model}, tf.zeros((4, 8, 8, 1)), tf.zeros(4, tf.int64))
    assert int(model.optimizer.iterations.numpy()) - before == _timing._WARM_UP + _timing._MIN_STEPS
    assert set(times["one"]) == {"train", "predict"} and min(times["one"].values()) > 0


def test_curves_of_one_epoch_are_visible():
    epoch = {"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.4}
    figure = _plots.curves({role: [epoch] for role in ROLES})
    assert all(line.get_marker() == "o" for axes in figure.axes for line in axes.lines)
    assert [len(axes.lines) for axes in figure.axes] == [4, 4]


def test_kernels_are_shown_before_and_after():
    before, after = _build("symmetric"), _build("symmetric", seed=1)
    figure = _plots.kernels(before, after)
    first, last = (part.axes for part in figure.subfigs[:2])
    assert len(first) == len(last) == 2
    for axes, model in ((first, before), (last, after)):
        layer = next(layer for layer in model.layers if isinstance(layer, SymmetricConv2D))
        np.testing.assert_array_equal(axes[1].images[0].get_array(), np.asarray(layer.kernel)[:, :, 0, 1])
    assert first[0].images[0].get_clim() == last[0].images[0].get_clim()
    assert [part.get_suptitle().split(") ")[1] for part in figure.subfigs] == ["before training", "after training"] * 2


def _metrics():
    model = {
        "test": {"accuracy": 0.95, "loss": 0.1},
        "weights": {"free": 10, "effective": 40, "layers": [
            {"name": "c", "kernel": [3, 3, 1, 2], "free": 5, "effective": 18}]},
        "history": [],
    }  # fmt: skip
    plain = json.loads(json.dumps(model))
    plain["weights"]["free"] = 40
    plain["test"]["accuracy"] = 0.9
    return {
        "settings": Settings(symmetry="<script>alert(1)</script>").to_dict(),
        "data": {"name": "d", "image_shape": [8, 8, 1], "class_names": ["0", "1"],
                 "sizes": {"train": 10, "validation": 5, "test": 200}},
        "models": {"symmetric": model, "plain": plain},
        "timing": {"milliseconds": {role: {"train": 2.0, "predict": 1.0} for role in ROLES},
                   "batch_size": 4, "device": "CPU"},
        "versions": {"python": "3"},
        "verification": {
            "version_dir": "export/1", "tensorflow_version": "2", "ok": False, "problems": ["signature x: <crash>"],
            "comparisons": [], "foreign_ops": ["Foo"], "xla_demands": [],
            "probes": [
                {"kind": "wrong rank", "input": "x", "sent": sent, "outcome": "crash", "detail": "SIGABRT", "ok": False}
                for sent in ("float32 (1)", "float32 (2)")
            ],
        },
    }  # fmt: skip


def test_the_page_tells_a_failed_verification_and_escapes_what_it_is_given(tmp_path):
    picture = tmp_path / "p.png"
    picture.write_bytes(b"png")
    page = _report.render(_metrics(), dict.fromkeys(("curves", "kernels_symmetric", "kernels_plain"), picture))
    assert "not verified" in page and "signature x: &lt;crash&gt;" in page
    assert "<script" not in page and "&lt;script&gt;" in page
    assert page.count("crash, SIGABRT") == 1 and "float32 (1)" in page and "float32 (2)" in page
    assert page.count("data:image/png;base64,cG5n") == 3


def test_the_comparison_is_of_the_figures():
    rows = {title: (values, compared) for title, values, compared in _report.comparison(_metrics())}
    assert rows["Test accuracy"] == (["95.00%", "90.00%"], "+5.00 points")
    assert rows["Wrong test images"] == (["10 of 200", "20 of 200"], "-10")
    assert rows["Free weights"] == (["10", "40"], "4.00 times fewer")
    assert rows["Effective weights"] == (["40", "40"], "")
    even = _metrics()
    even["models"]["plain"] = even["models"]["symmetric"]
    rows = {title: compared for title, _, compared in _report.comparison(even)}
    assert rows["Test accuracy"] == rows["Wrong test images"] == rows["Free weights"] == "same"


def test_times_are_compared_as_a_ratio():
    metrics = _metrics()
    metrics["timing"]["milliseconds"]["symmetric"]["train"] = 3.0
    rows = {title: (values, compared) for title, values, compared in _report.comparison(metrics)}
    assert rows["Time per training step"] == (["3.00 ms", "2.00 ms"], "ratio 1.50")
