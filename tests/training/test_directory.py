"""One run, one process, whole files."""

import json

import pytest

from tf_symconv.training import ROLES, RunDirectory, RunDirectoryError, Settings


def _finish(directory):
    products = [directory.metrics, directory.curves, directory.report]
    products += [path for role in ROLES for path in (directory.model(role), directory.kernels(role))]
    for product in products:
        with directory.writing(product) as temporary:
            temporary.write_text("{}")
    directory.export.mkdir(parents=True)


def test_a_directory_appears_and_goes_unless_a_run_begins(tmp_path):
    with RunDirectory(tmp_path / "a" / "run", Settings()) as directory:
        assert directory.path.is_dir()
    assert not (tmp_path / "a" / "run").exists()
    with RunDirectory(tmp_path / "run", Settings(epochs=3)) as directory:
        directory.begin()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["epochs"] == 3


def test_an_empty_directory_of_the_user_stays(tmp_path):
    RunDirectory(tmp_path, Settings()).close()
    assert tmp_path.is_dir() and not list(tmp_path.iterdir())


def test_one_process_at_a_time(tmp_path):
    with RunDirectory(tmp_path, Settings()), pytest.raises(RunDirectoryError, match="another process trains"):
        RunDirectory(tmp_path, Settings())
    RunDirectory(tmp_path, Settings()).close()


def test_a_run_is_finished_when_nothing_is_missing(tmp_path):
    with RunDirectory(tmp_path, Settings()) as directory:
        directory.begin()
        assert not directory.finished
        _finish(directory)
        assert directory.finished
        directory.curves.unlink()
        assert not directory.finished


@pytest.mark.parametrize("change", [{}, {"epochs": 3}])
def test_overwrite_clears_what_a_run_wrote_and_nothing_else(tmp_path, change):
    with RunDirectory(tmp_path, Settings()) as directory:
        directory.begin()
        _finish(directory)
        (directory.checkpoints("plain") / "deep").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    with RunDirectory(tmp_path, Settings(**change), overwrite=True) as directory:
        assert not directory.finished
        assert directory.metrics.exists()  # until the new run begins
        directory.begin()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "run.json"]


def test_overwrite_resumes_its_own_run(tmp_path):
    """The same command, stopped and given again, goes on, with --overwrite too."""
    with RunDirectory(tmp_path, Settings(epochs=3)) as directory:
        directory.begin()
        directory.checkpoints("plain").mkdir(parents=True)
    with RunDirectory(tmp_path, Settings(epochs=3), overwrite=True) as directory:
        directory.begin()
        assert directory.checkpoints("plain").exists()


def test_other_settings_and_other_files_are_refused(tmp_path):
    with RunDirectory(tmp_path / "run", Settings(epochs=3)) as directory:
        directory.begin()
    with pytest.raises(RunDirectoryError, match=r"--epochs \(3 there, 20 here\)"):
        RunDirectory(tmp_path / "run", Settings())
    with pytest.raises(RunDirectoryError, match="holds run"):
        RunDirectory(tmp_path, Settings(), overwrite=True)


def test_files_appear_whole_or_not_at_all(tmp_path):
    with RunDirectory(tmp_path, Settings()) as directory:
        directory.begin()
        directory.write_json("metrics.json", {"first": 1})

        def write_half():
            with directory.writing(directory.metrics) as temporary:
                temporary.write_text("half")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_half()
        assert directory.read_metrics() == {"first": 1}
        with pytest.raises(ValueError, match="JSON compliant"):
            directory.write_json("metrics.json", {"loss": float("nan")})
        assert directory.read_metrics() == {"first": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "run.json"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    with RunDirectory(tmp_path, Settings()) as directory:
        directory.begin()
    (tmp_path / ".tmp-dead").mkdir()
    (tmp_path / ".tmp-dead" / "file").write_text("")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / ".tmp-dead.png").write_text("")
    RunDirectory(tmp_path, Settings()).close()
    assert not list(tmp_path.rglob(".tmp-*"))


def test_damaged_files_are_named(tmp_path):
    with RunDirectory(tmp_path, Settings()) as directory:
        directory.begin()
        directory.metrics.write_text("{")
        with pytest.raises(RunDirectoryError, match=r"metrics.json is damaged .* delete it"):
            directory.read_metrics()
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(RunDirectoryError, match=r"run.json is damaged"):
        RunDirectory(tmp_path, Settings())
