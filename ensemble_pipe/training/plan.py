"""What is to be trained: the plan of a learner, and stacks of learners that train side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.data.batches import Order, Steps
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import Rule, Schedule, Snapshot

# A learner's rows and slots should stay in the L2 cache for a stack to gain from its width.
L2_BYTES = 1 << 20
MAX_STACK = 16


@dataclass(frozen=True)
class LearnerPlan:
    """Everything that decides the training of one learner.

    Attributes:
        learner: its id, counted from 0.
        seed: of the run.
        network, rule, schedule: its components.
        epochs, batch_rows, order: its way through the data.
        snapshots: whether each cycle of the schedule ends with a member.
    """

    learner: int
    seed: int
    network: Mlp
    rule: Rule
    schedule: Schedule
    epochs: int
    batch_rows: int
    order: Order = "own"
    snapshots: bool = False

    def steps(self, rows: int) -> Steps:
        """Return the arithmetic of its steps over R training rows."""
        return Steps(rows, min(self.batch_rows, rows), self.epochs)

    def member_steps(self, rows: int) -> list[int]:
        """Return the numbers of steps after which the learner yields a member, ascending."""
        total = self.steps(rows).total
        if self.snapshots and isinstance(self.schedule, Snapshot):
            return self.schedule.ends(total)
        return [total]


@dataclass(frozen=True)
class LearnerState:
    """A learner in the middle of its training.

    Attributes:
        step: number of steps taken.
        row: (P,) parameters.
        slots: (P,) each, what its update rule remembers, by name.
        loss_sum, steps_summed: of the losses in the epoch that is under way.
    """

    step: int
    row: Floats
    slots: dict[str, Floats]
    loss_sum: float = 0.0
    steps_summed: int = 0


@dataclass(frozen=True)
class Stack:
    """Learners trained side by side, and where each goes on (None: from the start)."""

    plans: tuple[LearnerPlan, ...]
    states: tuple[LearnerState | None, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.states:
            object.__setattr__(self, "states", tuple(None for _ in self.plans))


def initial_state(plan: LearnerPlan, input_shape: tuple[int, ...], outputs: int) -> LearnerState:
    """Return the state of a learner before its first step."""
    network = plan.network.build(input_shape, outputs)
    row = network.initialize(plan.seed, plan.learner)
    empty = np.zeros(network.layout.trainable, row.dtype)
    return LearnerState(0, row, {name: empty for name in plan.rule.slots})


def make_stacks(
    plans: Sequence[LearnerPlan],
    states: dict[int, LearnerState],
    *,
    size: int,
    trainers: int,
    width: int | None,
) -> list[Stack]:
    """Divide learners into stacks; the division never changes a result.

    Args:
        plans: learners still to be trained.
        states: where those that have begun go on, by learner.
        size: P, of the largest network, for the automatic width.
        trainers: how many stacks train at once.
        width: learners in a stack; None for as many as keep the L2 cache useful, while every
            trainer has work.
    """
    if width is None:
        state_bytes = 4 * size * 4  # row, gradient and two slots of float32
        width = max(1, min(MAX_STACK, L2_BYTES // state_bytes, -(-len(plans) // trainers)))

    def step_of(plan: LearnerPlan) -> int:
        return states[plan.learner].step if plan.learner in states else 0

    def key(plan: LearnerPlan) -> tuple[Any, ...]:
        return (
            repr(plan.network), plan.rule.name, plan.schedule.name, plan.epochs,
            plan.batch_rows, plan.order, step_of(plan),
        )  # fmt: skip

    stacks = []
    ordered = sorted(plans, key=lambda plan: (key(plan), plan.learner))
    for _, group in groupby(ordered, key):
        alike = list(group)
        for start in range(0, len(alike), width):
            part = tuple(alike[start : start + width])
            stacks.append(Stack(part, tuple(states.get(plan.learner) for plan in part)))
    return sorted(stacks, key=lambda stack: stack.plans[0].learner)
