"""Convolution of an input with a structured kernel, given by its latent and its kernel map.

Stock TensorFlow ops only, in forms that the CPU kernels of a stock TensorFlow Serving run. The ``dense_*`` functions
take the full kernel.
"""

from tf_symconv.ops._dense import dense_convolution
from tf_symconv.ops._depthwise import dense_depthwise_convolution
from tf_symconv.ops._plan import IMPLEMENTATIONS, Plan, check_implementation
from tf_symconv.ops._positions import check_k, global_convolution, top_k_pooling
from tf_symconv.ops._setting import constant_kernels, training_step
from tf_symconv.ops._structured import (
    convolution,
    depthwise_convolution,
    plan_convolution,
    transposed_convolution,
    twin_convolution,
)
from tf_symconv.ops._transposed import dense_transposed_convolution, transposed_end
from tf_symconv.ops._twins import REDUCTIONS, check_reduction

__all__ = [
    "IMPLEMENTATIONS",
    "REDUCTIONS",
    "Plan",
    "check_implementation",
    "check_k",
    "check_reduction",
    "constant_kernels",
    "convolution",
    "dense_convolution",
    "dense_depthwise_convolution",
    "dense_transposed_convolution",
    "depthwise_convolution",
    "global_convolution",
    "plan_convolution",
    "top_k_pooling",
    "training_step",
    "transposed_convolution",
    "transposed_end",
    "twin_convolution",
]
