"""The plan of a learner: everything that decides its training."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.batches import Order, Steps
from ensemble_pipe.data.folding import Folding
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.rescaling import rescaling_of
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.scaling import Scale
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Architecture
from ensemble_pipe.nn.sharing import Sharing
from ensemble_pipe.optim import Averaging, Calendar, Rule, Schedule, cycle_ends
from ensemble_pipe.training.boosting import Boosting
from ensemble_pipe.training.regularization import Regularization
from ensemble_pipe.training.stopping import EarlyStopping
from ensemble_pipe.training.tensors import RateFactors


@dataclass(frozen=True)
class EveryEpochs:
    """After which epochs a learner yields members, under any schedule.

    Attributes:
        every: after each of so many epochs, and after the last one.
        last: of these only so many, the last ones; None for all.
    """

    every: int
    last: int | None = None

    def epochs(self, total: int) -> list[int]:
        """Return the epochs, counted from 1, of a training of so many.

        >>> EveryEpochs(every=3).epochs(8), EveryEpochs(every=3, last=2).epochs(8)
        ([3, 6, 8], [6, 8])
        """
        found = [*range(self.every, total, self.every), total]
        return found if self.last is None else found[-self.last :]


@dataclass(frozen=True)
class LearnerPlan:
    """Everything that decides the training of one learner.

    Attributes:
        learner: its id, counted from 0.
        seed: of the run.
        network, loss, rule, schedule: its components.
        epochs, batch_rows, order: its way through the data; `batch_rows` None takes all rows.
        snapshots: whether each cycle of the schedule ends with a member.
        checkpoints: after which epochs it yields members; None where that does not go by epochs.
        dropout_passes: how many members its network yields, with other units dropped in each;
            None for one member that drops none.
        sharing: what several members that it yields share of its weights; None for one member.
        averaging: of its weights; the member is then the average.
        early_stopping: when it ends before its last epoch.
        regularization: how dropout, weight decay and label smoothing change on the way.
        rate_factors: of the learning rate, by pattern of tensor names; 0 freezes.
        view: which rows and columns it sees.
        boosting: how it is a chain of networks, one trained after another, each for an equal part
            of the epochs; None for one network.
        augment: of its training rows, where it is not that of the run.
        scale: of the numbers that its network is given, where it is not that of the stored rows.
        folding: of the run, where `view.folds` is not all there is to say of its folds.
        last_epoch: after which it ends, in the middle of its schedule, counted from 1; None for the
            last of all `epochs`.
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
    checkpoints: EveryEpochs | None = None
    dropout_passes: int | None = None
    sharing: Sharing | None = None
    averaging: Averaging | None = None
    early_stopping: EarlyStopping | None = None
    regularization: Regularization = field(default_factory=Regularization)
    rate_factors: RateFactors = ()
    view: View = field(default_factory=View)
    boosting: Boosting | None = None
    augment: Augment | None = None
    scale: Scale | None = None
    folding: Folding | None = None
    last_epoch: int | None = None

    def build(self, schema: Schema) -> Network:
        """Return its network for the data.

        Raises:
            ConfigError: network or loss do not fit the data.
        """
        rescaling = rescaling_of(schema, self.scale)
        return build(self.network, self.loss, schema, self.sharing, rescaling)

    @property
    def members_at_once(self) -> int:
        """How many members it yields at each step that it yields some."""
        return self.dropout_passes or (self.sharing.members if self.sharing else 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for the journal and MLflow."""
        return {
            "network": asdict(self.network),
            "optimizer": asdict(self.rule),
            "schedule": asdict(self.schedule),
            "loss": asdict(self.loss),
            "epochs": self.epochs,
            "batch_size": self.batch_rows or "all",
            "order": self.order,
            "dropout_passes": self.dropout_passes,
            "sharing": asdict(self.sharing) if self.sharing else None,
            "averaging": asdict(self.averaging) if self.averaging else None,
            "early_stopping": asdict(self.early_stopping) if self.early_stopping else None,
            "regularization": asdict(self.regularization),
            "rate_factors": dict(self.rate_factors),
            "view": asdict(self.view),
            "boosting": asdict(self.boosting) if self.boosting else None,
            **({"augment": asdict(self.augment)} if self.augment else {}),
            **({"scale": asdict(self.scale)} if self.scale else {}),
        }

    def steps(self, rows: int) -> Steps:
        """Return the numbers of steps in an epoch and in all, over R training rows."""
        seen = self.view.rows(rows)
        if self.folding is not None:
            seen = self.folding.rows_seen(rows, self.learner)
        return Steps(seen, min(self.batch_rows or seen, seen), self.epochs)

    def end(self, rows: int) -> int:
        """Return the number of steps after which the learner ends at the latest."""
        return self.steps(rows).end_of((self.last_epoch or self.epochs) - 1)

    @property
    def yields_several(self) -> bool:
        """Whether it yields members on its way, which are of its weights as they are then."""
        return self.snapshots or self.checkpoints is not None

    def member_steps(self, rows: int) -> list[int]:
        """Return the numbers of steps after which the learner yields members, ascending."""
        if self.last_epoch is not None:
            return [self.end(rows)]
        if self.checkpoints is not None:
            steps = self.steps(rows)
            return [steps.end_of(epoch - 1) for epoch in self.checkpoints.epochs(self.epochs)]
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

    def round_at(self, step: int, rows: int) -> tuple[int, int]:
        """Return the numbers of steps taken when the round in progress began, and when it ends.

        Args:
            step: number of steps taken; the last round goes on at its end.
            rows: R, of the training part.
        """
        ends = self.round_ends(rows)
        done = bisect_right(ends, step)
        return (ends[done - 1] if done else 0, ends[min(done, len(ends) - 1)])

    def calendar(self, rows: int) -> Calendar:
        """Return when its epochs and cycles end, for averages of weights."""
        steps = self.steps(rows)
        ends = tuple(steps.end_of(epoch) for epoch in range(self.epochs))
        return Calendar(steps.total, ends, tuple(cycle_ends(self.schedule, steps.total)))
