"""The executor that trains in the calling process, one stack or learner after another."""

from collections.abc import Iterator, Sequence

from ensemble_pipe.cluster.executor import Work
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.training.estimators import train_estimator
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.halting import Halted, never
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.stacks import Stack


class InlineExecutor:
    """Trains in the calling process: without Ray, and with working breakpoints."""

    trainers = 1

    def wait(self, halted: Halted = never) -> bool:
        return True

    def run(
        self, work: Sequence[Work], recipe: Recipe, schema: Schema, halted: Halted = never
    ) -> Iterator[Event]:
        data = TrainingData(recipe, schema)
        with one_thread():
            for place, item in enumerate(work):
                if place and halted():
                    return
                if isinstance(item, Stack):
                    yield from train(item, data, schema, halted)
                else:
                    yield from train_estimator(item, data, schema, halted)

    def release(self) -> None:
        """Do nothing: no other process is running."""

    def close(self) -> None:
        """Do nothing: no other process is running."""
