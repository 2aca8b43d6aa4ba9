"""The digits, other sets by name, splits, order, and what happens without a network."""

import os
import socket
import subprocess
import sys
import time
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

tfds = pytest.importorskip("tensorflow_datasets", reason="the extra 'data' is not installed")

from tf_symconv import datasets  # noqa: E402
from tf_symconv.datasets import _pipeline, _prepare  # noqa: E402
from tf_symconv.datasets._digits import stratified_test_mask  # noqa: E402


class _Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images whose pixels tell their number; subclasses say which splits there are."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS: ClassVar = {"train": 20}
    SHAPE = (6, 5, 3)

    def _info(self):
        features = {"image": tfds.features.Image(shape=self.SHAPE), "label": tfds.features.ClassLabel(num_classes=4)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(size) for split, size in self.SPLITS.items()}

    def _generate_examples(self, size):
        for number in range(size):
            yield number, {"image": np.full((6, 5, 3), number, np.uint8), "label": number % 4}


class MadeTrainOnly(_Made):
    pass


class MadeWithValidation(_Made):
    SPLITS: ClassVar = {"train": 20, "validation": 7}


class MadeWithAll(_Made):
    SPLITS: ClassVar = {"train": 20, "validation": 7, "test": 5}


class MadeOtherSplit(_Made):
    SPLITS: ClassVar = {"everything": 20}


class MadeOfSizes(_Made):
    SHAPE = (None, None, 3)

    def _generate_examples(self, size):
        for number in range(size):
            yield number, {"image": np.full((4 + number, 9, 3), 10 * number, np.uint8), "label": 0}


class MadeOfText(_Made):
    def _info(self):
        features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=2)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))


class MadeTwice(_Made):
    """While one preparation writes, another one of the same set starts and ends."""

    race = None

    def _generate_examples(self, size):
        if self.race is not None:
            directory, MadeTwice.race = self.race, None
            datasets.load("made_twice", data_dir=directory)
        yield from super()._generate_examples(size)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="module")
def digits(data_dir):
    return datasets.load(data_dir=data_dir, batch_size=100, seed=3)


