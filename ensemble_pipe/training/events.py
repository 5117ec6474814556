"""The events that a trainer reports while it trains."""

from dataclasses import dataclass, field

from ensemble_pipe.training.state import LearnerState


@dataclass(frozen=True)
class Progress:
    """A learner is in training; for displays only: after its first step, then twice a second.

    Attributes:
        step, total: steps (or rounds of boosting) taken, and of the whole training at most.
        loss: of the last batch; of boosted trees on the stop part.
    """

    learner: int
    step: int
    total: int
    loss: float


@dataclass(frozen=True)
class Checkpoint:
    """A learner's state, at the end of an epoch or where it yields a member.

    Attributes:
        epoch: number of epochs completed.
        step, total: steps taken, and of the whole training.
        state: to go on from.
        metrics: of the epoch that ends here, such as "train/loss"; empty within an epoch.
        member: number of the member that `state.member_row` is, within the learner; None for none.
        finished: whether this is the learner's last step, be it early.
        waited_s: seconds that its trainer has waited for augmented shards so far.
    """

    learner: int
    epoch: int
    step: int
    total: int
    state: LearnerState
    metrics: dict[str, float] = field(default_factory=dict)
    member: int | None = None
    finished: bool = False
    waited_s: float = 0.0


@dataclass(frozen=True)
class EstimatorFitted:
    """A learner that has no steps is fitted.

    Attributes:
        suffix, content: of the file that holds it, as `training.estimators` writes it.
        seconds: that fitting took.
        whole: whether it went to its end; else it was halted, and has fewer rounds or trees.
    """

    learner: int
    suffix: str
    content: bytes
    seconds: float
    whole: bool = True


@dataclass(frozen=True)
class Failed:
    """A learner was taken out; the others of its stack go on.

    Attributes:
        reason: why, in words that are shown to the user.
    """

    learner: int
    epoch: int
    step: int
    reason: str


Event = Progress | Checkpoint | EstimatorFitted | Failed
