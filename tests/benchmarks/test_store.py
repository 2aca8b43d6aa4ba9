"""Results stay on disk, whole, and only those under the same conditions come together."""

import json

import pytest

from tf_symconv.benchmarks import RunDirectoryError, Store
from tf_symconv.benchmarks._store import code_version, machine, read_results

CONDITIONS = {"bias": False, "seed": 0}


def test_what_is_put_is_there_again(tmp_path):
    with Store(tmp_path / "new", CONDITIONS) as store:
        assert not store.has("cases", "a")
        store.put("cases", "a", {"x": 1})
        on_disk = json.loads((tmp_path / "new" / "results.json").read_text())
        assert on_disk["cases"] == {"a": {"x": 1}}  # at once, not at the end
        store.put("memory", "a", {"y": 2})
    with Store(tmp_path / "new", CONDITIONS) as store:
        assert store.results["cases"] == {"a": {"x": 1}} and store.results["memory"] == {"a": {"y": 2}}
        store.forget("cases", "a")
        assert not store.has("cases", "a")
    with Store(tmp_path / "new", CONDITIONS) as store:
        assert store.has("cases", "a")


def test_a_directory_that_is_not_used_goes_again(tmp_path):
    with Store(tmp_path / "new", CONDITIONS):
        pass
    assert not (tmp_path / "new").exists()


def test_other_conditions_are_refused_or_start_anew(tmp_path):
    with Store(tmp_path, CONDITIONS) as store:
        store.put("cases", "a", 1)
    other = {"bias": True, "seed": 0, "device": "CPU:0"}
    with pytest.raises(RunDirectoryError, match=r"other settings: bias, device; .* --overwrite"):
        Store(tmp_path, other)
    with Store(tmp_path, other, overwrite=True) as store:
        assert store.results["cases"] == {}
        assert "a" in json.loads((tmp_path / "results.json").read_text())["cases"]  # until something is measured
        store.put("cases", "b", 2)
    with Store(tmp_path, other) as store:
        assert store.results["cases"] == {"b": 2}


def test_one_process_at_a_time(tmp_path):
    with Store(tmp_path, CONDITIONS) as store:
        store.put("cases", "a", 1)
        with pytest.raises(RunDirectoryError, match="another process"):
            Store(tmp_path, CONDITIONS)
    with Store(tmp_path, CONDITIONS) as store:
        assert store.has("cases", "a")


def test_directories_of_others_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(RunDirectoryError, match=r"holds thesis\.tex"):
        Store(tmp_path, CONDITIONS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["{", "[]", '{"settings": 3}', '{"settings": {}, "cases": []}'])
def test_damaged_results_are_told(tmp_path, text):
    with Store(tmp_path, CONDITIONS) as store:
        store.put("cases", "a", 1)
    (tmp_path / "results.json").write_text(text)
    for _ in range(2):  # the first refusal lets go of the directory
        with pytest.raises(RunDirectoryError, match=r"results\.json is (damaged|no results file)"):
            Store(tmp_path, CONDITIONS)
    with pytest.raises(RunDirectoryError, match="cannot be read"):
        read_results(tmp_path / "missing.json")


def test_the_machine_and_the_code_have_marks():
    assert machine()["cores"] >= 1 and machine()["processor"]
    assert machine()["library"] == "oneDNN"  # tests plan for it
    assert code_version() == code_version() and len(code_version()) == 12
