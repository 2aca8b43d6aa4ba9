"""How many group channels match an ordinary layer."""

import math

import keras
import numpy as np
import pytest

from tf_symconv import groups
from tf_symconv.layers import GroupConv2D
from tf_symconv.models import equal_compute_filters, equal_parameter_filters


@pytest.mark.parametrize(
    ("n", "group", "parameters", "compute"),
    [
        *((20, "c4", 10, 5), (20, "d4", 7, 3), (32, "d4", 11, 4), (64, "d4", 23, 8), (128, "d4", 45, 16)),
        *((5, "c4", 3, 1), (7, "c4", 4, 2), (1, "d4", 1, 1), (1, "c2", 1, 1), (3, "c2", 2, 2), (9, "h", 6, 5)),
        *((10, "hv", 5, 3), (10, "vh", 5, 3), (11, "diag", 8, 6)),
    ],
)
def test_group_channels_that_match(n, group, parameters, compute):
    assert equal_parameter_filters(n, group) == parameters
    assert equal_compute_filters(n, group) == compute


@pytest.mark.parametrize("group", ["c2", "c4", "d4", "h", "hv"])
def test_the_match_is_the_best_there_is(group):
    order = groups.get(group).order
    for n in range(1, 200):
        channels = equal_parameter_filters(n, group)
        assert abs(channels - n / math.sqrt(order)) <= 0.5 or channels == 1
        channels = equal_compute_filters(n, group)
        assert abs(channels - n / order) <= 0.5 or channels == 1


@pytest.mark.parametrize("group", ["c4", "hv"])
def test_layers_of_that_many_channels_have_equal_weights_and_equal_work(group):
    order = groups.get(group).order
    plain = keras.layers.Conv2D(32, 3, use_bias=False)
    plain.build((None, 8, 8, 32))
    filters = order * equal_parameter_filters(32, group)
    layer = GroupConv2D(filters, 3, group=group, input_group=group, use_bias=False)
    layer.build((None, 8, 8, filters))
    assert layer.count_params() == plain.count_params()
    filters = order * equal_compute_filters(32, group)
    layer = GroupConv2D(filters, 3, group=group, input_group=group, use_bias=False)
    layer.build((None, 8, 8, filters))
    assert tuple(layer.kernel.shape) == tuple(plain.kernel.shape)


@pytest.mark.parametrize("function", [equal_parameter_filters, equal_compute_filters])
@pytest.mark.parametrize(
    ("n", "group", "error", "message"),
    [
        (0, "c4", ValueError, "n must be positive.*Received: n=0"),
        (-3, "c4", ValueError, "Received: n=-3"),
        (2.0, "c4", TypeError, "n must be an integer.*Received: n=2.0"),
        (True, "c4", TypeError, "Received: n=True"),
        ("8", "c4", TypeError, "Received: n='8'"),
        (np.float32(3), "c4", TypeError, "n must be an integer"),
        (8, "p4", ValueError, "In 2-D a group is one of.*Received: 'p4'"),
        (8, 4, ValueError, "In 2-D a group is one of"),
        (8, None, ValueError, "In 2-D a group is one of"),
    ],
)
def test_wrong_arguments_get_one_clear_message(function, n, group, error, message):
    with pytest.raises(error, match=message):
        function(n, group)
