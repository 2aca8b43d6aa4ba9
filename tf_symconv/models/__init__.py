"""Tools for whole models.

:func:`calibrate` gives every layer outputs of unit variance on a batch of data. :mod:`~tf_symconv.models.equivariance`
tells and measures whether a model commutes with a group, :mod:`~tf_symconv.models.zoo` has models that do.
:func:`equal_parameter_filters` and :func:`equal_compute_filters` size group convolutions.
"""

from tf_symconv.models import equivariance, zoo
from tf_symconv.models._calibrate import CalibratedLayer, Calibration, calibrate
from tf_symconv.models._filters import equal_compute_filters, equal_parameter_filters

__all__ = [
    "CalibratedLayer",
    "Calibration",
    "calibrate",
    "equal_compute_filters",
    "equal_parameter_filters",
    "equivariance",
    "zoo",
]
