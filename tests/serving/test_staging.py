"""A version appears whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tf_symconv.serving import _staging
from tf_symconv.serving._staging import staged, staged_version, versions

WRITER = """
import sys, time
from tf_symconv.serving._staging import staged_version
with staged_version(sys.argv[1]) as path:
    (path / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


PUBLISHER = """
import sys
from tf_symconv.serving._staging import staged
for _ in range(20):
    with staged(sys.argv[1], keep=30) as result:
        (result.path / "who").write_text(sys.argv[2])
        (result.path / "done").touch()
"""


def _names(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


def test_a_version_appears_at_the_end_with_all_its_files(tmp_path: Path) -> None:
    with staged_version(tmp_path / "base" / "3") as path:
        (path / "variables").mkdir()
        (path / "variables" / "data").write_bytes(b"1")
        assert not any(name.isdigit() for name in _names(tmp_path / "base"))
        assert path.parent == tmp_path / "base"
    assert _names(tmp_path / "base") == ["3"]
    assert (tmp_path / "base" / "3" / "variables" / "data").read_bytes() == b"1"


def test_everything_is_on_the_disk_before_the_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []

    def sync(path: Path) -> None:
        synced.append((path.name, (tmp_path / "1").exists()))

    monkeypatch.setattr(_staging, "_sync", sync)
    with staged_version(tmp_path / "1") as path:
        (path / "a").mkdir()
        (path / "a" / "b").touch()
    assert {("a", False), ("b", False), (path.name, False)} <= set(synced)
    assert synced[-1] == (tmp_path.name, True)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), staged_version(tmp_path / "new" / "base" / "1") as path:
        (path / "half").write_text("half")
        raise error
    assert _names(tmp_path) == []


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    with pytest.raises(RuntimeError), staged_version(tmp_path / "2"):
        raise RuntimeError
    assert _names(tmp_path) == ["1"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(_staging, "_sync", fail)
    with pytest.raises(OSError, match="no space"), staged_version(tmp_path / "1") as path:
        (path / "data").touch()
    assert _names(tmp_path) == []


def test_an_existing_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "keep").touch()
    with pytest.raises(FileExistsError, match="must not exist yet"), staged_version(tmp_path / "1"):
        pytest.fail("the block must not run")
    assert _names(tmp_path) == ["1"]
    assert _names(tmp_path / "1") == ["keep"]


@pytest.mark.parametrize("name", ["model", "v1", "1.0", "-1", "\u0661", "1_0"])
def test_the_name_must_be_a_number(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must end in a version number"), staged_version(tmp_path / name):
        pytest.fail("the block must not run")
    assert _names(tmp_path) == []


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), staged_version(tmp_path / "1") as slow:
        (slow / "slow").touch()
        with staged_version(tmp_path / "1") as fast:
            (fast / "fast").touch()
    assert _names(tmp_path) == ["1"]
    assert _names(tmp_path / "1") == ["fast"]


def test_an_empty_directory_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), staged_version(tmp_path / "1") as path:
        (path / "data").touch()
        (tmp_path / "1").mkdir()
    assert _names(tmp_path) == ["1"]
    assert _names(tmp_path / "1") == []


def test_the_next_number_and_which_versions_remain(tmp_path: Path) -> None:
    for name in ("3", "notes", "0007"):
        (tmp_path / name).mkdir()
    assert versions(tmp_path) == [3, 7]
    assert versions(tmp_path / "missing") == []
    with staged(tmp_path, keep=2) as first:
        assert first.version_dir is None
    assert first.version_dir == tmp_path / "8"
    with staged(tmp_path, "2", keep=2) as second:  # older than what is there, but has just been asked for
        pass
    assert second.version_dir == tmp_path / "2"
    assert _names(tmp_path) == ["2", "8", "notes"]
    with pytest.raises(RuntimeError), staged(tmp_path, keep=1):
        raise RuntimeError
    assert _names(tmp_path) == ["2", "8", "notes"]


def test_an_old_version_goes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with staged(tmp_path) as first:
        (first.path / "data").touch()

    def stop(path: Path, **_: bool) -> None:
        assert not path.name.isdigit()
        raise KeyboardInterrupt

    monkeypatch.setattr(_staging.shutil, "rmtree", stop)
    with pytest.raises(KeyboardInterrupt), staged(tmp_path, keep=1):
        pass
    assert [name for name in _names(tmp_path) if name.isdigit()] == ["2"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_writers_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PUBLISHER, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    assert versions(tmp_path) == list(range(31, 61))  # 60 were written, without a gap
    assert all(_names(tmp_path / str(number)) == ["done", "who"] for number in range(31, 61))
    assert len(_names(tmp_path)) == 30


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL and no flock")
def test_a_killed_writer_leaves_no_version_and_the_next_one_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "1")], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        monkeypatch.setattr(_staging, "_SETTLED", -1.0)
        with staged_version(tmp_path / "2"):
            pass
        [living] = [name for name in _names(tmp_path) if name.startswith(".tmp-")]  # Its writer lives.
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert _names(tmp_path) == [living, "2"]
    monkeypatch.setattr(_staging, "_SETTLED", 3600.0)
    with staged_version(tmp_path / "3"):
        pass
    assert living in _names(tmp_path)  # So young that its writer may be about to lock it.
    monkeypatch.setattr(_staging, "_SETTLED", 60.0)
    hours_ago = time.time() - 7200
    os.utime(tmp_path / living, (hours_ago, hours_ago))
    with staged_version(tmp_path / "4"):
        pass
    assert _names(tmp_path) == ["2", "3", "4"]
