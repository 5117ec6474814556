"""The kinds of journal entries: a frozen dataclass for each.

An entry of a journal may have more fields than these, which are ignored. A number that was not
finite is null there, hence None here.

Whatever reads a journal matches on these classes and ends with `assert_never`, so that mypy and a
test name every reader that leaves a kind out.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, cast, get_args

from annotated_types import MinLen

from ensemble_pipe.core.documents import Count, Flag, Number
from ensemble_pipe.core.timeline import Stage
from ensemble_pipe.ensemble.combiners import AnyCombiner
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.conformal import Conformal
from ensemble_pipe.ensemble.decisions import Decision
from ensemble_pipe.tracking.accepted import AcceptedEntry as AcceptedEntry
from ensemble_pipe.tracking.checked import CheckedEntry as CheckedEntry
from ensemble_pipe.tracking.entry import JournalEntry, Milliseconds, OfLearner, OfMember
from ensemble_pipe.tracking.importances import ImportanceEntry as ImportanceEntry
from ensemble_pipe.tracking.left_undone import left_undone
from ensemble_pipe.tracking.refitted import RefittedEntry as RefittedEntry
from ensemble_pipe.tracking.schemas import (
    CandidateScores,
    CheckedBy,
    EnsembleSchema,
    LearnerUnderWay,
    PipelineSchema,
    PlanSchema,
    RowsSchema,
)
from ensemble_pipe.tracking.scored_trials import TrialEntry as TrialEntry

Numbers = Mapping[str, Number | None]
Status = Literal["FINISHED", "FAILED", "KILLED"]
Plan = Annotated[dict[str, Any], CheckedBy(PlanSchema)]


@dataclass(frozen=True)
class StartedEntry(JournalEntry):
    """A run began.

    Attributes:
        pipeline: resolved, with every default.
        rows: of each part.
        data_sums: sha256 sums of the rows of the base files, by part; of the descriptions of these
            files in journals of earlier versions.
        combined_from: the run whose members this one combines anew; None where it trains its own.
    """

    kind = "started"
    run_id: str
    pipeline: Annotated[dict[str, Any], CheckedBy(PipelineSchema)]
    rows: Annotated[dict[str, int], CheckedBy(RowsSchema)]
    data_sums: dict[str, str]
    combined_from: str | None = None


@dataclass(frozen=True)
class LearnerEntry(OfLearner):
    """A learner belongs to the run.

    Attributes:
        plan: as plain values.
    """

    kind = "learner"
    plan: Plan


@dataclass(frozen=True)
class ResumedEntry(JournalEntry):
    """The run goes on in another process."""

    kind = "resumed"


@dataclass(frozen=True)
class GrownEntry(JournalEntry):
    """The run was given more learners.

    Attributes:
        learners: how many there are now.
        ensemble: the section of the pipeline as it is now.
    """

    kind = "grown"
    learners: Count
    ensemble: Annotated[dict[str, Any], CheckedBy(EnsembleSchema)]


@dataclass(frozen=True)
class EpochEntry(OfLearner):
    """A network finished an epoch.

    Attributes:
        epoch: counted from 1.
        step: how many steps the learner has taken.
        metrics: on the training and stop parts.
        waited_s: for its shards, in seconds.
    """

    kind = "epoch"
    epoch: Count
    step: Count
    metrics: Numbers
    waited_s: Number | None = None


@dataclass(frozen=True)
class FinishedEntry(OfLearner):
    """A learner is trained to its end."""

    kind = "finished"


@dataclass(frozen=True)
class FailedEntry(OfLearner):
    """The training of a learner failed; `reason` is why it yields no member."""

    kind = "failed"
    reason: str


@dataclass(frozen=True)
class SparedEntry(OfLearner):
    """A learner was not trained, since the ensemble would have gained too little."""

    kind = "spared"
    reason: str


@dataclass(frozen=True)
class PrunedEntry(OfLearner):
    """A trial of a search was trained no further, since others are better."""

    kind = "pruned"
    reason: str


@dataclass(frozen=True)
class CostEntry(OfMember):
    """The measured cost of a member's prediction.

    Attributes:
        ms: milliseconds per row.
    """

    kind = "cost"
    ms: Number


@dataclass(frozen=True)
class MemberEntry(OfMember):
    """A member joined the ensemble.

    Attributes:
        step: of the learner when it yielded the member.
        metrics: its own on the validation part.
    """

    kind = "member"
    step: Count
    metrics: Numbers


@dataclass(frozen=True)
class MemberTestEntry(OfMember):
    """A member's own metrics on the test part."""

    kind = "member_test"
    metrics: Numbers


