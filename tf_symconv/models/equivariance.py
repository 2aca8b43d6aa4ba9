"""Whether a whole model is equivariant: :func:`lint` tells it from the layers, :func:`report` measures it on data."""

from tf_symconv.models._equivariance_lint import LayerVerdict, Lint, lint
from tf_symconv.models._equivariance_report import LayerError, Report, report

__all__ = ["LayerError", "LayerVerdict", "Lint", "Report", "lint", "report"]
