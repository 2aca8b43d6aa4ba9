"""The handwritten digits of scikit-learn as a TensorFlow Datasets builder."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

TEST_SIZE = 360
_LEVELS = 16  # the grey levels of the source are 0..16

_CITATION = """\
@misc{alpaydin1998optical,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  year = {1998},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49}
}
"""


class SymconvDigits(tfds.core.GeneratorBasedBuilder):
    """1,797 real handwritten digits of 8 x 8 pixels, from the files that scikit-learn ships.

    The split is fixed and stratified: 1,437 images to train and 360 to test, every class in the same proportion in
    both. The source counts inked pixels, 0 to 16 per cell; the images hold ``round(255 * count / 16)``, so that
    every viewer shows them as they are and no count is lost.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The first release."}  # noqa: RUF012 (the name and the type are TFDS's)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Images of handwritten digits: the test part of the UCI set 'Optical Recognition of Handwritten "
                "Digits', as scikit-learn ships it, in a stratified split of 1,437 and 360 images."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
            citation=_CITATION,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # nothing is downloaded
        images, labels = _read_digits()
        test = stratified_test_mask(labels, TEST_SIZE)
        return {
            "train": self._generate_examples(images, labels, ~test),
            "test": self._generate_examples(images, labels, test),
        }

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray, chosen: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in np.flatnonzero(chosen):
            yield int(index), {"image": images[index], "label": int(labels[index])}


def _read_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "The digits are read from scikit-learn, which is not installed: pip install 'tf_symconv[data]'"
        ) from error
    counts, labels = load_digits(return_X_y=True)
    return np.rint(counts * (255 / _LEVELS)).astype(np.uint8).reshape(-1, 8, 8, 1), labels


def stratified_test_mask(labels: np.ndarray, test_size: int) -> np.ndarray:
    """Choose ``test_size`` examples, every class in proportion, always the same ones.

    Quotas are rounded by largest remainders; within a class the choice is that of NumPy's legacy generator, whose
    stream is frozen.

    Args:
        labels: class numbers, shape (examples,).
        test_size: how many examples to choose in all.

    Returns:
        Boolean mask of shape (examples,), true for the chosen.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * test_size / len(labels)
    quotas = np.floor(shares).astype(int)
    largest = np.argsort(quotas - shares, kind="stable")[: test_size - quotas.sum()]
    quotas[largest] += 1
    order = np.random.RandomState(0).permutation(len(labels))
    mask = np.zeros(len(labels), bool)
    for label, quota in zip(classes, quotas, strict=True):
        mask[order[labels[order] == label][:quota]] = True
    return mask
