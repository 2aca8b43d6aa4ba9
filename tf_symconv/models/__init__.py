"""Tools for whole models.

:func:`calibrate` gives every layer outputs of unit variance on a batch of data.
"""

from tf_symconv.models._calibrate import CalibratedLayer, Calibration, calibrate

__all__ = ["CalibratedLayer", "Calibration", "calibrate"]
