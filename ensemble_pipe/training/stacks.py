"""Stacks: learners that are trained side by side, and the batches that they read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from typing import Any

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import structure
from ensemble_pipe.data.batches import Batches
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState

# A learner's rows and slots should stay in the L2 cache for a stack to gain from its width.
L2_BYTES = 1 << 20
MAX_STACK = 16


@dataclass(frozen=True)
class Stack:
    """Learners trained side by side.

    Attributes:
        plans: of the learners.
        states: that each resumes from; None for its start.
        until: the epoch after which training pauses; None for none.
    """

    plans: tuple[LearnerPlan, ...]
    states: tuple[LearnerState | None, ...] = field(default=())
    until: int | None = None

    def __post_init__(self) -> None:
        if not self.states:
            object.__setattr__(self, "states", tuple(None for _ in self.plans))

    def last_step(self, rows: int) -> int:
        """Return the number of steps taken when its training ends or pauses, over R rows."""
        steps = self.plans[0].steps(rows)
        return steps.total if self.until is None else min(steps.total, steps.end_of(self.until - 1))


def make_stacks(
    plans: Sequence[LearnerPlan],
    states: dict[int, LearnerState],
    *,
    size: int,
    trainers: int,
    width: int | None,
    first: int | None = None,
    until: int | None = None,
) -> list[Stack]:
    """Divide learners into stacks; the division never changes a result.

    Args:
        plans: learners still to be trained.
        states: where those that have begun go on, by learner.
        size: P, of the largest network, for the automatic width.
        trainers: how many stacks train at once.
        width: learners in a stack; None for as many as keep the L2 cache useful, while every
            trainer has work, in stacks of about one size.
        first: learners in the first stack of each kind; the number doubles from stack to stack up
            to the width, so that the first learners are ready early. None for the width at once.
        until: the epoch after which training pauses; None for none.
    """
    widest = _automatic_width(len(plans), size, trainers) if width is None else width
    stacks = []

    def key(plan: LearnerPlan) -> tuple[Any, ...]:
        begun = plan.learner in states
        return (*stack_kind(plan), states[plan.learner].step if begun else 0)

    ordered = sorted(plans, key=lambda plan: (key(plan), plan.learner))
    groups = [list(group) for _, group in groupby(ordered, key)]
    for alike in groups:
        if width is None:
            most = _even_width(len(alike), widest, trainers if len(groups) == 1 else 1)
        else:
            most = width
        start, size = 0, min(first or most, most)
        while start < len(alike):
            part = tuple(alike[start : start + size])
            stacks.append(Stack(part, tuple(states.get(plan.learner) for plan in part), until))
            start, size = start + size, min(2 * size, most)
    return sorted(stacks, key=lambda stack: stack.plans[0].learner)


def _automatic_width(learners: int, size: int, trainers: int) -> int:
    state_bytes = 4 * size * 4  # row, gradient and two slots of float32
    return max(1, min(MAX_STACK, L2_BYTES // state_bytes, -(-learners // trainers)))


def _even_width(learners: int, widest: int, trainers: int) -> int:
    """Return the width of stacks of about one size, a whole number of them for each trainer.

    Where some are full and the last one is not, its trainer waits for the others.
    """
    if learners <= widest:
        return widest
    turns = -(-learners // (widest * trainers))
    return -(-learners // (turns * trainers))


def stack_kind(plan: LearnerPlan) -> tuple[Any, ...]:
    """Return what learners of one stack must share."""
    return (
        repr(structure(plan.network)), plan.loss.name, plan.rule.name, plan.schedule.name,
        repr(structure(plan.averaging)), plan.early_stopping is not None, plan.rate_factors,
        plan.epochs, plan.batch_rows or 0, plan.order, repr(plan.view), plan.snapshots,
        plan.checkpoints, repr(structure(plan.boosting)), _window(plan),
        repr(plan.augment), repr(plan.scale),
        repr(plan.sharing),
    )  # fmt: skip


def _window(plan: LearnerPlan) -> int:
    """Return which of the windows forward in time a learner sees: each has its number of rows."""
    folding = plan.folding
    forward = folding is not None and folding.forward is not None
    return plan.learner % folding.total if folding is not None and forward else 0


def batches_of(
    plans: Sequence[LearnerPlan],
    data: TrainingData,
    outputs: int,
    own_targets: Sequence[Floats] | None = None,
) -> Batches:
    """Return the batches of a stack.

    Args:
        plans: of its learners.
        data: the training part.
        outputs: O, of their networks.
        own_targets: (R, O) of each learner, in place of those of the data.
    """
    first = plans[0]
    shared = first.loss.task == "classification" or own_targets is not None
    return Batches(
        data,
        [plan.learner for plan in plans],
        first.steps(data.rows).batch_rows,
        first.order,
        view=first.view,
        outputs=outputs if shared else prod(data.target_shape),
        epochs=first.epochs,
        own_targets=own_targets,
        augment=first.augment,
    )
