"""From a prepared data set to batches whose order is known in advance."""

import dataclasses
import operator
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tf_symconv.datasets import _prepare

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

DEFAULT_IMAGE_SIZE = 64  # for sets whose images differ in size
_HELD_OUT = 0.1
_IN_MEMORY_BYTES = 1 << 30
_SHUFFLE_BUFFER_BYTES = 1 << 28


@dataclasses.dataclass(frozen=True)
class ImageData:
    """Train, validation and test batches of an image classification set.

    Batches are pairs of images, float32 in [0, 1] of shape (batch, height, width, channels), and labels, int64 of
    shape (batch,). The last batch of a pass may be smaller.

    Attributes:
        name: name and version of the set.
        image_shape: (height, width, channels).
        class_names: one name per label.
        sizes: number of images in "train", "validation" and "test".
        batch_size: images per batch.
        seed: what the order of the training images depends on, with the epoch.
    """

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    sizes: Mapping[str, int]
    batch_size: int
    seed: int
    _splits: Mapping[str, "_Split"] = dataclasses.field(repr=False)

    def train(self, epoch: int) -> tf.data.Dataset:
        """Return one pass over the training images, in an order fixed by ``(seed, epoch)``.

        The order does not depend on the passes before it, so training that resumes at an epoch sees what an
        undisturbed run sees. (Sets of more than 1 GiB are not held in memory but shuffled in a window; their order
        depends on ``tf.random.set_seed`` too.)

        Args:
            epoch: number of the pass, from 0.
        """
        return self._splits["train"].batches(self.batch_size, shuffle=(self.seed, epoch))

    def validation(self) -> tf.data.Dataset:
        """Return one pass over the validation images, always in the same order."""
        return self._splits["validation"].batches(self.batch_size)

    def test(self) -> tf.data.Dataset:
        """Return one pass over the test images, always in the same order."""
        return self._splits["test"].batches(self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in a pass over the training images."""
        return -(-self.sizes["train"] // self.batch_size)


def load(
    name: str = "digits",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 64,
    seed: int = 0,
    image_size: int | None = None,
) -> ImageData:
    """Load an image classification set of TensorFlow Datasets, preparing its files at the first use.

    The default set needs no network. Others are downloaded, unless they lie prepared in ``data_dir``.

    A set without a test split is tested on its validation split, one without either on the last tenth of its
    training images. Where no validation split is left, the last tenth of the remaining training images serves.

    Args:
        name: ``"digits"`` (handwritten digits of 8 x 8 pixels, from scikit-learn) or a name as ``tfds.builder``
            takes it, for instance ``"mnist"`` or ``"emnist/letters"``.
        data_dir: where prepared sets lie; by default that of TensorFlow Datasets (``TFDS_DATA_DIR`` or
            ``~/tensorflow_datasets``).
        batch_size: images per batch, at least 1.
        seed: with the epoch, fixes the order of the training images; at least 0.
        image_size: height and width to resize to; by default images keep their size, and are resized to 64 x 64
            pixels where a set has images of several sizes.

    Returns:
        The pipelines, with shapes and class names.

    Raises:
        ValueError: if no set has that name, or it has no ``image`` (``tfds.features.Image``) and ``label``
            (``tfds.features.ClassLabel``), or no training split, or a number is out of range.
        TypeError: if an argument has the wrong type.
        ConnectionError: if the set would have to be downloaded and there is no network.
        ImportError: if TensorFlow Datasets (or scikit-learn, for the digits) is not installed.
        OSError: if ``data_dir`` cannot be written.
    """
    batch_size = _integer("batch_size", batch_size, 1)
    seed = _integer("seed", seed, 0)
    if image_size is not None:
        image_size = _integer("image_size", image_size, 1)
    builder = _prepare.find(name, data_dir)
    features = _features(builder, name)
    builder = _prepare.prepare(builder, name, data_dir)
    shape, resize = _image_shape(features, image_size)
    dtype = np.dtype(features["image"].np_dtype)
    ranges = split_ranges({split: info.num_examples for split, info in builder.info.splits.items()}, name)
    return ImageData(
        name=builder.info.full_name.replace("/", ":", 1),
        image_shape=shape,
        class_names=tuple(features["label"].names or map(str, range(features["label"].num_classes))),
        sizes={role: stop - start for role, (_, start, stop) in ranges.items()},
        batch_size=batch_size,
        seed=seed,
        _splits={role: _Split(builder, *span, shape, dtype, resize) for role, span in ranges.items()},
    )


def split_ranges(available: Mapping[str, int], name: str) -> dict[str, tuple[str, int, int]]:
    """Choose what to train, validate and test on.

    Args:
        available: number of examples of each split of the set.
        name: name of the set, for the error.

    Returns:
        For each of "train", "validation" and "test": (split of the set, start, stop).

    Raises:
        ValueError: if there is no split "train", or too few examples to cut from it.
    """
    if "train" not in available:
        raise ValueError(f"A data set must have a split 'train', not only {sorted(available)}. Received: {name=}")
    left = available["train"]
    ranges = {}
    spare = [split for split in ("test", "validation") if available.get(split)]
    for role in ("test", "validation"):
        split = role if role in spare else spare[0] if role == "test" and spare else "train"
        if split == "train":
            cut = max(1, round(left * _HELD_OUT))
            ranges[role] = (split, left - cut, left)
            left -= cut
        else:
            ranges[role] = (split, 0, available[split])
            spare.remove(split)
    if left < 1:
        raise ValueError(f"A data set must have training images left beside those held out. Received: {name=}")
    return {"train": ("train", 0, left), **ranges}


def _features(builder: "tfds.core.DatasetBuilder", name: str) -> dict[str, Any]:
    import tensorflow_datasets as tfds

    features = builder.info.features
    found = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    for key, kind in {"image": tfds.features.Image, "label": tfds.features.ClassLabel}.items():
        if not isinstance(found.get(key), kind):
            have = ", ".join(f"{key!r} ({type(feature).__name__})" for key, feature in found.items())
            raise ValueError(
                "An image classification set must have the features 'image' (Image) and 'label' (ClassLabel); "
                f"this one has {have}. Received: {name=}"
            )
    return found


def _image_shape(features: dict[str, Any], image_size: int | None) -> tuple[tuple[int, int, int], bool]:
    """Return the shape that every image gets, and whether resizing is what gives it."""
    height, width, channels = features["image"].shape
    if image_size is None and None not in (height, width):
        return (height, width, channels), False
    size = image_size or DEFAULT_IMAGE_SIZE
    return (size, size, channels), (height, width) != (size, size)


@dataclasses.dataclass(frozen=True)
class _Split:
    """A range of a prepared split, kept in memory as it is stored if it is small enough."""

    builder: Any
    split: str
    start: int
    stop: int
    image_shape: tuple[int, int, int]
    dtype: np.dtype
    resize: bool
    _memory: list[tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=list)

    def batches(self, batch_size: int, shuffle: tuple[int, int] | None = None) -> tf.data.Dataset:
        size = self.stop - self.start
        image_bytes = int(np.prod(self.image_shape)) * self.dtype.itemsize
        rng = None if shuffle is None else np.random.default_rng(shuffle)
        if size * image_bytes <= _IN_MEMORY_BYTES:
            images, labels = self._arrays()
            order = np.arange(size) if rng is None else rng.permutation(size)
            dataset = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
            dataset = dataset.map(lambda i: (tf.gather(images, i), tf.gather(labels, i)))
        else:
            dataset = self._stream()
            if rng is not None:
                buffer = min(size, max(1, _SHUFFLE_BUFFER_BYTES // image_bytes))
                dataset = dataset.shuffle(buffer, int(rng.integers(2**31)), reshuffle_each_iteration=False)
            dataset = dataset.batch(batch_size)
        options = tf.data.Options()
        options.deterministic = True
        options.autotune.enabled = False
        return dataset.map(_scale).prefetch(2).with_options(options)

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        if not self._memory:
            size = self.stop - self.start
            images = np.empty((size, *self.image_shape), self.dtype)
            labels = np.empty(size, np.int64)
            for index, (image, label) in enumerate(self._stream().as_numpy_iterator()):
                images[index], labels[index] = image, label
            self._memory.append((images, labels))
        return self._memory[0]

    def _stream(self) -> tf.data.Dataset:
        dataset = self.builder.as_dataset(split=f"{self.split}[{self.start}:{self.stop}]", shuffle_files=False)
        return dataset.map(lambda example: (self._fit(example["image"]), example["label"]))

    def _fit(self, image: tf.Tensor) -> tf.Tensor:
        if self.resize:
            resized = tf.image.resize(image, self.image_shape[:2], antialias=True)
            image = tf.saturate_cast(resized if image.dtype.is_floating else tf.round(resized), image.dtype)
        return tf.ensure_shape(image, self.image_shape)


def _scale(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    if images.dtype.is_floating:
        return tf.cast(images, tf.float32), labels
    return tf.cast(images, tf.float32) / images.dtype.max, labels


def _integer(name: str, value: Any, minimum: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer. Received: {name}={value!r}") from None
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}. Received: {name}={value!r}")
    return number
