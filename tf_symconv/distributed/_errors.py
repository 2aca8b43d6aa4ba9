"""Why a distributed training stops."""


class DistributedTrainingError(Exception):
    """Why training cannot go on, in one line."""


class WorkerLostError(DistributedTrainingError):
    """Another worker has gone. Start all workers again: training goes on from the last checkpoint."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().partition("\n")[0]
