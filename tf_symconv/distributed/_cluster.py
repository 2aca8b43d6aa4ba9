"""Who takes part in a training: the variable ``TF_CONFIG``, and the strategy that follows from it."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_ROLES = ("chief", "worker")  # in the order of their ranks
_RULE = (
    "TF_CONFIG must be JSON such as "
    '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a training, and which of them this process is.

    Attributes:
        addresses: ``"host:port"`` of each worker; the first is the chief's.
        index: place of this process among them.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files and tells progress."""
        return self.index == 0


def read_cluster(environ: Mapping[str, str] | None = None) -> Cluster | None:
    """Read ``TF_CONFIG``.

    Args:
        environ: where to look; by default the environment of this process.

    Returns:
        The cluster, or None if the variable is missing or empty: this process trains alone.

    Raises:
        ValueError: if the variable does not describe workers, of which this process is one.

    Example:
        >>> from tf_symconv.distributed import read_cluster
        >>> config = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 1}}'
        >>> read_cluster({"TF_CONFIG": config})
        Cluster(addresses=('a:2222', 'b:2222'), index=1)
    """
    text = (os.environ if environ is None else environ).get("TF_CONFIG", "")
    if not text.strip():
        return None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{_RULE}. Received: TF_CONFIG={text!r} ({error})") from error
    cluster, task = (config.get(key) if isinstance(config, dict) else None for key in ("cluster", "task"))
    if not isinstance(cluster, dict) or not cluster or not isinstance(task, dict):
        raise ValueError(f"{_RULE}. Received: TF_CONFIG={text!r}")
    strangers = sorted(set(cluster) - set(_ROLES))
    if strangers:
        raise ValueError(
            "the cluster of TF_CONFIG must hold workers, and a chief at most: nobody else takes part. "
            f"Received: cluster with {', '.join(map(repr, strangers))}"
        )
    if len(_addresses(cluster, "chief")) > 1:
        raise ValueError(f"the cluster of TF_CONFIG must have one chief at most. Received: chief={cluster['chief']!r}")
    addresses = [address for role in _ROLES for address in _addresses(cluster, role)]
    twice = sorted({address for address in addresses if addresses.count(address) > 1})
    if twice:
        raise ValueError(f"the addresses in TF_CONFIG must differ. Received: {', '.join(twice)} more than once")
    return Cluster(tuple(addresses), _rank(cluster, task))


def _addresses(cluster: dict[str, Any], role: str) -> list[str]:
    addresses = cluster.get(role, [])
    if not isinstance(addresses, list) or (role in cluster and not addresses):
        raise ValueError(f"the cluster of TF_CONFIG must list addresses. Received: {role}={addresses!r}")
    for address in addresses:
        match = (
            re.fullmatch(r"(?:[^\s:/]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", address) if isinstance(address, str) else None
        )
        if match is None or not 0 < int(match[1]) < 65536:
            raise ValueError(f"an address in TF_CONFIG must be host:port. Received: {role} at {address!r}")
    return addresses


def _rank(cluster: dict[str, Any], task: dict[str, Any]) -> int:
    role, index = task.get("type"), task.get("index")
    if role not in cluster:
        raise ValueError(
            f"the task of TF_CONFIG must have a type of the cluster, {' or '.join(map(repr, cluster))}. "
            f"Received: type={role!r}"
        )
    if isinstance(index, str) and index.isdigit():
        index = int(index)
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(cluster[role]):
        raise ValueError(
            f"the task of TF_CONFIG must have an index from 0 to {len(cluster[role]) - 1}, the cluster has "
            f"{len(cluster[role])} of type {role!r}. Received: index={index!r}"
        )
    return index + (len(cluster.get("chief", ())) if role == "worker" else 0)


def make_strategy(*, timeout: float | None = None) -> tf.distribute.Strategy:
    """Return the strategy for the workers that ``TF_CONFIG`` names, or for this machine alone.

    Call it before anything else that uses TensorFlow: workers meet here, each waits for all others.

    Args:
        timeout: seconds after which a worker gives up to wait for others within a step; None waits until one is found
            dead.

    Returns:
        A ``MultiWorkerMirroredStrategy`` where ``TF_CONFIG`` names more than one worker; else a ``MirroredStrategy``
        over the GPUs of this machine, or its CPU.

    Raises:
        ValueError: as :func:`read_cluster`, and if ``timeout`` is not positive.
        RuntimeError: if TensorFlow has been used before, or cannot listen at the address of this worker.

    Example:
        >>> from tf_symconv.distributed import make_strategy
        >>> make_strategy().num_replicas_in_sync
        1
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds, or None. Received: timeout={timeout!r}")
    cluster = read_cluster()
    if cluster is None or len(cluster.addresses) == 1:
        # One replica of the CPU, which uses all cores, even where TensorFlow is told to show several.
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus] or ["CPU:0"])
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except RuntimeError as error:
        if "program startup" not in str(error):
            raise
        raise RuntimeError(
            "make_strategy must be called before anything else that uses TensorFlow: before models, optimizers and "
            "data sets are made"
        ) from error
    except (tf.errors.UnknownError, tf.errors.InternalError) as error:
        raise RuntimeError(
            f"this worker must be able to listen at its address in TF_CONFIG. Received: "
            f"{cluster.addresses[cluster.index]!r} ({str(error).partition(chr(10))[0]})"
        ) from error


def place_of(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Return the place of this process among the workers of a strategy, and their number."""
    resolver: Any = getattr(strategy, "cluster_resolver", None)
    cluster = resolver.cluster_spec().as_dict() if resolver else {}
    chiefs, workers = (len(cluster.get(role, ())) for role in _ROLES)
    if resolver is None or not chiefs + workers:
        return 0, 1
    return int(resolver.task_id or 0) + (chiefs if resolver.task_type == "worker" else 0), chiefs + workers
