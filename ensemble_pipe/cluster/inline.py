"""The executor that trains in the calling process, one stack after another."""

from collections.abc import Iterator, Sequence

from ensemble_pipe.cluster.executor import Estimators
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.training.estimators import train_estimator
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.stacks import Stack


class InlineExecutor:
    """Trains in the calling process: without Ray, and with working breakpoints."""

    trainers = 1

    def run(
        self, stacks: Sequence[Stack], recipe: Recipe, schema: Schema, estimators: Estimators = ()
    ) -> Iterator[Event]:
        data = TrainingData(recipe, schema)
        with one_thread():
            for plan in estimators:
                yield from train_estimator(plan, data, schema)
            for stack in stacks:
                yield from train(stack, data, schema)

    def release(self) -> None:
        """Do nothing: no other process is running."""

    def close(self) -> None:
        """Do nothing: no other process is running."""
