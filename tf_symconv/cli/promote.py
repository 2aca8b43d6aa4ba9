"""Move a version label, by default "stable" to the version that is "canary".

The model config is replaced whole, and the server at --target takes it over. A version that is not loaded is loaded
before it gets the label, so no request fails. The version that had the label stays loaded as "previous-LABEL", for
symconv rollback. If the server refuses, everything is as it was.
"""

from collections.abc import Sequence

from absl import flags

from tf_symconv.cli._labels import define_flags, move
from tf_symconv.serving import promote

USAGE = "MODEL_CONFIG"
FLAGS = flags.FlagValues()

define_flags(FLAGS, __name__, "The version to promote. Default: the one with the label --from.")
flags.DEFINE_string("from", "canary", "The label of the version to promote.", flag_values=FLAGS)


def run(arguments: Sequence[str]) -> int:
    """Promote in the model config ``arguments[0]``."""
    return move("promote", arguments, FLAGS, promote, source=FLAGS["from"].value)
