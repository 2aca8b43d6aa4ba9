"""Print the library that is planned for, and the one whose kernel runs a convolution. Run by test_libraries.py."""

import tensorflow as tf
from tensorflow.python.eager import context

from tf_symconv import libraries


def main() -> None:
    inputs, kernel = tf.ones((2, 16, 16, 8)), tf.ones((3, 3, 8, 8))
    function = tf.function(lambda: tf.nn.conv2d(inputs, kernel, 1, "SAME"))
    recorder = context.context()
    recorder.enable_run_metadata()
    function()
    ran = recorder.export_run_metadata()
    names = {node.op for graphs in ran.function_graphs for graph in graphs.partition_graphs for node in graph.node}
    print(libraries.current().name, "onednn" if any(name.startswith("_Mkl") for name in names) else "eigen")


if __name__ == "__main__":
    main()
