"""The contract of executors.

An executor takes stacks and yields what their trainers say. A learner's events come in order;
those of different stacks may interleave. Which executor ran, and with how many trainers, never
changes a checkpoint's bits.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.stacks import Stack

Estimators = Sequence[EstimatorPlan]


class Executor(Protocol):
    @property
    def trainers(self) -> int:
        """How many stacks train at once."""
        ...

    def run(
        self, stacks: Sequence[Stack], recipe: Recipe, schema: Schema, estimators: Estimators = ()
    ) -> Iterator[Event]:
        """Fit every estimator, then train every stack to its end.

        Raises:
            ClusterError: a stack was lost more often than is allowed.
        """
        ...

    def close(self) -> None:
        """Stop all trainers, at once where they are at work."""
        ...
