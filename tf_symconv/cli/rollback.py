"""Give a version label back to the version that had it before the last symconv promote.

The model config is replaced whole, and the server at --target takes it over. If the server refuses, everything is as it
was.
"""

from collections.abc import Sequence

from absl import flags

from tf_symconv.cli._labels import define_flags, move
from tf_symconv.serving import rollback

USAGE = "MODEL_CONFIG"
FLAGS = flags.FlagValues()

define_flags(FLAGS, __name__, "Another version to go back to. Default: the one that had the label before.")


def run(arguments: Sequence[str]) -> int:
    """Roll back in the model config ``arguments[0]``."""
    return move("rollback", arguments, FLAGS, rollback)
