"""Plans of feature columns: their rules, completed by what recognition finds."""

from dataclasses import dataclass

from ensemble_pipe.data.tables.columns import ExplicitRule
from ensemble_pipe.data.tables.date_parts import DatePart


@dataclass(frozen=True)
class ColumnPlan:
    """How a feature column is fitted: a rule, and what recognition adds to it.

    Attributes:
        name: of the column.
        rule: with what stands for a missing value decided, but for a fitted mean or median.
        values: of a number that have a feature of their own.
        parts: of a date that are features.
        strays: whether there is text that is no number, or no date; it counts as missing.
        recognized: whether the column has no rule, so that such text also does at a prediction.
        least_rows: training rows of a category that is known.
        fill: what stands for a missing value, in a word, where the rule is only its number.
        stray_text: the texts that are no numbers or dates, with their counts.
        left_out: why the column is not learned from; empty where it is.
        can_be_read: whether it could be, if there were no other.
        warning: what the user should know of the column; empty for nothing.
    """

    name: str
    rule: ExplicitRule
    values: tuple[float, ...] = ()
    parts: tuple[DatePart, ...] = ()
    strays: bool = False
    recognized: bool = False
    least_rows: int = 1
    fill: str = ""
    stray_text: str = ""
    left_out: str = ""
    can_be_read: bool = True
    warning: str = ""
