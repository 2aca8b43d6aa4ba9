"""Directories that appear whole or not at all."""

import contextlib
import dataclasses
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

__all__ = ["Staged", "check_version", "staged", "staged_version", "versions"]

_PREFIX = ".tmp-"  # TensorFlow Serving looks at names that are numbers only.
_SETTLED = 60.0  # seconds; a directory older than this has its lock if its writer lives


@dataclasses.dataclass
class Staged:
    """A version on its way.

    Attributes:
        path: the temporary directory to fill.
        version_dir: what it has become; None before that.
    """

    path: Path
    version_dir: Path | None = None


@contextlib.contextmanager
def staged(base_dir: str | Path, version: int | str | None = None, keep: int | None = None) -> Iterator[Staged]:
    """Make a temporary directory that becomes a version of ``base_dir`` when the block ends well.

    It lies in ``base_dir`` under a name that the server does not watch; at the end everything is written to the disk
    and the directory is renamed. When the block raises, nothing stays behind. What a killed process left behind is
    removed by the next call for the same base directory.

    Args:
        base_dir: the directory that the server watches; made if it is missing.
        version: the version, a number; None stands for the next one, told at the end: of two writers at once, the one
            that ends first gets the lower number.
        keep: how many versions remain; older ones are removed after that.

    Raises:
        FileExistsError: the version exists, or another process finished it first.
        NotADirectoryError: something else is in the place of ``base_dir``.
    """
    base = Path(base_dir)
    if version is not None:
        _refuse_existing(base / str(version))
    made = _make_parents(base)
    try:
        _remove_abandoned(base)
        staged = Staged(base / f"{_PREFIX}{'next' if version is None else version}-{uuid.uuid4().hex}")
        staged.path.mkdir()
        with _locked(staged.path):
            try:
                yield staged
                _flush(staged.path)
                staged.version_dir = _publish(staged.path, base, version)
            except BaseException:
                shutil.rmtree(staged.path, ignore_errors=True)
                raise
    except BaseException:
        for parent in reversed(made):
            with contextlib.suppress(OSError):  # Another process may use it by now.
                parent.rmdir()
        raise
    if keep is not None:
        _remove_oldest(staged.version_dir, keep)


@contextlib.contextmanager
def staged_version(version_dir: str | Path) -> Iterator[Path]:
    """Make a temporary directory that becomes ``version_dir`` when the block ends well; see :func:`staged`.

    Raises:
        ValueError: the name is no number.
        FileExistsError: the version exists, or another process finished it first.
    """
    target = Path(version_dir)
    if not _is_version(target.name):
        raise ValueError(f"version_dir must end in a version number. Received: version_dir={str(version_dir)!r}")
    with staged(target.parent, target.name) as result:
        yield result.path


def versions(base_dir: str | Path) -> list[int]:
    """Return the numbers of the versions in a base directory, the oldest first."""
    base = Path(base_dir)
    names = [path.name for path in base.iterdir()] if base.is_dir() else []
    return sorted({int(name) for name in names if _is_version(name)})


def check_version(version: int | None) -> int | None:
    """Return a version number that the server takes, or None.

    Raises:
        ValueError: it is something else.
    """
    if version is None or (isinstance(version, int) and not isinstance(version, bool) and 0 <= version < 2**63):
        return version
    raise ValueError(f"version must be an integer from 0 up, or None for the next. Received: version={version!r}")


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(f"the version must not exist yet. Received: version_dir={str(target)!r}")


def _make_parents(base: Path) -> list[Path]:
    """Make the missing directories down to ``base`` and return them, outermost first."""
    missing = [path for path in (base, *base.parents) if not path.exists()][::-1]
    base.mkdir(parents=True, exist_ok=True)
    return missing


def _publish(temporary: Path, base: Path, version: int | str | None) -> Path:
    with _turn(base):
        while True:
            target = base / str(max(versions(base), default=0) + 1 if version is None else version)
            try:
                _refuse_existing(target)
                try:
                    temporary.rename(target)
                except OSError as error:
                    _refuse_existing(target)  # It has come meanwhile.
                    raise error
                break
            except FileExistsError:
                if version is not None:
                    raise
    _sync(base)
    return target


def _remove_oldest(newest: Path | None, keep: int) -> None:
    """Remove all versions but the ``keep`` highest and the one that has just come, each all at once."""
    if newest is None:
        return
    base = newest.parent
    with _turn(base):
        others = [number for number in versions(base) if number != int(newest.name)]
        for number in others[: max(len(others) - (keep - 1), 0)]:
            for old in [path for path in base.iterdir() if _is_version(path.name) and int(path.name) == number]:
                hidden = base / f"{_PREFIX}{old.name}-{uuid.uuid4().hex}"
                old.rename(hidden)
                shutil.rmtree(hidden, ignore_errors=True)


@contextlib.contextmanager
def _turn(base: Path) -> Iterator[None]:
    """Wait until no other process publishes or removes versions in the base directory, where the system has locks."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(base, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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