@pytest.fixture
def no_network(monkeypatch):
    attempts = []

    def refuse(*args, **_):
        attempts.append(args)
        raise OSError("the test allows no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return attempts


def _gather(dataset):
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _sorted_rows(images, labels):
    rows = np.column_stack([images.reshape(len(images), -1), labels])
    return rows[np.lexsort(rows.T)]


def test_the_digits_are_those_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    parts = [_gather(digits.train(0)), _gather(digits.validation()), _gather(digits.test())]
    assert [len(labels) for _, labels in parts] == [1293, 144, 360]
    assert dict(digits.sizes) == {"train": 1293, "validation": 144, "test": 360}
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    assert images.dtype == np.float32 and images.shape == (1797, 8, 8, 1)
    assert images.min() == 0.0 and images.max() == 1.0
    assert np.abs(images * 16 - np.rint(images * 16)).max() < 0.04  # eight-bit levels beside sixteenths
    source = load_digits()
    np.testing.assert_array_equal(
        _sorted_rows(np.rint(images * 16), labels), _sorted_rows(source.images.astype(np.float32), source.target)
    )


def test_every_class_has_its_share_of_the_test_set(digits):
    from sklearn.datasets import load_digits

    expected = np.bincount(load_digits().target) * 360 / 1797
    found = np.bincount(_gather(digits.test())[1])
    assert found.sum() == 360
    assert np.abs(found - expected).max() < 1


def test_the_stratified_choice_is_exact_and_frozen():
    labels = np.array([0] * 50 + [1] * 30 + [2] * 20)
    mask = stratified_test_mask(labels, 10)
    assert [mask[labels == c].sum() for c in range(3)] == [5, 3, 2]
    np.testing.assert_array_equal(mask, stratified_test_mask(labels, 10))
    assert np.flatnonzero(mask).tolist() == [2, 7, 13, 16, 26, 55, 73, 75, 86, 93]


def test_the_order_depends_on_seed_and_epoch_only(digits, data_dir):
    tf.random.set_seed(1)
    first = [_gather(digits.train(epoch)) for epoch in range(3)]
    tf.random.set_seed(2)
    again = datasets.load(data_dir=data_dir, batch_size=100, seed=3)
    np.testing.assert_array_equal(_gather(again.train(2))[0], first[2][0])  # as after a resumption at epoch 2
    assert not np.array_equal(first[0][1], first[1][1])
    np.testing.assert_array_equal(_sorted_rows(*first[0]), _sorted_rows(*first[1]))
    other = datasets.load(data_dir=data_dir, batch_size=100, seed=4)
    assert not np.array_equal(_gather(other.train(0))[1], first[0][1])


def test_batches_keep_the_remainder(digits):
    sizes = [len(labels) for _, labels in digits.train(0)]
    assert sizes == [100] * 12 + [93]
    assert digits.steps_per_epoch == 13


def test_large_sets_stream_in_a_reproducible_order(data_dir, monkeypatch):
    small = datasets.load("made_train_only", data_dir=data_dir, batch_size=6)
    expected = _gather(small.train(1))
    monkeypatch.setattr(_pipeline, "_IN_MEMORY_BYTES", 0)
    tf.random.set_seed(0)
    large = datasets.load("made_train_only", data_dir=data_dir, batch_size=6)
    first, again, other = (_gather(large.train(epoch)) for epoch in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(_sorted_rows(*first), _sorted_rows(*expected))


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("made_train_only", {"train": 16, "validation": 2, "test": 2}),
        ("made_with_validation", {"train": 18, "validation": 2, "test": 7}),
        ("made_with_all", {"train": 20, "validation": 7, "test": 5}),
    ],
)
def test_missing_splits_are_cut_from_the_training_images(name, sizes, data_dir):
    data = datasets.load(name, data_dir=data_dir, batch_size=4)
    found = {role: _gather(pass_) for role, pass_ in
             {"train": data.train(0), "validation": data.validation(), "test": data.test()}.items()}  # fmt: skip
    assert {role: len(labels) for role, (_, labels) in found.items()} == sizes == dict(data.sizes)
    assert data.image_shape == (6, 5, 3)
    if name == "made_train_only":  # nothing is in two parts: the pixels tell the number
        numbers = np.concatenate([images[:, 0, 0, 0] for images, _ in found.values()]) * 255
        assert sorted(np.rint(numbers).astype(int)) == list(range(20))


def test_images_of_several_sizes_are_resized(data_dir):
    data = datasets.load("made_of_sizes", data_dir=data_dir)
    assert data.image_shape == (64, 64, 3)
    images, _ = _gather(datasets.load("made_of_sizes", data_dir=data_dir, image_size=5).train(0))
    assert images.shape[1:] == (5, 5, 3)
    np.testing.assert_allclose(images, np.broadcast_to(images[:, :1, :1, :1], images.shape))  # constant stays constant
    assert set(np.rint(images[:, 0, 0, 0] * 255).astype(int)) <= set(range(0, 200, 10))


def test_a_size_can_be_asked_for(data_dir):
    data = datasets.load(data_dir=data_dir, image_size=12)
    assert data.image_shape == (12, 12, 1)
    assert next(iter(data.test()))[0].shape == (64, 12, 12, 1)


def test_the_default_set_asks_no_network(tmp_path, no_network):
    data = datasets.load(data_dir=tmp_path)
    assert len(_gather(data.test())[1]) == 360
    assert no_network == []


def test_another_set_without_network_fails_at_once(tmp_path, no_network):
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"'mnist' is not prepared in .*mnist.* cannot be downloaded from"):
        datasets.load("mnist", data_dir=tmp_path)
    assert time.monotonic() - start < 15
    assert no_network


def test_a_network_that_never_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(_prepare, "_NETWORK_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(30))
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="no answer"):
        datasets.load("mnist", data_dir=tmp_path)
    assert time.monotonic() - start < 15


