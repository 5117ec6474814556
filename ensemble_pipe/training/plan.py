"""What is to be trained: the plan of a learner, and stacks of learners that train side by side."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from math import prod
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import structure
from ensemble_pipe.data.batches import Batches, Order, Steps
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Architecture
from ensemble_pipe.optim import Averaging, Calendar, Rule, Schedule, cycle_ends
from ensemble_pipe.training.boosting import Boosting
from ensemble_pipe.training.stopping import EarlyStopping
from ensemble_pipe.training.tensors import RateFactors

# A learner's rows and slots should stay in the L2 cache for a stack to gain from its width.
L2_BYTES = 1 << 20
MAX_STACK = 16


@dataclass(frozen=True)
class LearnerPlan:
    """Everything that decides the training of one learner.

    Attributes:
        learner: its id, counted from 0.
        seed: of the run.
        network, loss, rule, schedule: its components.
        epochs, batch_rows, order: its way through the data; `batch_rows` None takes all rows.
        snapshots: whether each cycle of the schedule ends with a member.
        dropout_passes: how many members its network yields, with other units dropped in each;
            None for one member that drops none.
        averaging: of its weights; the member is then the average.
        early_stopping: when it ends before its last epoch.
        rate_factors: of the learning rate, by pattern of tensor names; 0 freezes.
        view: which rows and columns it sees.
        boosting: how it is a chain of networks, one trained after another, each for an equal part
            of the epochs; None for one network.
    """

    learner: int
    seed: int
    network: Architecture
    loss: Loss
    rule: Rule
    schedule: Schedule
    epochs: int
    batch_rows: int | None
    order: Order = "own"
    snapshots: bool = False
    dropout_passes: int | None = None
    averaging: Averaging | None = None
    early_stopping: EarlyStopping | None = None
    rate_factors: RateFactors = ()
    view: View = field(default_factory=View)
    boosting: Boosting | None = None

    def build(self, schema: Schema) -> Network:
        """Return its network for the data.

        Raises:
            ConfigError: network or loss do not fit the data.
        """
        return build(self.network, self.loss, schema)

    def facts(self) -> dict[str, Any]:
        """Return what the journal and MLflow tell of the plan, as plain values."""
        return {
            "network": asdict(self.network),
            "optimizer": asdict(self.rule),
            "schedule": asdict(self.schedule),
            "loss": asdict(self.loss),
            "epochs": self.epochs,
            "batch_size": self.batch_rows or "all",
            "order": self.order,
            "dropout_passes": self.dropout_passes,
            "averaging": asdict(self.averaging) if self.averaging else None,
            "early_stopping": asdict(self.early_stopping) if self.early_stopping else None,
            "rate_factors": dict(self.rate_factors),
            "view": asdict(self.view),
            "boosting": asdict(self.boosting) if self.boosting else None,
        }

    def steps(self, rows: int) -> Steps:
        """Return the arithmetic of its steps over R training rows."""
        seen = self.view.rows(rows)
        return Steps(seen, min(self.batch_rows or seen, seen), self.epochs)

    def member_steps(self, rows: int) -> list[int]:
        """Return the numbers of steps after which the learner yields a member, ascending."""
        ends = self.round_ends(rows)
        return cycle_ends(self.schedule, ends[-1]) if self.snapshots else ends

    def member_at(self, step: int, member_steps: Sequence[int]) -> int | None:
        """Return the number of the member that the learner yields at a step; None for none.

        A chain has one member, which each of its networks makes anew.

        Args:
            step: number of steps taken.
            member_steps: as the function of this name returns them.
        """
        if step not in member_steps:
            return None
        return 0 if self.boosting is not None else member_steps.index(step)

    def round_ends(self, rows: int) -> list[int]:
        """Return the numbers of steps taken when each of its networks is trained, ascending."""
        steps, rounds = self.steps(rows), self.boosting.rounds if self.boosting else 1
        return [steps.end_of((r + 1) * self.epochs // rounds - 1) for r in range(rounds)]

    def calendar(self, rows: int) -> Calendar:
        """Return when its epochs and cycles end, for averages of weights."""
        steps = self.steps(rows)
        ends = tuple(steps.end_of(epoch) for epoch in range(self.epochs))
        return Calendar(steps.total, ends, tuple(cycle_ends(self.schedule, steps.total)))


@dataclass(frozen=True)
class LearnerState:
    """A learner in the middle of its training.

    Attributes:
        step: number of steps taken.
        row: (P,) parameters and statistics.
        slots: what is remembered beside the row: by its update rule (T,), by averages and early
            stopping (P,), the "member" row (P,) where the learner yields another than its own, and
            the rows (rounds, P) of a "chain", those of finished rounds first.
        counters: what is counted, as plain numbers: the losses of the epoch under way, epochs
            without gain, the state of a plateau schedule, the factors of a chain's networks.
    """

    step: int
    row: Floats
    slots: dict[str, Floats]
    counters: dict[str, Any] = field(default_factory=dict)

    @property
    def member_row(self) -> Floats:
        """The row (P,) of the member that the learner yields here."""
        return self.slots.get("member", self.row)


@dataclass(frozen=True)
class Stack:
    """Learners trained side by side, and where each goes on (None: from the start)."""

    plans: tuple[LearnerPlan, ...]
    states: tuple[LearnerState | None, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.states:
            object.__setattr__(self, "states", tuple(None for _ in self.plans))


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
    )


def initial_state(
    plan: LearnerPlan, schema: Schema, row: Floats | None = None, *, number: int = 0
) -> LearnerState:
    """Return the state of a learner before its first step.

    Args:
        plan: of the learner.
        schema: of the data.
        row: (P,) to begin with; None for a fresh one.
        number: of the network within its chain.
    """
    network = plan.build(schema)
    row = network.initialize(plan.seed, plan.learner, number=number) if row is None else row
    slots = {name: np.zeros(network.layout.trainable, row.dtype) for name in plan.rule.slots}
    kept = plan.averaging.slots if plan.averaging is not None else ()
    slots |= {name: np.zeros_like(row) for name in kept}
    if plan.early_stopping is not None:
        slots["best"] = row
    if plan.boosting is not None:
        slots["chain"] = np.zeros((plan.boosting.rounds, len(row)), row.dtype)
    return LearnerState(0, row, slots)


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
            repr(structure(plan.network)), plan.loss.name, plan.rule.name, plan.schedule.name,
            repr(structure(plan.averaging)), plan.early_stopping is not None, plan.rate_factors,
            plan.epochs, plan.batch_rows or 0, plan.order, repr(plan.view), plan.snapshots,
            repr(structure(plan.boosting)), step_of(plan),
        )  # fmt: skip

    stacks = []
    ordered = sorted(plans, key=lambda plan: (key(plan), plan.learner))
    for _, group in groupby(ordered, key):
        alike = list(group)
        for start in range(0, len(alike), width):
            part = tuple(alike[start : start + width])
            stacks.append(Stack(part, tuple(states.get(plan.learner) for plan in part)))
    return sorted(stacks, key=lambda stack: stack.plans[0].learner)
