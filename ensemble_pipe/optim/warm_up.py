"""Warm-up around any other schedule, and what holds for every schedule."""

from typing import Annotated, Literal

from annotated_types import Gt, Lt

from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings
from ensemble_pipe.optim.cycles import SGDR, CosLog, FastGeometric, Snapshot, Triangular
from ensemble_pipe.optim.plateau import Plateau
from ensemble_pipe.optim.schedules import (
    ConstantRate,
    Cosine,
    Exponential,
    FlatCosine,
    MultiStep,
    OneCycle,
    Polynomial,
    RangeTest,
    StepDecay,
)

Cyclic = Snapshot | SGDR | CosLog | Triangular | FastGeometric
Unwarmed = (
    ConstantRate
    | StepDecay
    | MultiStep
    | Exponential
    | Polynomial
    | Cosine
    | FlatCosine
    | OneCycle
    | RangeTest
    | Plateau
    | Cyclic
)

UNWARMED: Registry[Unwarmed] = Registry("schedule", Unwarmed)


@settings
class WarmUp:
    """A straight rise from near zero, then another schedule over the steps that remain.

    With w steps of warm-up the factor is (step + 1) / (w + 1) times the other's first one, and then
    the other's at (step - w, total - w). Goyal et al. 2017, "Accurate, large minibatch SGD",
    section 2.2, gradual warm-up; PyTorch's LinearLR with start_factor 1 / (w + 1), then the other.

    >>> schedule = WarmUp(share=0.5, then=Cosine())
    >>> [round(schedule.factor(step, 6), 3) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.75, 0.25]

    Attributes:
        share: of the training; at least one step, and not the last.
        then: the schedule of the remaining steps.
    """

    name: Literal["warm_up"] = "warm_up"
    share: Annotated[float, Gt(0), Lt(1)] = 0.05
    then: Annotated[Unwarmed, UNWARMED] = Cosine()

    def factor(self, step: int, total: int) -> float:
        warm = self.steps(total)
        rise = min(1.0, (step + 1) / (warm + 1))
        return rise * self.then.factor(max(0, step - warm), total - warm)

    def steps(self, total: int) -> int:
        """Return w, the number of steps of warm-up."""
        return min(max(1, round(self.share * total)), total - 1)


Schedule = Unwarmed | WarmUp

SCHEDULES: Registry[Schedule] = Registry("schedule", Schedule)


def cycle_ends(schedule: Schedule, total: int) -> list[int]:
    """Return the numbers of steps taken where a schedule's cycles end; none for one without.

    >>> cycle_ends(WarmUp(share=0.5, then=Snapshot(cycles=2)), total=8)
    [6, 8]
    """
    if isinstance(schedule, WarmUp):
        warm = schedule.steps(total)
        return [warm + end for end in cycle_ends(schedule.then, total - warm)]
    return schedule.ends(total) if isinstance(schedule, Cyclic) else []


def plateau_of(schedule: Schedule) -> Plateau | None:
    """Return the schedule's part that follows the loss, or None."""
    inner = schedule.then if isinstance(schedule, WarmUp) else schedule
    return inner if isinstance(inner, Plateau) else None
