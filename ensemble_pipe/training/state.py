"""The state of a learner in training, and the states of a stack side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.optim import PlateauState
from ensemble_pipe.training.boosting import BoostingState
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stopping import StoppingState


class RunningLoss(NamedTuple):
    """The training loss of the epoch in progress.

    Attributes:
        loss_sum: of the losses of its batches.
        steps_summed: how many batches those are.
    """

    loss_sum: float = 0.0
    steps_summed: int = 0


class Counters(NamedTuple):
    """The numbers in the state of a learner that are no arrays, each with the part that owns it.

    Attributes:
        loss: of the training loop.
        plateau: of a plateau schedule.
        stopping: of early stopping.
        boosting: of a learner that is a chain of networks.
    """

    loss: RunningLoss = RunningLoss()
    plateau: PlateauState = PlateauState()
    stopping: StoppingState = StoppingState()
    boosting: BoostingState = BoostingState()


@dataclass(frozen=True)
class LearnerState:
    """A learner in the middle of its training.

    Averages of weights and the order of the rows need no counters: both follow from the step.

    Attributes:
        step: number of steps taken.
        row: (P,) parameters and statistics.
        slots: arrays beside the row: those of its update rule (T,), of averages and early stopping
            (P,), the "member" row (P,) where the learner yields another than its own, and the rows
            (rounds, P) of a "chain", those of finished rounds first.
        counters: its numbers.
    """

    step: int
    row: Floats
    slots: dict[str, Floats]
    counters: Counters = field(default_factory=Counters)

    @property
    def member_row(self) -> Floats:
        """The row (P,) of the member that the learner yields here."""
        return self.slots.get("member", self.row)


def initial_state(plan: LearnerPlan, schema: Schema, row: Floats | None = None) -> LearnerState:
    """Return the state of a learner before its first step.

    Args:
        plan: of the learner.
        schema: of the data.
        row: (P,) to begin with; None for a fresh one, of draws alone.

    Raises:
        InputError: the slots of an update rule of a caller's own are not as they must be.
    """
    _require_slots(plan)
    network = plan.build(schema)
    row = network.initialize(plan.seed, plan.learner) if row is None else row
    slots = {name: np.zeros(network.layout.trainable, row.dtype) for name in plan.rule.slots}
    averages = plan.averaging.slots if plan.averaging is not None else ()
    slots |= {name: np.zeros_like(row) for name in averages}
    if plan.early_stopping is not None:
        slots["best"] = row
    if plan.boosting is not None:
        slots["chain"] = np.zeros((plan.boosting.rounds, len(row)), row.dtype)
    return LearnerState(0, row, slots)


def _require_slots(plan: LearnerPlan) -> None:
    """Raise InputError where an update rule's slots would be taken for other parts of a state."""
    slots: object = plan.rule.slots
    what = f"update rule {plan.rule.name!r}: slots"
    if not isinstance(slots, tuple):
        raise InputError(f"{what} is {quote(slots)}, must be a tuple of names")
    averages = () if plan.averaging is None else plan.averaging.slots
    taken = [name for name in slots if name in ("row", "best", "member", "chain", *averages)]
    if taken:
        raise InputError(f"{what} has {list_names(taken)}, which means something else; rename it")


class StackedState:
    """The states of M learners at the same step.

    Attributes:
        step: number of steps taken.
        rows: (M, P).
        slots: (M, ...) each, by name.
        loss_sums: (M,) float64, of the epoch in progress.
        steps_summed: how many steps those are sums of.
        counters: of each learner; their running losses are out of date, see `loss_sums`.
    """

    def __init__(self, states: Sequence[LearnerState]) -> None:
        first = states[0]
        self.step = first.step
        self.rows: Floats = np.stack([state.row for state in states])
        self.slots: dict[str, Floats] = {
            name: np.stack([state.slots[name] for state in states]) for name in first.slots
        }
        self.counters = [state.counters for state in states]
        self.loss_sums = np.array([own.loss.loss_sum for own in self.counters])
        self.steps_summed = self.counters[0].loss.steps_summed

    def arrays(self, m: int) -> dict[str, Floats]:
        """Return the row and the slots of the learner in place m, as views."""
        return {"row": self.rows[m], **{name: values[m] for name, values in self.slots.items()}}

    def learner(self, m: int) -> LearnerState:
        """Return a copy of the state of the learner in place m."""
        slots = {name: values.copy() for name, values in self.arrays(m).items()}
        loss = RunningLoss(float(self.loss_sums[m]), self.steps_summed)
        counters = self.counters[m]._replace(loss=loss)
        return LearnerState(self.step, slots.pop("row"), slots, counters)

    def add_losses(self, losses: Floats) -> None:
        """Add the losses (M,) of a batch to those of the epoch."""
        self.loss_sums += losses
        self.steps_summed += 1

    def take_mean_loss(self) -> Floats:
        """Return the mean losses (M,) of the epoch that ends, and begin the next one."""
        means: Floats = self.loss_sums / self.steps_summed
        self.loss_sums[:] = 0
        self.steps_summed = 0
        return means
