"""What TensorFlow 1 had and today's TensorFlow lacks, with what took its place."""

__all__ = ["explain"]

_TFA = "the archived package tensorflow-addons has the last version"
_SUCCESSORS = {
    "contrib.all_reduce": "tf.distribute does this",
    "contrib.autograph": "tf.autograph is part of TensorFlow",
    "contrib.bayesflow": "tensorflow_probability took it over",
    "contrib.boosted_trees": "the package tensorflow_decision_forests took it over",
    "contrib.cluster_resolver": "tf.distribute.cluster_resolver took it over",
    "contrib.copy_graph": "use tf.import_graph_def(graph.as_graph_def())",
    "contrib.crf": _TFA,
    "contrib.cudnn_rnn": "tf.keras.layers.LSTM and GRU use cuDNN by themselves",
    "contrib.data": "use tf.data and tf.data.experimental",
    "contrib.deprecated": "use tf.summary",
    "contrib.distribute": "use tf.distribute",
    "contrib.distributions": "tensorflow_probability.distributions took it over",
    "contrib.eager": "eager execution is part of TensorFlow; use tf.enable_eager_execution",
    "contrib.estimator": "Keras took the place of estimators",
    "contrib.factorization": "there is no successor",
    "contrib.framework": "only arg_scope and the functions for global_step and checkpoints are here",
    "contrib.feature_column": "use tf.feature_column",
    "contrib.ffmpeg": "the package tensorflow-io took it over",
    "contrib.gan": "the package tensorflow-gan took it over",
    "contrib.graph_editor": "tf.compat.v1.graph_util and tf.import_graph_def(input_map=...) do most of it",
    "contrib.image": f"tf.image has most of it; {_TFA} of the rest",
    "contrib.input_pipeline": "use tf.data",
    "contrib.integrate": "use tensorflow_probability.math.ode",
    "contrib.kfac": "the package kfac took it over",
    "contrib.layers": "only its common layers are here; tf.layers and tf.nn have the rest",
    "contrib.learn": "use tf.keras; for its data sets, tensorflow_datasets",
    "contrib.legacy_seq2seq": "use tf.keras.layers.RNN with attention layers",
    "contrib.linalg": "use tf.linalg",
    "contrib.lite": "use tf.lite",
    "contrib.lookup": "use tf.lookup",
    "contrib.losses": "use tf.losses",
    "contrib.metrics": "use tf.metrics",
    "contrib.mixed_precision": "use tf.train.experimental.enable_mixed_precision_graph_rewrite",
    "contrib.model_pruning": "the package tensorflow_model_optimization took it over",
    "contrib.nccl": "tf.distribute does this",
    "contrib.nn": "use tf.nn",
    "contrib.opt": f"use tf.train or tf.keras.optimizers; {_TFA} of the rest",
    "contrib.predictor": "use tf.saved_model.load or tf_symconv.compat_v1.load_v1_saved_model",
    "contrib.quantization": "use tf.quantization",
    "contrib.quantize": "the package tensorflow_model_optimization took it over",
    "contrib.rnn": "use tf.nn.rnn_cell for the cells and tf.nn.dynamic_rnn, tf.nn.static_rnn for the loops",
    "contrib.saved_model": "use tf.saved_model",
    "contrib.seq2seq": _TFA,
    "contrib.signal": "use tf.signal",
    "contrib.slim": "only its common layers are here; tf.layers and tf.nn have the rest",
    "contrib.sparsemax": _TFA,
    "contrib.staging": "use tf.data prefetching",
    "contrib.stateless": "use tf.random.stateless_uniform and its kin",
    "contrib.stat_summarizer": "use tf.profiler",
    "contrib.summary": "use tf.summary; tf.compat.v2.summary has the new kind",
    "contrib.tensorboard": "the package tensorboard has its projector and plugins",
    "contrib.tensorrt": "use tf.experimental.tensorrt",
    "contrib.timeseries": "there is no successor",
    "contrib.tpu": "use tf.distribute.TPUStrategy",
    "contrib.training": "tf.train and tf.data have most of it; HParams is in no package of TensorFlow",
    "contrib.util": "use tf.make_ndarray, tf.make_tensor_proto",
    "config.experimental_list_devices": "use tf.config.list_logical_devices",
    "estimator": "Keras took the place of estimators",
    "examples": "use tensorflow_datasets, or scikit-learn's load_digits where there is no network",
    "pywrap_tensorflow": "use tf.train.NewCheckpointReader, tf.compat.v1 and tf.errors",
    # Names that were gone before TensorFlow 1.0, which tutorials still have.
    "audio_summary": "use tf.summary.audio",
    "batch_fft": "use tf.fft",
    "batch_fft2d": "use tf.fft2d",
    "batch_ifft": "use tf.ifft",
    "batch_ifft2d": "use tf.ifft2d",
    "batch_matmul": "use tf.matmul",
    "complex_abs": "use tf.abs",
    "histogram_summary": "use tf.summary.histogram",
    "image_summary": "use tf.summary.image",
    "inv": "use tf.reciprocal",
    "listdiff": "use tf.setdiff1d",
    "merge_all_summaries": "use tf.summary.merge_all",
    "merge_summary": "use tf.summary.merge",
    "mul": "use tf.multiply",
    "neg": "use tf.negative",
    "pack": "use tf.stack",
    "scalar_summary": "use tf.summary.scalar",
    "select": "use tf.where",
    "sub": "use tf.subtract",
    "unpack": "use tf.unstack",
}


def explain(symbol: str, version: str) -> str | None:
    """Return why a symbol is not there, None if TensorFlow 1 did not have it either.

    Args:
        symbol: Its name without the leading ``tensorflow.``, such as ``"contrib.rnn.LSTMCell"``.
        version: The version of TensorFlow in use.
    """
    parts = symbol.split(".")
    for length in range(len(parts), 0, -1):
        advice = _SUCCESSORS.get(".".join(parts[:length]))
        if advice is not None:
            return f"TensorFlow {version} has no tf.{symbol}: {advice}."
    if parts[0] == "contrib":
        return f"TensorFlow {version} has no tf.{symbol}: tf.contrib was dissolved, and nothing took its place."
    return None
