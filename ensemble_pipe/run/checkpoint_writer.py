"""Writing of checkpoints in the background, several at once.

A flush to disk takes milliseconds, in which a trainer of small networks takes a hundred steps, and
the learners of a stack end an epoch together. File systems with a journal flush what waits at the
same time in one go.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ensemble_pipe.training.events import Checkpoint

WRITERS = 16


class CheckpointWriter:
    """Writes checkpoints in threads; those of a learner one after another."""

    def __init__(self, save: Callable[[Checkpoint], None]) -> None:
        """Begin with nothing to write; `save` writes a checkpoint."""
        self._save = save
        self._pool = ThreadPoolExecutor(WRITERS, "checkpoints")
        self._waiting: dict[int, Future[None]] = {}

    def write(self, checkpoint: Checkpoint) -> None:
        """Begin to write a checkpoint; raises what went wrong with the one before it."""
        self.wait(checkpoint.learner)
        self._waiting[checkpoint.learner] = self._pool.submit(self._save, checkpoint)

    def wait(self, learner: int) -> None:
        """Wait until the checkpoints of a learner are written; raises what went wrong."""
        if learner in self._waiting:
            self._waiting.pop(learner).result()

    def wait_for_all(self) -> None:
        """Wait until all checkpoints are written; raises what went wrong first."""
        for learner in list(self._waiting):
            self.wait(learner)
