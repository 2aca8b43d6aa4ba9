"""The migration guide says what is so: its code runs, its names exist."""

import importlib
import re
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[2] / "docs/migration.md").read_text()


def test_its_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        exec(compile(block, "docs/migration.md", "exec"), namespace)
    out = capsys.readouterr().out
    # What the comments promise.
    assert out.startswith("['Variable', 'conv_kernel_second', 'head/weights']\n3 matched\n")
    assert "0 left over\n0 missing\n" in out
    assert sorted(path.name for path in Path("served").iterdir()) == ["1", "2"]
    from tf_symconv import serving

    assert serving.verify("served/2").ok


@pytest.mark.parametrize("home", ["compat_v1", "layers", "serving"])
def test_its_names_exist(home):
    names = set(re.findall(rf"(?<!keras\.)\b{home}\.([A-Za-z_]\w*)", GUIDE))
    module = importlib.import_module(f"tf_symconv.{home}")
    assert names
    assert sorted(name for name in names if name not in module.__all__) == []


def test_every_public_function_of_the_era_is_in_it():
    from tf_symconv import compat_v1

    helpers = {"CheckpointReport", "InvalidSpectrum", "Match", "ShapeInfo", "V1Graph", "batch_fftshift2d"}
    helpers |= {"batch_ifftshift2d", "random_spatial_to_spectral", "spectral_to_variable", "make_c4_z2_indices"}
    helpers |= {"make_c4_p4_indices"}
    missing = [name for name in compat_v1.__all__ if not re.search(rf"\b{name}\b", GUIDE) and name not in helpers]
    assert missing == []
