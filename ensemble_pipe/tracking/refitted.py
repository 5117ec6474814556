"""The journal entry of a learner that is trained again after the ensemble was combined."""

from dataclasses import dataclass

from ensemble_pipe.core.documents import Count
from ensemble_pipe.tracking.entry import OfLearner


@dataclass(frozen=True)
class RefittedEntry(OfLearner):
    """A learner was trained again on all rows but those of the test part, or stays as it was.

    Attributes:
        rows: that it was trained on.
        epochs, steps: of a network; 0 for other learners.
        rounds: of boosting; None for learners without.
        failed: why its members stay as they were; None where they do not.
    """

    kind = "refitted"
    rows: Count
    epochs: Count = 0
    steps: Count = 0
    rounds: Count | None = None
    failed: str | None = None

    @property
    def text(self) -> str:
        """What was done, in words."""
        if self.failed is not None:
            return f"failed: {self.failed}"
        length = f"{self.epochs} epochs" if self.epochs else ""
        length = f"{self.rounds} rounds" if self.rounds is not None else length
        return f"{length} on {self.rows} rows".strip()