def test_a_prepared_set_needs_no_network(tmp_path, no_network):
    """Files of a set that TFDS would download, prepared elsewhere under its name and version."""
    examples = [(i, {"image": np.full((28, 28, 1), i, np.uint8), "label": i % 10}) for i in range(30)]
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name="mnist", version=str(tfds.builder_cls("mnist").VERSION), data_dir=tmp_path,
        features=tfds.builder("mnist", data_dir=tmp_path).info.features,
        split_datasets={"train": examples, "test": examples[:10]},
    )  # fmt: skip
    assert builder.info.splits["train"].num_examples == 30
    data = datasets.load("mnist", data_dir=tmp_path)
    assert dict(data.sizes) == {"train": 27, "validation": 3, "test": 10}
    assert no_network == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "mnits"}, ValueError, r"Did you mean 'mnist'.*Received: name='mnits'"),
        ({"name": "digit"}, ValueError, r"Did you mean 'digits'"),
        ({"name": "zzzzzzz"}, ValueError, r"has that name\. Received: name='zzzzzzz'"),
        ({"name": ""}, ValueError, r"Received: name=''"),
        ({"name": "huggingface:mnist"}, ValueError, r"other catalogues"),
        ({"name": "emnist/nothing"}, ValueError, r"cannot be opened.*Received: name='emnist/nothing'"),
        ({"name": "mnist:9.9.9"}, ValueError, r"Received: name='mnist:9.9.9'"),
        ({"name": 3}, TypeError, r"must be a string"),
        ({"name": "made_of_text"}, ValueError, r"features 'image' \(Image\).*has 'text' \(Text\), 'label'"),
        ({"name": "imdb_reviews"}, ValueError, r"features 'image'"),  # told before anything is downloaded
        ({"name": "made_other_split"}, ValueError, r"split 'train', not only \['everything'\]"),
        ({"batch_size": 0}, ValueError, r"at least 1\. Received: batch_size=0"),
        ({"batch_size": 1.5}, TypeError, r"must be an integer"),
        ({"seed": -1}, ValueError, r"at least 0\. Received: seed=-1"),
        ({"image_size": 0}, ValueError, r"at least 1\. Received: image_size=0"),
    ],
)
def test_bad_arguments(arguments, error, message, data_dir, no_network):
    with pytest.raises(error, match=message) as caught:
        datasets.load(**{"data_dir": data_dir, **arguments})
    assert "\n" not in str(caught.value)


def test_too_few_images_are_told():
    with pytest.raises(ValueError, match="left beside those held out"):
        _pipeline.split_ranges({"train": 2}, "tiny")
    assert _pipeline.split_ranges({"train": 3}, "tiny")["train"] == ("train", 0, 1)


def test_an_unwritable_directory_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Cannot write the data set 'digits'"):
        datasets.load(data_dir=tmp_path / "file" / "below")


def test_two_preparations_at_once(tmp_path):
    MadeTwice.race = tmp_path
    data = datasets.load("made_twice", data_dir=tmp_path)
    assert MadeTwice.race is None
    images = np.concatenate([_gather(part)[0] for part in (data.train(0), data.validation(), data.test())])
    assert sorted(np.rint(images[:, 0, 0, 0] * 255)) == list(range(20))
    assert not list((tmp_path / "made_twice").glob("incomplete*"))


_KILLED = """
import os, sys
from tf_symconv.datasets import _prepare
tfds = _prepare.import_tfds()
builder = tfds.builder("symconv_digits", data_dir=sys.argv[1])
examples = type(builder)._generate_examples
def die(self, images, labels, chosen):
    for count, example in enumerate(examples(self, images, labels, chosen)):
        if count == 200:
            os.kill(os.getpid(), 9)
        yield example
type(builder)._generate_examples = die
builder.download_and_prepare()
"""


def test_a_killed_preparation_leaves_nothing_half_written(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], capture_output=True, timeout=120,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    assert list((tmp_path / "symconv_digits").glob("incomplete*"))  # it was killed in the middle
    assert len(_gather(datasets.load(data_dir=tmp_path).test())[1]) == 360


def test_the_builder_is_one_of_tfds(data_dir, digits):
    assert datasets.SymconvDigits.name == "symconv_digits"
    loaded, info = tfds.load("symconv_digits", data_dir=data_dir, with_info=True)
    assert info.splits["train"].num_examples == 1437 and info.splits["test"].num_examples == 360
    assert "Kaynak" in info.citation
    assert info.supervised_keys == ("image", "label")
    example = next(iter(loaded["train"]))
    assert example["image"].dtype == tf.uint8 and example["image"].shape == (8, 8, 1)


def test_importing_the_library_leaves_tfds_alone():
    code = "import sys, tf_symconv.datasets; print('tensorflow_datasets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False"]
