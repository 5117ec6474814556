"""The journal entry of changes that a run goes on with, although it began with something else."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from ensemble_pipe.tracking.entry import JournalEntry
from ensemble_pipe.tracking.schemas import CheckedBy, PipelineSchema, PlanSchema


@dataclass(frozen=True)
class AcceptedEntry(JournalEntry):
    """The run goes on although something differs from when it began.

    Attributes:
        changes: one line each, such as "training.epochs: 20 -> 40".
        pipeline: as it is now, resolved; None where it is as it was.
        plans: as they are now, of the learners whose plan differs, by learner.
    """

    kind = "accepted"
    changes: list[str]
    pipeline: Annotated[dict[str, Any], CheckedBy(PipelineSchema)] | None = None
    plans: dict[str, Annotated[dict[str, Any], CheckedBy(PlanSchema)]] = field(default_factory=dict)
