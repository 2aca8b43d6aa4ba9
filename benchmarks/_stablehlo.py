"""Files that carry layers to a machine without TensorFlow, and times back from it. Free of TensorFlow."""

import json
import os
from pathlib import Path
from typing import Any

from tf_symconv.benchmarks._store import StoreError

INDEX = "index.json"
TIMED = "timed.json"


def read_timed(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what ``time_stablehlo.py`` wrote: ``device``, ``versions``, and ``cases`` by key, each with a ``ratio``.

    Raises:
        StoreError: If the file cannot be read, or holds something else.
    """
    try:
        timed = json.loads(Path(file).read_text("utf-8"))
        for entry in timed["cases"].values():
            low, high = entry["ratio"]["quartiles"]
            _ = float(low) + float(high) + float(entry["ratio"]["median"])
        _ = str(timed["device"])
    except OSError as error:
        raise StoreError(f"{file} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{file} holds no times of StableHLO files ({type(error).__name__}: {error})") from error
    return timed
