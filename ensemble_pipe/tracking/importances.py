"""The journal entry of how important the source columns are."""

from dataclasses import dataclass
from typing import Literal

from ensemble_pipe.core.documents import Count
from ensemble_pipe.ensemble.importance import Importance
from ensemble_pipe.tracking.entry import JournalEntry
from ensemble_pipe.tracking.schemas import ColumnRises


@dataclass(frozen=True)
class ImportanceEntry(JournalEntry):
    """How important the source columns are to the ensemble, on rows that members have not seen.

    Attributes:
        rows: it was measured on.
        repeats: permutations of each column.
        measure: that `score` is of each column: by how much the accuracy falls, or the RMSE rises.
        columns: the most important first.
    """

    kind = "importance"
    rows: Count
    repeats: Count
    measure: Literal["accuracy", "rmse"]
    columns: list[ColumnRises]

    @classmethod
    def of(cls, found: Importance) -> "ImportanceEntry":
        """Return the entry of what was measured."""
        columns = [ColumnRises(one.name, one.nll, one.score) for one in found.columns]
        return cls(found.rows, found.repeats, found.measure, columns)
