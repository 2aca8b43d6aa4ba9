"""Start TensorFlow Serving on a directory of versions, and wait until the model is available.

The server is --binary, the program that TENSORFLOW_MODEL_SERVER names, tensorflow_model_server on the PATH, or else the
docker image tensorflow/serving. Signals go on to it, and its exit status is that of this command. Flags behind -- go to
the server as they are: symconv serve BASE_DIR -- --grpc_max_threads=64
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from tf_symconv.cli import CommandError
from tf_symconv.serving._serve import IMAGE, Configs, ServeError, find_server, serve

USAGE = "BASE_DIR [-- SERVER_FLAGS...]"
FLAGS = flags.FlagValues()

flags.DEFINE_string("binary", None, "The server to run.", flag_values=FLAGS)
flags.DEFINE_string("image", IMAGE, "The image that docker runs where there is no binary.", flag_values=FLAGS)
flags.DEFINE_string("name", "model", "Name of the model, as requests use it.", flag_values=FLAGS)
flags.DEFINE_integer("port", 8500, "Port of the gRPC interface.", 1, 65535, flag_values=FLAGS)
flags.DEFINE_integer("rest_api_port", 8501, "Port of the REST interface.", 1, 65535, flag_values=FLAGS)
flags.DEFINE_boolean("batching", False, "Join requests into batches.", flag_values=FLAGS)
flags.DEFINE_integer("max_batch_size", 32, "The largest batch, with --batching.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "batch_timeout_micros", 1000, "How long a request waits for others, with --batching.", 0, flag_values=FLAGS
)
flags.DEFINE_boolean(
    "monitoring",
    False,
    "Tell metrics to Prometheus, at /monitoring/prometheus/metrics of the REST port.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "labels", None, "Labels of versions, such as stable=1,canary=2; symconv promote moves them.", flag_values=FLAGS
)
flags.DEFINE_string(
    "config_dir",
    None,
    "Directory for models.config, batching.config and monitoring.config; those that are there are used as they are. "
    "Default: a temporary one.",
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    "dry_run",
    False,
    "Write the config files to --config_dir, print the command line of the server, and end.",
    flag_values=FLAGS,
)
flags.DEFINE_float("wait", 300.0, "Seconds until the model must be available.", 0.001, flag_values=FLAGS)


def run(arguments: Sequence[str]) -> int:
    """Serve the versions in ``arguments[0]`` and return the exit status of the server."""
    if len(arguments) < 1 or not all(argument.startswith("-") for argument in arguments[1:]):
        raise CommandError(f"symconv serve takes one BASE_DIR, and flags behind --. Received: {' '.join(arguments)!r}")
    if FLAGS.dry_run and not FLAGS.config_dir:
        raise CommandError("--dry_run needs --config_dir, where the config files stay")
    labels = _labels(FLAGS.labels or [])
    batching = {"max_batch_size": FLAGS.max_batch_size, "batch_timeout_micros": FLAGS.batch_timeout_micros}
    try:
        server = find_server(FLAGS.binary, FLAGS.image)
        with tempfile.TemporaryDirectory(prefix="symconv-serve-") as temporary:
            Path(temporary).chmod(0o755)  # The server in a container may be another user.
            directory = Path(FLAGS.config_dir or temporary)
            directory.mkdir(parents=True, exist_ok=True)
            return serve(
                server,
                arguments[0],
                name=FLAGS.name,
                port=FLAGS.port,
                rest_port=FLAGS.rest_api_port,
                configs=Configs(directory, labels, batching if FLAGS.batching else None, FLAGS.monitoring),
                further=arguments[1:],
                wait=FLAGS.wait,
                on_ready=lambda news: print(news, flush=True),
                dry_run=FLAGS.dry_run,
            )
    except (OSError, ServeError, ValueError) as error:
        raise CommandError(str(error)) from error


def _labels(pairs: Sequence[str]) -> dict[str, int]:
    labels = {}
    for pair in pairs:
        label, _, version = pair.partition("=")
        if not label or not version.isdecimal():
            raise CommandError(f"--labels must be LABEL=VERSION,... Received: {pair!r}")
        labels[label] = int(version)
    return labels
