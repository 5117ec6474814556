"""The journal entry of a trial of a search with its score."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MinLen

from ensemble_pipe.core.documents import Count, Flag, Number
from ensemble_pipe.tracking.entry import JournalEntry


@dataclass(frozen=True)
class TrialEntry(JournalEntry):
    """The score of a trial of a search all of whose learners have yielded their member.

    A search journals its trials in their order, the chosen one first, when all have ended.

    Attributes:
        trial: its number.
        learners: that it consists of.
        metric: that trials are compared by, on the validation part, or in folds out of fold.
        score: by that; None where it is not defined.
        standard_error: of the score; None where it is not known.
        parameters: trainable numbers of each learner.
        winner: whether it is the trial that the search chooses.
    """

    kind = "trial"
    trial: Count
    learners: Annotated[list[Count], MinLen(1)]
    metric: str
    score: Number | None
    standard_error: Number | None
    parameters: Count
    winner: Flag

    @property
    def text(self) -> str:
        """The trial in words."""
        return f"{self.trial}, the winner" if self.winner else str(self.trial)

    @property
    def metrics(self) -> dict[str, float]:
        """What is known of it, flat, such as "trial/nll"."""
        scores = {self.metric: self.score, f"{self.metric}_standard_error": self.standard_error}
        known = {name: value for name, value in scores.items() if value is not None}
        return {f"trial/{k}": v for k, v in {**known, "parameters": self.parameters}.items()}
