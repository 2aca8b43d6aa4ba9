"""Tools for whole models.

:func:`calibrate` gives every layer outputs of unit variance on a batch of data. :mod:`~tf_symconv.models.equivariance`
tells and measures whether a model commutes with a group, :mod:`~tf_symconv.models.zoo` has models that do.
:func:`equal_parameter_filters` and :func:`equal_compute_filters` size group convolutions.

:func:`symmetrize` makes an ordinary model symmetric, at once; :class:`SymmetryPenalty` and :class:`SymmetryAnnealing`
do it by degrees. :func:`materialize` makes a model one of plain Keras layers. :func:`summary` tells what structure
saves.
"""

from tf_symconv.models import equivariance, zoo
from tf_symconv.models._calibrate import CalibratedLayer, Calibration, calibrate
from tf_symconv.models._filters import equal_compute_filters, equal_parameter_filters
from tf_symconv.models._materialize import materialize
from tf_symconv.models._penalty import SymmetryAnnealing, SymmetryPenalty
from tf_symconv.models._summary import ModelSummary, SummaryRow, summary
from tf_symconv.models._symmetrize import Symmetrization, SymmetrizedLayer, symmetrize

__all__ = [
    "CalibratedLayer",
    "Calibration",
    "ModelSummary",
    "SummaryRow",
    "Symmetrization",
    "SymmetrizedLayer",
    "SymmetryAnnealing",
    "SymmetryPenalty",
    "calibrate",
    "equal_compute_filters",
    "equal_parameter_filters",
    "equivariance",
    "materialize",
    "summary",
    "symmetrize",
    "zoo",
]
