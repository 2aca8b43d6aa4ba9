"""What a user is told when TensorFlow Datasets is there but does not work."""

import sys
import types

import pytest

from tf_symconv.datasets import _prepare


def test_a_package_that_swallowed_its_own_failure_is_named_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", types.ModuleType("tensorflow_datasets"))
    with pytest.raises(ImportError, match=r"it does not import; .*tensorflow-metadata<1.18.*pip install"):
        _prepare.import_tfds()
