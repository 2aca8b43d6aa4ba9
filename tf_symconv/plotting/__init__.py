"""Pictures of kernels, of the cells that they tie, and of how equivariant a model is.

Needs the extra ``plot``: ``pip install 'tf_symconv[plot]'``. Figures are made without ``pyplot``: no window, no global
state, any thread. Save one with ``figure.savefig("kernels.png")``; notebooks show it as the value of a cell.
"""

from tf_symconv.plotting._equivariance import plot_equivariance
from tf_symconv.plotting._kernels import plot_kernels
from tf_symconv.plotting._orbits import plot_orbits

__all__ = ["plot_equivariance", "plot_kernels", "plot_orbits"]
