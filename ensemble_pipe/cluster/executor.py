"""The contract of executors.

An executor trains stacks and yields their trainers' events. A learner's events come in order; those
of different stacks may interleave. The choice of executor and the number of trainers never change a
checkpoint's bits.
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
        """Fit every estimator, then train every stack to completion, or until it pauses.

        It may be called again, on the same data.

        Raises:
            ClusterError: a stack was lost more often than is allowed.
        """
        ...

    def release(self) -> None:
        """Begin to stop all trainers, when training has ended; `close` waits for their end."""
        ...

    def close(self) -> None:
        """Stop all trainers, even in the middle of a stack."""
        ...
