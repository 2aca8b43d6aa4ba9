"""Training on several devices and several machines, with one small loop that each worker runs.

``keras.Model.fit`` runs on the devices of one machine (``tf.distribute.MirroredStrategy``) and fails on several
machines. :class:`Trainer` runs on both, for Keras models and for ``tf.Module``s: each worker starts the same script,
with the variable ``TF_CONFIG`` that tells it about the others, and the weights are those of one worker that sees the
whole batches.
"""

from tf_symconv.distributed._cluster import Cluster, make_strategy, read_cluster
from tf_symconv.distributed._errors import DistributedTrainingError, WorkerLostError
from tf_symconv.distributed._trainer import Trainer

__all__ = [
    "Cluster",
    "DistributedTrainingError",
    "Trainer",
    "WorkerLostError",
    "make_strategy",
    "read_cluster",
]
