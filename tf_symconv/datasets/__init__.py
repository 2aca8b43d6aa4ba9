"""Image classification sets as reproducible ``tf.data`` pipelines, by way of TensorFlow Datasets.

``load()`` gives the handwritten digits that ship with scikit-learn; ``load("mnist")`` any other set of TensorFlow
Datasets. ``SymconvDigits`` is our builder of the digits, for those who want it through ``tfds.load``:

>>> from tf_symconv import datasets
>>> import tensorflow_datasets as tfds
>>> digits = tfds.load("symconv_digits", data_dir=data_dir)   # doctest: +SKIP

Needs the extra ``data``: ``pip install 'tf_symconv[data]'``. TensorFlow Datasets is imported at the first use.
"""

from typing import TYPE_CHECKING, Any

from tf_symconv.datasets._pipeline import ImageData, load

if TYPE_CHECKING:
    from tf_symconv.datasets._digits import SymconvDigits as SymconvDigits

__all__ = ["ImageData", "SymconvDigits", "load"]


def __getattr__(name: str) -> Any:
    if name == "SymconvDigits":
        from tf_symconv.datasets._digits import SymconvDigits

        return SymconvDigits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
