"""What the entries of a journal hold: the schema of each kind, which every line is checked against.

There may be more in an entry, which is shown but not worked with. A number that was not finite
stands in the journal as null.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import Strict

from ensemble_pipe.core.documents import Count, Flag, Number
from ensemble_pipe.ensemble.combiners import AnyCombiner
from ensemble_pipe.ensemble.conformal import Conformal

Numbers = dict[str, Number | None]
Status = Literal["FINISHED", "FAILED", "KILLED"]
# To the end of the year 9999, the last that a calendar shows.
Milliseconds = Annotated[int, Strict(), Ge(0), Le(253_402_300_799_000)]


@dataclass(frozen=True)
class _Named:
    name: str


@dataclass(frozen=True)
class _Augment:
    policy: list[_Named]


@dataclass(frozen=True)
class _Training:
    epochs: Count
    batch_size: Count | str
    optimizer: _Named
    schedule: _Named


@dataclass(frozen=True)
class _Combine:
    method: str


@dataclass(frozen=True)
class Group:
    """A group of learners; predictions that are read from a file are one learner."""

    strategy: str
    learners: Count = 1


@dataclass(frozen=True)
class Ensemble:
    """The section of this name."""

    strategy: str
    learners: Count
    combine: _Combine
    pool: Annotated[list[Group], MinLen(1)] | None = None

    @property
    def count(self) -> int:
        """How many learners there are."""
        return self.learners if self.pool is None else sum(group.learners for group in self.pool)


@dataclass(frozen=True)
class _View:
    bootstrap: Flag
    folds: Count | None
    balance_classes: Flag
    features: Number


@dataclass(frozen=True)
class Pipeline:
    """What the views of a run read of its pipeline."""

    name: str
    task: str
    seed: Annotated[int, Strict()]
    data: dict[str, Any]
    augment: _Augment
    network: _Named
    training: _Training
    ensemble: Ensemble
    view: _View


@dataclass(frozen=True)
class _Rows:
    train: Annotated[int, Strict(), Ge(1)]
    stop: Count
    validation: Count
    test: Count


@dataclass(frozen=True)
class _Network:
    network: _Named


@dataclass(frozen=True)
class _Strategy:
    strategy: str


@dataclass(frozen=True)
class _Estimator:
    estimator: _Strategy


@dataclass(frozen=True)
class _Given:
    predictions: _Named


@dataclass(frozen=True)
class Head:
    """What every entry has."""

    kind: str
    time_ms: Milliseconds


@dataclass(frozen=True)
class _Resumed:
    """Nothing more."""


@dataclass(frozen=True)
class _Started:
    run_id: str
    pipeline: Pipeline
    rows: _Rows
    data_sums: dict[str, str]


@dataclass(frozen=True)
class _Learner:
    learner: Count
    plan: _Network | _Estimator | _Given


@dataclass(frozen=True)
class _Grown:
    learners: Count
    ensemble: Ensemble


@dataclass(frozen=True)
class _Epoch:
    learner: Count
    epoch: Count
    step: Count
    metrics: Numbers


@dataclass(frozen=True)
class _Finished:
    learner: Count


@dataclass(frozen=True)
class _Without:
    """Why a learner yields no member."""

    learner: Count
    reason: str


@dataclass(frozen=True)
class _Cost:
    learner: Count
    number: Count
    ms: Number


@dataclass(frozen=True)
class _Member:
    learner: Count
    number: Count
    step: Count
    metrics: Numbers


@dataclass(frozen=True)
class _MemberTest:
    learner: Count
    number: Count
    metrics: Numbers


@dataclass(frozen=True)
class _Members:
    """The ensemble of the members so far."""

    members: Count
    metrics: Numbers


@dataclass(frozen=True)
class _Candidate:
    name: str
    temperature: Flag
    nll: Number | None
    standard_error: Number | None
    excess: Number | None
    excess_error: Number | None


@dataclass(frozen=True)
class _Combined:
    members: Annotated[list[tuple[Count, Count]], MinLen(1)]
    combiner: AnyCombiner
    candidates: list[_Candidate]
    conformal: list[Conformal]

    def __post_init__(self) -> None:
        weights = len(self.combiner.member_weights())
        if weights != len(self.members):
            raise ValueError(f"{weights} weights do not fit {len(self.members)} members")


@dataclass(frozen=True)
class _Result:
    metrics: Numbers
    members: Count
    equal: Flag
    unfinished: list[Count] = field(default_factory=list)


@dataclass(frozen=True)
class _Pictures:
    names: list[str]


@dataclass(frozen=True)
class _Model:
    sums: dict[str, str]


@dataclass(frozen=True)
class _Ended:
    status: Status


ENTRIES: dict[str, type[Any]] = {
    "started": _Started,
    "learner": _Learner,
    "grown": _Grown,
    "resumed": _Resumed,
    "epoch": _Epoch,
    "finished": _Finished,
    "failed": _Without,
    "spared": _Without,
    "cost": _Cost,
    "member": _Member,
    "member_test": _MemberTest,
    "ensemble": _Members,
    "combined": _Combined,
    "result": _Result,
    "pictures": _Pictures,
    "model": _Model,
    "ended": _Ended,
}
