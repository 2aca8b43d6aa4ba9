"""Finding a TensorFlow Datasets builder by name and preparing its files, without waiting for a network."""

import contextlib
import difflib
import importlib
import io
import os
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

ALIASES = {"digits": "symconv_digits"}
_NETWORK_SECONDS = 8.0


def import_tfds() -> Any:
    """Import TensorFlow Datasets with our builder registered.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        import tensorflow_datasets as tfds

        if not hasattr(tfds, "core"):  # The package swallows what keeps it from being imported.
            raise ImportError("it does not import; before TensorFlow 2.20 it needs 'tensorflow-metadata<1.18'")
        importlib.import_module("tf_symconv.datasets._digits")
    except ImportError as error:
        raise ImportError(f"Data sets need TensorFlow Datasets ({error}): pip install 'tf_symconv[data]'") from error
    return tfds


def find(name: str, data_dir: str | os.PathLike[str] | None) -> "tfds.core.DatasetBuilder":
    """Return the builder called ``name``, whether or not its files are prepared.

    Args:
        name: a name as ``tfds.builder`` takes it, or an alias of ours.
        data_dir: where prepared sets lie; None for the default of TensorFlow Datasets.

    Raises:
        TypeError: if the name is not a string.
        ValueError: if no set has that name.
        ImportError: if TensorFlow Datasets is not installed.
    """
    if not isinstance(name, str):
        raise TypeError(f"The name of a data set must be a string. Received: {name=}")
    tfds = import_tfds()
    if re.match(r"\w+:(?![\d*])", name):
        raise ValueError(f"Data sets of other catalogues (a prefix and ':') are not offered. Received: {name=}")
    directory = None if data_dir is None else os.fspath(data_dir)
    try:
        return tfds.builder(ALIASES.get(name, name), data_dir=directory)
    except tfds.core.DatasetNotFoundError as error:
        known = [*ALIASES, *tfds.list_builders(with_community_datasets=False)]
        near = difflib.get_close_matches(name.partition("/")[0], known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"No data set of TensorFlow Datasets has that name.{hint} Received: {name=}") from error
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"The data set cannot be opened: {reason} Received: {name=}") from error


def prepare(builder: "tfds.core.DatasetBuilder", name: str, data_dir: str | os.PathLike[str] | None) -> Any:
    """Put the files of ``builder`` in place, unless they are there, and return the builder that reads them.

    Two processes may prepare the same set at the same time, and either may be killed: files are written to a
    directory of their own that is renamed when it is whole, and who comes second uses what is there.

    Raises:
        ConnectionError: if the files have to be downloaded and cannot be.
        ImportError: if a package is missing that the set is made with.
        OSError: if ``data_dir`` cannot be written.
        ValueError: if the preparation fails for another reason.
    """
    if builder.data_path.exists():
        return builder
    _check_network(builder, name)
    try:
        _prepare(builder)
    except Exception as error:
        again = find(name, data_dir)
        if again.data_path.exists():  # another process was faster
            return again
        if _is_network_error(error):
            raise _no_network(builder, name, error) from error
        if isinstance(error, ImportError):
            raise
        reason = " ".join(str(error).split())
        if isinstance(error, OSError):
            raise OSError(f"Cannot write the data set {name!r} to {builder.data_path}: {reason}") from error
        raise ValueError(f"The data set cannot be prepared: {reason} Received: {name=}") from error
    return builder


def _prepare(builder: "tfds.core.DatasetBuilder") -> None:
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(try_download_gcs=False)
    if _urls(builder):  # a download: show how far it is
        builder.download_and_prepare(download_config=config)
        return
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=config)
    finally:
        tfds.enable_progress_bar()


def _urls(builder: "tfds.core.DatasetBuilder") -> list[str]:
    """List the addresses that a builder is known to read from, as web addresses."""
    urls = list(type(builder).url_infos or ())
    storage = "https://storage.googleapis.com/"
    return [url.replace("gs://", storage, 1) for url in urls if url.startswith(("http", "gs://"))]


def _check_network(builder: "tfds.core.DatasetBuilder", name: str) -> None:
    """Raise at once what a download would find out after minutes of retries."""
    urls = _urls(builder)
    if not urls:
        return
    import requests

    failure: list[Exception] = []

    def ask() -> None:
        try:
            requests.head(urls[0], timeout=_NETWORK_SECONDS, allow_redirects=False)
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # name servers may keep us waiting longer than any time-out
    thread.start()
    thread.join(_NETWORK_SECONDS)
    if failure or thread.is_alive():
        raise _no_network(builder, name, failure[0] if failure else None) from (failure[0] if failure else None)


def _no_network(builder: "tfds.core.DatasetBuilder", name: str, error: Exception | None) -> ConnectionError:
    hosts = sorted({host for url in _urls(builder) if (host := urlsplit(url).hostname)})
    where = f" from {hosts[0]}" if hosts else ""
    why = type(error).__name__ if error else "no answer"
    return ConnectionError(
        f"Data set {name!r} is not prepared in {builder.data_path} and cannot be downloaded{where} "
        f"({why}); name the directory that holds it (data_dir), or use the default set, which needs no network"
    )


def _is_network_error(error: BaseException) -> bool:
    import requests
    import tensorflow as tf
    import tensorflow_datasets as tfds

    kinds = (
        requests.RequestException,
        ConnectionError,
        TimeoutError,
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tfds.download.DownloadError,
    )
    return isinstance(error, kinds)
