"""What symconv promote and symconv rollback have in common."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from tf_symconv.cli import CommandError
from tf_symconv.cli._quiet import quiet_stderr
from tf_symconv.serving import LabelError, Move, ServingError
from tf_symconv.serving._api import protocol

__all__ = ["define_flags", "move"]


def define_flags(values: flags.FlagValues, module: str, version: str) -> None:
    """Define the flags that both commands take, as flags of ``module``."""

    def define(kind: Callable[..., Any], name: str, default: Any, text: str, **options: Any) -> None:
        kind(name, default, text, flag_values=values, module_name=module, **options)

    define(flags.DEFINE_integer, "version", None, version, lower_bound=1)
    define(flags.DEFINE_string, "label", "stable", "The label to move.")
    define(flags.DEFINE_string, "name", None, "Name of the model. Default: the only one in the config.")
    define(
        flags.DEFINE_string,
        "target",
        None,
        "gRPC address HOST:PORT of the server, which reloads the config. Without it only the file changes, for servers "
        "that poll it.",
    )
    define(flags.DEFINE_float, "timeout", 300.0, "Seconds until the version must be loaded.", lower_bound=0.001)


def move(name: str, arguments: Sequence[str], values: flags.FlagValues, call: Callable[..., Move], **more: Any) -> int:
    """Move the label by ``call`` and print what has moved."""
    if len(arguments) != 1:
        raise CommandError(f"symconv {name} takes one MODEL_CONFIG. Received: {len(arguments)} arguments")
    with quiet_stderr(), contextlib.suppress(ImportError):
        protocol("config.model_server_config_pb2")  # imports TensorFlow
    options = {key: values[key].value for key in ("version", "label", "target", "timeout")}
    try:
        moved = call(arguments[0], model=values["name"].value, **options, **more)
    except (ImportError, LabelError, OSError, ServingError, ValueError) as error:
        raise CommandError(str(error)) from error
    before = "" if moved.before is None else f" (was {moved.before})"
    reloaded = "the server has reloaded" if moved.reloaded else "the file has changed; no server was told"
    print(f"{moved.model}: {moved.label} is version {moved.after}{before}; {reloaded}")
    print("labels: " + ", ".join(f"{label}={version}" for label, version in moved.labels.items()))
    return 0
