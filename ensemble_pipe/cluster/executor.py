"""The contract of executors.

An executor trains stacks, fits learners without steps, and yields their trainers' events. A
learner's events come in order; those of different work may interleave. The choice of executor and
the number of trainers never change a checkpoint's bits.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.halting import Halted, never
from ensemble_pipe.training.stacks import Stack

# What one trainer does at a time: it trains a stack, or fits a learner without steps.
Work = Stack | EstimatorPlan


def stacks_in(work: Sequence[Work]) -> list[Stack]:
    """Return the stacks among some work, in order."""
    return [item for item in work if isinstance(item, Stack)]


class Executor(Protocol):
    @property
    def trainers(self) -> int:
        """How many trainers work at once."""
        ...

    def wait(self, halted: Halted = never) -> bool:
        """Wait until it can train; return whether it can, before training is halted.

        Raises:
            ClusterError: it never will.
        """
        ...

    def run(
        self, work: Sequence[Work], recipe: Recipe, schema: Schema, halted: Halted = never
    ) -> Iterator[Event]:
        """Do all work, begun in its order, to its end, or until training is halted.

        Args:
            work: stacks, and learners without steps.
            recipe, schema: of the data.
            halted: asked again and again; once it returns True, no work begins, what is under way
                yields its state after the step or round in progress, and the events end. A trainer
                that does not answer is left behind. Of the first work a step is always taken, if
                need be in this process.

        Raises:
            ClusterError: work was lost more often than is allowed.
        """
        ...

    def release(self) -> None:
        """Begin to stop all trainers, when training has ended; `close` waits for their end."""
        ...

    def close(self) -> None:
        """Stop all trainers, even in the middle of a stack."""
        ...