@dataclass(frozen=True)
class EnsembleEntry(JournalEntry):
    """Validation metrics of the equally weighted ensemble of the members so far."""

    kind = "ensemble"
    members: Count
    metrics: Numbers


@dataclass(frozen=True)
class CombinedEntry(JournalEntry):
    """How the members of the ensemble are combined.

    Attributes:
        combiner: of the members.
        members: learner and number of each.
        candidates: what the combiner was chosen from.
        conformal: of the classes, or of each target.
        decision: on a class; None for the most probable one.

    Raises:
        ValueError: the combiner is of another number of members.
    """

    kind = "combined"
    combiner: AnyCombiner
    members: Annotated[list[tuple[Count, Count]], MinLen(1)]
    candidates: list[CandidateScores]
    conformal: list[Conformal]
    decision: Decision | None = None

    def __post_init__(self) -> None:
        weights = len(self.combiner.member_weights())
        if weights != len(self.members):
            raise ValueError(f"{weights} weights do not fit {len(self.members)} members")

    @classmethod
    def of(cls, combined: Combined) -> "CombinedEntry":
        """Return the entry of an ensemble."""
        return cls(
            cast(AnyCombiner, combined.combiner),
            [(member.learner, member.number) for member in combined.members],
            [CandidateScores(**asdict(candidate)) for candidate in combined.candidates],
            list(combined.conformal),
            combined.decision,
        )


@dataclass(frozen=True)
class ResultEntry(JournalEntry):
    """The result of the run.

    Attributes:
        metrics: flat, such as "test/nll".
        members: of the ensemble.
        equal: whether it is the equally weighted ensemble of all members.
        unfinished: learners whose training had not ended.
        under_way: those of them that had begun.
        not_refitted: learners of the ensemble that were to be trained again, and were not.
        limit_s: the time limit, in seconds; None where there was none, or it did not end the run.
        unmeasured: what the time was too short to measure.
        further: what was to be trained that has no learners yet.
    """

    kind = "result"
    metrics: Numbers
    members: Count
    equal: Flag
    unfinished: list[Count] = field(default_factory=list)
    under_way: list[LearnerUnderWay] = field(default_factory=list)
    not_refitted: list[Count] = field(default_factory=list)
    limit_s: Number | None = None
    unmeasured: list[str] = field(default_factory=list)
    further: list[str] = field(default_factory=list)

    @property
    def left_undone(self) -> str:
        """One line on what more time would have been for; "" for nothing."""
        return left_undone(
            self.limit_s, self.unfinished, self.under_way, self.not_refitted, self.unmeasured,
            self.further,
        )  # fmt: skip


@dataclass(frozen=True)
class PicturesEntry(JournalEntry):
    """Pictures were drawn; `names` are those of files in the folder of pictures."""

    kind = "pictures"
    names: list[str]


@dataclass(frozen=True)
class ModelEntry(JournalEntry):
    """The model was written; `sums` are the sha256 sums of its files, by name."""

    kind = "model"
    sums: dict[str, str]


@dataclass(frozen=True)
class TimelineEntry(JournalEntry):
    """The stages of the run so far, within the process that drives it."""

    kind = "timeline"
    stages: list[Stage]


@dataclass(frozen=True)
class EndedEntry(JournalEntry):
    """The process that drove the run ended; `status` is that of the run in MLflow."""

    kind = "ended"
    status: Status


@dataclass(frozen=True)
class UnknownEntry:
    """An entry of a kind that a later version has."""

    kind: str
    time_ms: Milliseconds


KnownEntry = (
    StartedEntry | LearnerEntry | GrownEntry | ResumedEntry | AcceptedEntry
    | EpochEntry | FinishedEntry | FailedEntry | SparedEntry | PrunedEntry
    | TrialEntry | CostEntry | MemberEntry | MemberTestEntry | EnsembleEntry
    | CombinedEntry | RefittedEntry | ResultEntry | ImportanceEntry | PicturesEntry | ModelEntry
    | CheckedEntry | TimelineEntry | EndedEntry
)  # fmt: skip
Entry = KnownEntry | UnknownEntry
KINDS: dict[str, type[Any]] = {entry.kind: entry for entry in get_args(KnownEntry)}
