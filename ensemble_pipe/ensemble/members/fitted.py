"""Members whose learners have no steps: each is a file that a fit returned."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.ensemble.members.member import MemberRecord, SavedFiles
from ensemble_pipe.ensemble.members.versions import MemberAlone
from ensemble_pipe.training.estimators import EstimatorPlan

# The least probability of a class: trees and neighbours may give 0, whose log is no number.
PROBABILITY_FLOOR = 1e-6


@dataclass(frozen=True)
class FittedMember(MemberAlone):
    """A fitted learner.

    Attributes:
        learner, number, step, noise: see `Member`; its learner has one member and no steps.
        strategy: that pipelines name it by, such as "random_forest".
        content: of its file.
    """

    record: ClassVar[str]
    suffix: ClassVar[str]

    strategy: str
    content: bytes

    @property
    def kind(self) -> str:
        """See `Member`."""
        return self.strategy

    @abstractmethod
    def require_fit(self, schema: Schema) -> None:
        """Check that it takes the schema's rows and predicts its targets.

        Raises:
            ValueError: it does not; names what it is for.
            CorruptFileError: the content is none that may be read.
        """

    @abstractmethod
    def is_of_plan(self, plan: EstimatorPlan, task: Task) -> bool:
        """Return whether its file says that it was fitted by a plan."""

    def to_dict(self) -> dict[str, Any]:
        """See `Member`."""
        return {
            "kind": self.record,
            **self.identity(),
            "strategy": self.strategy,
            "file": self._file_name,
        }

    def files(self) -> dict[str, bytes]:
        """See `Member`."""
        return {self._file_name: self.content}

    @property
    def where(self) -> str:
        """What it is called in messages."""
        return f"learner {self.learner} ({self.strategy})"

    @property
    def _file_name(self) -> str:
        return f"{self.record}-{self.learner:04d}{self.suffix}"


class FittedRecord(MemberRecord):
    """What model.json holds of a fitted learner, which has a file of its own."""

    strategy: str
    file: str

    def of_kind(self, kind: type[FittedMember], schema: Schema, saved: SavedFiles) -> FittedMember:
        """Return the member, of one of these kinds.

        Raises:
            ValueError: the file is missing, or is not for the schema.
            CorruptFileError: it cannot be read.
        """
        if self.file not in saved.files:
            raise ValueError(f"{self.file} is not among the files")
        content = saved.files[self.file]
        member = kind(
            self.learner, self.number, self.step, self.strategy, content, noise=self.noise
        )
        member.require_fit(schema)
        return member


def log_probabilities(found: Floats, known: Any, classes: int) -> Floats:
    """Return (R, O) float64 of all O classes, of the probabilities (R, K) of those known."""
    probabilities = np.full((len(found), classes), PROBABILITY_FLOOR)
    probabilities[:, known] = np.maximum(found, PROBABILITY_FLOOR)
    logs: Floats = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
    return logs
