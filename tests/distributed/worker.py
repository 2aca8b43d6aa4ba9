"""What each worker process of the tests runs.

python -m tests.distributed.worker PAGE DIRECTORY [EPOCH in which worker 1 dies]

The page's own example runs first, where no worker is to die. Then a network is trained, and its weights are written.
"""

import os
import re
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tests.distributed import networks
from tf_symconv import distributed

PORT_TAKEN = 98
WORKER_LOST = 99


def main(page, directory, dies_in=None):
    directory = Path(directory).resolve()
    namespace = {}
    try:
        if dies_in is None:
            here = directory / f"page{networks.index()}"
            here.mkdir()
            os.chdir(here)
            example = re.search(r"```python\n(.*?)```", Path(page).read_text(), re.DOTALL)[1]
            exec(compile(example, page, "exec"), namespace)
        strategy = namespace.get("strategy") or distributed.make_strategy()
    except RuntimeError as error:
        if "must be able to listen" not in str(error):
            raise
        return PORT_TAKEN

    def data(epoch):
        if epoch == dies_in and networks.index() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return networks.batches(epoch)

    def tell(history, done):
        print(f"epochs done: {done:.2f}", flush=True)

    trainer = networks.trainer(strategy, directory / f"checkpoints{networks.index()}")
    try:
        history = trainer.fit(data, 3, on_progress=tell)
    except distributed.WorkerLostError as error:
        print(error, flush=True)
        os._exit(WORKER_LOST)
    model = trainer.trained_model()
    weights = {f"weight_{i}": variable.numpy() for i, variable in enumerate(model.variables)}
    losses = np.array([figures["loss"] for figures in history])
    np.savez(directory / f"worker{trainer.worker}.npz", kernel=model.first.kernel.numpy(), losses=losses, **weights)
    return 0


if __name__ == "__main__":
    page, directory, *dies_in = sys.argv[1:]
    sys.exit(main(page, directory, *map(int, dies_in)))
