"""Run an unmodified TensorFlow 1 script on today's TensorFlow.

In SCRIPT.py, "import tensorflow as tf" gives TensorFlow 1: graph mode, tf.Session, tf.placeholder, tf.flags and the
rest. GrouPy's module paths resolve to tf_symconv.compat_v1. tf.layers, tf.keras and tf.nn.rnn_cell come from the
package tf-keras, which pip install 'tf_symconv[tf1]' brings. Everything after SCRIPT.py goes to the script. The exit
status is the script's, or 128 plus the signal's number if a signal ended it.
"""

from collections.abc import Sequence

from absl import flags

from tf_symconv.cli import CommandError

USAGE = "SCRIPT.py [ARGS...]"
FLAGS_COME_FIRST = True
FLAGS = flags.FlagValues()

flags.DEFINE_multi_string(
    "keep", [], "Import this module as it is, not from tf_symconv.compat_v1. May be repeated.", flag_values=FLAGS
)


def run(arguments: Sequence[str]) -> int:
    """Run the script ``arguments[0]`` with the other arguments."""
    if not arguments:
        raise CommandError("symconv run-v1 takes a SCRIPT.py")

    from tf_symconv.compat_v1 import _run

    try:
        return _run.run(arguments[0], arguments[1:], keep=FLAGS.keep)
    except ValueError as error:
        raise CommandError(str(error)) from error
