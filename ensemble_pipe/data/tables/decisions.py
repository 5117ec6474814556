"""What is done to each source column: the decisions that a schema keeps."""

from dataclasses import dataclass
from typing import Literal

DecisionKind = Literal["number", "date", "category", "left out"]


@dataclass(frozen=True)
class ColumnDecision:
    """What is done to one source column, as shown before training and in the report.

    Attributes:
        name: of the column.
        kind: how it is read, or "left out".
        treatment: a plain phrase, such as "scaled; missing values become 28, with an indicator",
            or the reason why it is left out.
    """

    name: str
    kind: DecisionKind
    treatment: str
