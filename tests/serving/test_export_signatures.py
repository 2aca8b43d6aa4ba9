"""The signatures of an export: names, methods, labels, examples, encoded images; run by the C library."""

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_symconv import layers, serving
from tf_symconv.serving._c_api import StatusError
from tf_symconv.serving._images import ImageReader
from tf_symconv.serving._saved_model import read
from tf_symconv.serving._worker import Worker

LABELS = ["cat", "dog", "\u00fcber"]


def make_model(*first: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 6, 3), name="image"),
            *first,
            layers.SymmetricConv2D(4, 3, symmetry="hv", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax", name="probabilities"),
        ]
    )


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return make_model()


@pytest.fixture(scope="module")
def version(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with all signatures for classes of images."""
    return serving.export(model, tmp_path_factory.mktemp("base"), labels=LABELS, image_bytes=True, warmup=(2, 5))


class Caller:
    """Calls signatures by their names, in a process without Python's TensorFlow."""

    def __init__(self, version: Path):
        self.signatures = read(version).signatures
        self.worker = Worker(version, timeout=120)

    def __call__(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        found = self.signatures[signature]
        feeds = {found.inputs[name].tensor: array for name, array in inputs.items()}
        answers = self.worker.run(feeds, [spec.tensor for spec in found.outputs.values()])
        return dict(zip(found.outputs, answers, strict=True))


@pytest.fixture(scope="module")
def call(version: Path) -> Any:
    caller = Caller(version)
    yield caller
    caller.worker.close()


def strings(*values: bytes) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def serialized(**features: Any) -> bytes:
    example = tf.train.Example()
    for name, values in features.items():
        example.features.feature[name].float_list.value.extend(np.ravel(values))
    return example.SerializeToString()


def png(pixels: np.ndarray) -> bytes:
    return tf.io.encode_png(pixels).numpy()


def test_names_types_and_methods(version: Path) -> None:
    found = {
        name: (
            signature.method,
            {key: (spec.dtype, spec.shape) for key, spec in signature.inputs.items()},
            {key: (spec.dtype, spec.shape) for key, spec in signature.outputs.items()},
        )
        for name, signature in read(version).signatures.items()
    }
    assert found == {
        "serving_default": (
            "tensorflow/serving/predict",
            {"image": ("float32", (None, 8, 6, 3))},
            {"probabilities": ("float32", (None, 3))},
        ),
        "classify": (
            "tensorflow/serving/classify",
            {"inputs": ("string", (None,))},
            {"classes": ("string", (None, 3)), "scores": ("float32", (None, 3))},
        ),
        "serving_bytes": (
            "tensorflow/serving/predict",
            {"image_bytes": ("string", (None,))},
            {"probabilities": ("float32", (None, 3))},
        ),
    }


def test_the_weights_are_stored_once(version: Path, model: keras.Model) -> None:
    kernel: Any = model.layers[0]
    assert (version / "saved_model.pb").read_bytes().count(np.asarray(kernel.kernel).tobytes()) == 1


def test_classify_reads_examples_and_names_the_classes(call: Caller, model: keras.Model) -> None:
    images = np.random.default_rng(0).normal(size=(4, 8, 6, 3)).astype("float32")
    answer = call("classify", inputs=strings(*(serialized(image=image) for image in images)))
    np.testing.assert_allclose(answer["scores"], model(images), rtol=1e-5, atol=1e-6)
    assert answer["classes"].tolist() == [[label.encode() for label in LABELS]] * 4
    for bad in (b"no example", serialized(image=images[0, 1:]), serialized(picture=images[0])):
        with pytest.raises(StatusError) as caught:
            call("classify", inputs=strings(bad))
        assert caught.value.code == "INVALID_ARGUMENT"


def test_encoded_images_are_decoded_scaled_and_resized(call: Caller, model: keras.Model) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    larger = np.kron(pixels, np.ones((2, 2, 1), np.uint8))  # each pixel four times
    grey = pixels[..., :1]
    answer = call("serving_bytes", image_bytes=strings(png(pixels), png(larger), png(grey)))
    want = [pixels / 255, _halved(larger) / 255, np.repeat(grey, 3, -1) / 255]
    np.testing.assert_allclose(answer["probabilities"], model(np.stack(want).astype("float32")), rtol=1e-5, atol=1e-6)

    image = pytest.importorskip("PIL.Image")
    smooth = np.add.outer(np.arange(8) * 20, np.arange(6) * 10)[..., None] + np.array([0, 20, 40])
    buffer = io.BytesIO()
    image.fromarray(smooth.astype(np.uint8)).save(buffer, "JPEG", quality=95)
    answer = call("serving_bytes", image_bytes=strings(buffer.getvalue()))
    decoded = np.asarray(image.open(io.BytesIO(buffer.getvalue())), "float32")[None] / 255
    np.testing.assert_allclose(answer["probabilities"], model(decoded), atol=1e-2)  # JPEG decoders differ a little


def _halved(pixels: np.ndarray) -> np.ndarray:
    """Resize to half by the mean of the two nearest pixels on each axis, which are equal here."""
    return pixels[::2, ::2].astype("float64")


@pytest.mark.parametrize("bad", [b"", b"no image", png(np.zeros((8, 6, 3), np.uint8))[:40]])
def test_what_is_no_image_is_refused(call: Caller, bad: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        call("serving_bytes", image_bytes=strings(bad))
    assert caught.value.code == "INVALID_ARGUMENT"
    with pytest.raises(StatusError, match="not compatible with expected shape"):
        call("serving_bytes", image_bytes=np.full((1, 1), b"", object))


def read_by(options: serving.ImageBytes, model: keras.Model, *files: bytes) -> np.ndarray:
    [tensor] = model.inputs
    reader = ImageReader(model, tf.TensorSpec(tensor.shape, tensor.dtype), options)
    return reader(tf.constant(strings(*files))).numpy()


def test_images_are_read_as_the_model_wants() -> None:
    pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    one, plain = png(pixels), serving.ImageBytes()
    np.testing.assert_allclose(read_by(plain, make_model(), one)[0], pixels / 255, rtol=1e-6)
    rescaling = make_model(keras.layers.Rescaling(1 / 255))
    np.testing.assert_array_equal(read_by(plain, rescaling, one)[0], pixels)
    nested = keras.Sequential([keras.Input((8, 6, 3)), rescaling])
    np.testing.assert_array_equal(read_by(plain, nested, one)[0], pixels)
    centred = serving.ImageBytes(scale=2 / 255, offset=-1.0)
    np.testing.assert_allclose(read_by(centred, rescaling, one)[0], pixels * (2 / 255) - 1, atol=1e-6)
    integers = keras.Sequential([keras.Input((4, 3, 3), dtype="uint8"), keras.layers.Rescaling(1.0)])
    coarse = read_by(serving.ImageBytes(interpolation="nearest"), integers, one)
    assert coarse.dtype == np.uint8
    np.testing.assert_array_equal(coarse[0], pixels[1::2, 1::2])
    first = keras.Sequential([keras.Input((3, None, None)), keras.layers.Identity()])
    sized = read_by(serving.ImageBytes(size=(8, 6)), first, one)
    np.testing.assert_allclose(sized[0], np.moveaxis(pixels / 255, -1, 0), rtol=1e-6)
    smooth = read_by(serving.ImageBytes(antialias=True), make_model(), png(np.tile(pixels, (3, 3, 1))))
    assert not np.allclose(smooth, read_by(plain, make_model(), png(np.tile(pixels, (3, 3, 1)))))


def test_a_value_is_regressed_from_features_of_any_type(tmp_path: Path) -> None:
    number = keras.Input((2,), dtype="int32", name="number")
    half = keras.Input((3,), dtype="float16", name="half")
    word = keras.Input((1,), dtype="string", name="word")
    known = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(word)
    parts = [keras.layers.Rescaling(1.0, dtype="float32")(each) for each in (number, half, known)]
    value = keras.layers.Dense(1, name="value")(keras.layers.Concatenate()(parts))
    model = keras.Model([number, half, word], value)
    examples = {
        "number": np.array([[1, 2], [3, 4]], "int32"),
        "half": np.ones((2, 3), "float16"),
        "word": np.array([["a"], ["c"]]),
    }
    version = serving.export(model, tmp_path, examples=examples, signatures=("serving_default", "regress"), warmup=True)
    signature = read(version).signatures["regress"]
    assert signature.method == "tensorflow/serving/regress"
    assert list(signature.outputs) == ["outputs"]
    example = tf.train.Example()
    example.features.feature["number"].int64_list.value.extend([3, 4])
    example.features.feature["half"].float_list.value.extend([1, 1, 1])
    example.features.feature["word"].bytes_list.value.append(b"c")
    caller = Caller(version)
    answer = caller("regress", inputs=strings(example.SerializeToString()))["outputs"]
    caller.worker.close()
    want = model([tf.constant(array[1:]) for array in examples.values()])
    np.testing.assert_allclose(answer, want, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["a", "b"]}, "labels must be as many as the model has classes, 3. Received: 2"),
        ({"labels": "cat"}, r"labels must be names, one for each class. Received: labels='cat'"),
        ({"labels": []}, "labels must be names"),
        ({"signatures": ("predict",)}, "signatures must be some of 'serving_default', 'classify'"),
        ({"signatures": "classify"}, "signatures must be some of"),
        ({"signatures": ()}, "signatures must be some of"),
        ({"signatures": ["regress"]}, r"'regress' needs one floating output of shape \(batch,\) or \(batch, 1\)"),
        ({"signatures": ["classify"], "image_bytes": True}, "image_bytes is for the signature 'serving_bytes'"),
        ({"signatures": ["serving_default"], "labels": LABELS}, "labels are for the signature 'classify'"),
        ({"warmup": (0,)}, r"warmup must be True, False or batch sizes above 0. Received: warmup=\(0,\)"),
        ({"warmup": range(1, 1002)}, "at most 1000 warm-up records. Received: 1001"),
        ({"keep": 0}, "keep must be an integer above 0, or None. Received: keep=0"),
        ({"version": -1}, "version must be an integer from 0 up"),
        ({"kernels": "fast"}, "kernels must be one of"),
    ],
)
def test_bad_arguments_leave_nothing(tmp_path: Path, model: keras.Model, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        serving.export(model, tmp_path / "base", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_models_that_take_no_images_have_no_image_signature(tmp_path: Path) -> None:
    vector = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    with pytest.raises(
        ValueError, match=r"of shape \(batch, height, width, channels\).*Received: input of shape \(Non"
    ):
        serving.export(vector, tmp_path, image_bytes=True)
    open_size = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalMaxPooling2D()])
    with pytest.raises(ValueError, match="examples must be given for an input whose shape leaves more open"):
        serving.export(open_size, tmp_path)
    images = np.zeros((1, 8, 8, 3), "float32")
    with pytest.raises(ValueError, match="size must be the height and width that the model takes"):
        serving.export(open_size, tmp_path, examples=images, image_bytes=True)
    with pytest.raises(ValueError, match="'classify' needs inputs of known shapes"):
        serving.export(open_size, tmp_path, examples=images, labels=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"interpolation must be one of .*Received: interpolation='best'"):
        serving.ImageBytes(interpolation="best")
    with pytest.raises(ValueError, match=r"size must be a height and a width above 0. Received: size=\(0, 3\)"):
        serving.ImageBytes(size=(0, 3))
    assert list(tmp_path.iterdir()) == []
