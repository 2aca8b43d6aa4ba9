"""Export a saved Keras model as a version that TensorFlow Serving loads.

The model becomes a SavedModel of stock operations in a new directory BASE_DIR/NUMBER: its kernels computed, batch
normalisation folded in, the shape of every input checked in the graph. The version is verified in a process without
Python's TensorFlow (as symconv verify does) and then renamed into place, so that a server that watches BASE_DIR sees
all of it or nothing. Exit status 0 only if the version is there and verified.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from tf_symconv.cli import CommandError
from tf_symconv.cli._quiet import quiet_stderr

USAGE = "MODEL.keras BASE_DIR"
FLAGS = flags.FlagValues()

flags.DEFINE_integer("version", None, "Number of the version. Default: the next one.", lower_bound=0, flag_values=FLAGS)
flags.DEFINE_list(
    "signatures",
    None,
    "Signatures to write, of serving_default, classify, regress and serving_bytes. Default: serving_default, classify "
    "if there are labels, serving_bytes with --image_bytes.",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "kernels",
    "auto",
    ["auto", "dense", "trainable"],
    "auto: computed now, in the form in which each layer runs fastest, on servers like this machine or by the library "
    "that SYMCONV_LIBRARY names (onednn, eigen); dense: computed now, plain convolutions; trainable: variables.",
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    "freeze", None, "Make weights constants of the graph. Default: where they fit into its 2 GB.", flag_values=FLAGS
)
flags.DEFINE_string(
    "labels", None, "Names of the classes: a file with one in each line, or names with commas.", flag_values=FLAGS
)
flags.DEFINE_boolean("image_bytes", False, "Write serving_bytes, which takes JPEG and PNG files.", flag_values=FLAGS)
flags.DEFINE_float(
    "image_scale",
    None,
    "What pixels from 0 to 255 are multiplied with. Default: 1/255; 1 where the model takes integers or rescales.",
    flag_values=FLAGS,
)
flags.DEFINE_float("image_offset", 0.0, "What is added to them after that.", flag_values=FLAGS)
flags.DEFINE_string(
    "image_size", None, "HEIGHTxWIDTH to resize images to. Default: what the model takes.", flag_values=FLAGS
)
flags.DEFINE_string("image_interpolation", "bilinear", "How images are resized.", flag_values=FLAGS)
flags.DEFINE_boolean("image_antialias", False, "Smooth images before they get smaller.", flag_values=FLAGS)
flags.DEFINE_list(
    "warmup",
    None,
    "Batch sizes of requests that the server answers before the version becomes available, as in 1,8. Default: none.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "examples",
    None,
    "A .npy file with a batch of inputs, or a .npz file with one for each, by name. Default: random numbers.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("keep", None, "How many versions remain. Default: all.", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_float(
    "tolerance",
    None,
    "Largest difference from the model's outputs, relative to the largest of them. Default: 1e-5, or 8 roundings of "
    "the 16-bit type that the model computes with.",
    lower_bound=0.0,
    flag_values=FLAGS,
)
flags.DEFINE_boolean("json", False, "Print what was written as JSON.", flag_values=FLAGS)


def run(arguments: Sequence[str]) -> int:
    """Export the model in ``arguments[0]`` to the base directory in ``arguments[1]`` and tell what it has become."""
    if len(arguments) != 2:
        raise CommandError(f"symconv export takes MODEL.keras and BASE_DIR. Received: {len(arguments)} arguments")
    path = Path(arguments[0])
    if not path.is_file():
        raise CommandError(f"no such file: {path}")
    examples, labels, batch_sizes = _examples(), _labels(), _numbers("warmup", FLAGS.warmup)
    size = _size()
    with quiet_stderr():
        import keras

        import tf_symconv.initializers
        import tf_symconv.layers  # noqa: F401  (Keras finds the layers by their names.)
        from tf_symconv import serving

        _ = serving.export
    try:
        images: Any = FLAGS.image_bytes and serving.ImageBytes(
            FLAGS.image_scale, FLAGS.image_offset, size, FLAGS.image_interpolation, FLAGS.image_antialias
        )
        version = serving.export(
            keras.models.load_model(path, compile=False),
            arguments[1],
            version=FLAGS.version,
            signatures=FLAGS.signatures,
            kernels=FLAGS.kernels,
            freeze=FLAGS.freeze,
            warmup=batch_sizes,
            examples=examples,
            labels=labels,
            image_bytes=images,
            keep=FLAGS.keep,
            tolerance=FLAGS.tolerance,
        )
    except (serving.ExportError, serving.SavedModelError, ImportError, OSError, TypeError, ValueError) as error:
        raise CommandError(str(error)) from error
    summary = _summary(version)
    print(json.dumps(summary, indent=2) if FLAGS.json else "\n".join(_lines(summary)))
    return 0


def _labels() -> list[str] | None:
    if FLAGS.labels is None:
        return None
    path = Path(FLAGS.labels)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else FLAGS.labels.split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--labels is a text file or names with commas. Received: {path} ({error})") from error
    return [line.strip() for line in lines if line.strip()]


def _numbers(flag: str, texts: Sequence[str] | None) -> list[int] | None:
    if texts is None:
        return None
    if not texts or not all(text.strip().isdecimal() and int(text) for text in texts):
        raise CommandError(f"--{flag} is numbers above 0 with commas. Received: --{flag}={','.join(texts)}")
    return [int(text) for text in texts]


def _size() -> tuple[int, int] | None:
    if FLAGS.image_size is None:
        return None
    edges = _numbers("image_size", FLAGS.image_size.lower().split("x"))
    if edges is None or len(edges) != 2:
        raise CommandError(f"--image_size is HEIGHTxWIDTH. Received: --image_size={FLAGS.image_size}")
    return edges[0], edges[1]


def _examples() -> Any:
    if FLAGS.examples is None:
        return None
    import numpy as np

    try:
        loaded = np.load(FLAGS.examples, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError) as error:
        raise CommandError(f"--examples is a .npy or .npz file. Received: {FLAGS.examples} ({error})") from error


def _summary(version: Path) -> dict[str, Any]:
    from tf_symconv.serving._saved_model import read

    signatures = {
        name: {
            "method": signature.method.rpartition("/")[2],
            "inputs": {key: {"dtype": spec.dtype, "shape": spec.shape} for key, spec in signature.inputs.items()},
            "outputs": {key: {"dtype": spec.dtype, "shape": spec.shape} for key, spec in signature.outputs.items()},
        }
        for name, signature in read(version).signatures.items()
    }
    size = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    return {"version_dir": str(version), "version": int(version.name), "bytes": size, "signatures": signatures}


def _lines(summary: dict[str, Any]) -> list[str]:
    lines = [f"{summary['version_dir']}: verified, {summary['bytes']:,} bytes"]
    width = max(map(len, summary["signatures"]))
    for name, parts in summary["signatures"].items():
        sides = [
            ", ".join(f"{key} {spec['dtype']}{_shape(spec['shape'])}" for key, spec in parts[side].items())
            for side in ("inputs", "outputs")
        ]
        lines.append(f"  {name:<{width}}  {parts['method']}: {sides[0]} -> {sides[1]}")
    return lines


def _shape(sizes: Sequence[int | None] | None) -> str:
    return "" if sizes is None else f"({', '.join('any' if size is None else str(size) for size in sizes)})"
