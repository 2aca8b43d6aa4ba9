"""Directories that appear whole or not at all."""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock; abandoned directories stay there.
    fcntl = None

__all__ = ["staged_version"]

_PREFIX = ".tmp-"  # TensorFlow Serving looks at names that are numbers only.
_SETTLED = 60.0  # seconds; a directory older than this has its lock if its writer lives


@contextlib.contextmanager
def staged_version(version_dir: str | Path) -> Iterator[Path]:
    """Make a temporary directory that becomes ``version_dir`` when the block ends well.

    It lies beside ``version_dir`` under a name that the server does not watch; at the end everything is written to
    the disk and the directory is renamed. When the block raises, nothing stays behind. What a killed process left
    behind is removed by the next call for the same base directory.

    Args:
        version_dir: the directory to make; its name is the version, a number.

    Raises:
        ValueError: the name is no number.
        FileExistsError: the version exists, or another process finished it first.
    """
    target = Path(version_dir)
    if not (target.name.isascii() and target.name.isdecimal()):
        raise ValueError(f"version_dir must end in a version number. Received: version_dir={str(version_dir)!r}")
    _refuse_existing(target)
    made = _make_parents(target.parent)
    try:
        _remove_abandoned(target.parent)
        temporary = target.parent / f"{_PREFIX}{target.name}-{uuid.uuid4().hex}"
        temporary.mkdir()
        with _locked(temporary):
            try:
                yield temporary
                _flush(temporary)
                _publish(temporary, target)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
    except BaseException:
        for parent in reversed(made):
            with contextlib.suppress(OSError):  # Another process may use it by now.
                parent.rmdir()
        raise


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(f"the version must not exist yet. Received: version_dir={str(target)!r}")


def _make_parents(base: Path) -> list[Path]:
    """Make the missing directories down to ``base`` and return them, outermost first."""
    missing = [path for path in (base, *base.parents) if not path.exists()][::-1]
    base.mkdir(parents=True, exist_ok=True)
    return missing


def _publish(temporary: Path, target: Path) -> None:
    _refuse_existing(target)
    try:
        temporary.rename(target)
    except OSError as error:
        _refuse_existing(target)  # It has come meanwhile.
        raise error
    _sync(target.parent)


def _flush(directory: Path) -> None:
    for path in directory.rglob("*"):
        _sync(path)
    _sync(directory)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no directory.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Hold the lock of a directory, where the system has one; False when another process holds it."""
    if fcntl is None:
        yield False
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _remove_abandoned(base: Path) -> None:
    for path in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _SETTLED:
                with _locked(path) as free:
                    if free:
                        shutil.rmtree(path, ignore_errors=True)
