"""The ``symconv`` command.

Each subcommand is a module of this package with

- a docstring: its first line is the summary in ``symconv --help``, the whole is the head of its own help;
- ``USAGE``: its positional arguments as the help shows them, for example ``"VERSION_DIR"``;
- ``FLAGS``: an ``absl.flags.FlagValues`` with its flags;
- ``run(arguments) -> int``: the work, called with the positional arguments once ``FLAGS`` is parsed; it returns the
  exit status and raises :class:`CommandError` for what the user can mend;
- optionally ``FLAGS_COME_FIRST = True``: its flags end at the first positional argument, and what follows is passed to
  ``run`` untouched, ``--help`` included. Otherwise flags may stand anywhere.

Modules are imported when they are called, and import TensorFlow inside ``run`` only, so that help is instant and
``symconv verify`` stays without the TensorFlow Python package.
"""

import importlib
import itertools
import os
import sys
import types

from absl import flags

__all__ = ["CommandError", "main"]

_COMMANDS = {
    "bench": "Time layers beside the layers they replace: inference, training steps, memory and construction.",
    "compare": "Measure what symmetry does for accuracy, by number of training images.",
    "export": "Export a saved Keras model as a verified version for TensorFlow Serving.",
    "inspect-checkpoint": "List what a name-based checkpoint holds.",
    "predict": "Send images and arrays to a server, and show what its model makes of them.",
    "promote": 'Move a version label, by default "stable" to the version that is "canary".',
    "rollback": "Give a version label back to the version that had it before the last symconv promote.",
    "run-v1": "Run an unmodified TensorFlow 1 script on today's TensorFlow.",
    "serve": "Start TensorFlow Serving on a directory of versions, and wait until the model is available.",
    "train": "Train, export and verify a symmetric model beside its plain twin.",
    "verify": "Check a SavedModel version with the TensorFlow C API alone.",
}


class CommandError(Exception):
    """What stopped a command, in one line for the user."""


def main(argv: list[str] | None = None) -> int:
    """Run ``symconv`` with ``argv`` (``sys.argv`` by default) and return the exit status.

    Status 0 is success, 1 a failure told in one line on the standard error, 2 a mistake in the command line,
    130 an interrupt by the user.
    """
    arguments = list(sys.argv if argv is None else argv)[1:]
    if not arguments or arguments[0] in ("-h", "--help", "-help", "help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        import tf_symconv

        print(f"symconv {tf_symconv.__version__}")
        return 0
    name, *rest = arguments
    if name not in _COMMANDS:
        return _fail(2, f"no command {name!r}; choose one of {', '.join(_COMMANDS)} (symconv --help tells more)")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    command = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    flags_come_first = getattr(command, "FLAGS_COME_FIRST", False)
    for flag in command.FLAGS:
        command.FLAGS[flag].unparse()  # A call in the same process starts from the defaults again.
    command.FLAGS.set_gnu_getopt(not flags_come_first)
    own = itertools.takewhile(lambda argument: argument.startswith("-"), rest) if flags_come_first else rest
    if any(argument in ("-h", "--help", "-help") for argument in own):
        print(_help(name, command))
        return 0
    try:
        positional = command.FLAGS(["symconv", *rest])[1:]
    except flags.Error as error:
        return _fail(2, f"{_one_line(error)} (symconv {name} --help lists the flags)")
    if os.environ.get("SYMCONV_LIBRARY"):
        from tf_symconv import libraries

        try:
            libraries.current()
        except ValueError as error:
            return _fail(2, _one_line(error))
    try:
        return command.run(positional)
    except CommandError as error:
        return _fail(1, _one_line(error))
    except KeyboardInterrupt:
        return _fail(130, "interrupted")


def _overview() -> str:
    width = max(map(len, _COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in _COMMANDS.items())
    return (
        "symconv: structured convolutions, from data to a verified, servable model.\n\n"
        f"Usage: symconv COMMAND [FLAGS] [ARGUMENTS]\n\nCommands:\n{rows}\n\n"
        "symconv COMMAND --help tells the flags of a command; symconv --version the version."
    )


def _help(name: str, command: types.ModuleType) -> str:
    lines = [f"Usage: symconv {name} [FLAGS] {command.USAGE}".rstrip(), "", (command.__doc__ or "").strip()]
    listing = command.FLAGS.get_flags_for_module(command.__name__)
    if listing:
        lines += ["", "Flags:"]
        for flag in sorted(listing, key=lambda item: item.name):
            spelled = (
                f"--[no]{flag.name}"
                if flag.boolean
                else f"--{flag.name}={'' if flag.default is None else flag.default}"
            )
            lines += [f"  {spelled}", f"      {flag.help}"]
    return "\n".join(lines)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _fail(status: int, message: str) -> int:
    print(f"symconv: {message}", file=sys.stderr)
    return status
