"""Columns of a file that look like those of time or groups, and texts that mean a missing value."""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.data.inspection.inspect import ColumnReport, Report
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.arrow_types import is_text, to_plain
from ensemble_pipe.data.tables.missing import NO_TEXTS
from ensemble_pipe.data.tables.text_tallies import TextTally

# Texts that hardly ever are a category. Others, such as NA, may be one ("no garage"), and mean a
# missing value among numbers anyway.
MARKERS = ("?",)
# A time has at least so many values, and a group so many; a group has two rows or more on average.
LEAST_TIMES, LEAST_GROUPS, ROWS_OF_GROUP = 50, 30, 2
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_OF_GROUPS = {"id", "ids", "uid", "uuid", "guid", "patient", "subject", "user", "customer",
              "client", "household", "session", "person", "group"}  # fmt: skip


@dataclass(frozen=True)
class SideRoles:
    """Columns that are not learned from, and texts for missing values.

    Attributes:
        time: the date in whose order the rows are; None for none.
        group: the column that names a person or thing with several rows; None for none.
        missing_values: texts that mean a missing value.
        marked: the columns in which they stand.
    """

    time: str | None = None
    group: str | None = None
    missing_values: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the keys of a `table` source that say so."""
        found = {"group": self.group, "time": self.time, "missing_values": [*self.missing_values]}
        return {name: value for name, value in found.items() if value}


def side_roles(rows: Rows, report: Report) -> SideRoles:
    """Return the side columns of a table by their values and names; none for images.

    Texts are read once more, to see whether they are numbers but for what may mean a missing one;
    dates, to see whether the rows are in their order.
    """
    if report.image_shape is not None:
        return SideRoles()
    features = [column for column in report.columns if column.name != report.label]
    texts = [column for column in features if column.kind == "category"]
    beside = _marks_beside_numbers(rows, [column.name for column in texts])
    marks = {
        column.name: {value for value, _ in column.frequent} & set(MARKERS) | beside[column.name]
        for column in texts
    }
    times = [c.name for c in features if c.kind == "date" and _has_many(c.distinct, LEAST_TIMES)]
    return SideRoles(
        time=next((name for name in times if _is_in_order(rows, name)), None),
        group=next((c.name for c in features if _is_group(c, report.rows)), None),
        missing_values=tuple(sorted(set().union(*marks.values()))),
        marked=tuple(name for name, found in marks.items() if found),
    )


def is_group_name(name: str) -> bool:
    """Return whether a column is named as one of persons or things that have several rows is."""
    return bool({word.lower() for word in _WORDS.findall(name)} & _OF_GROUPS)


def _marks_beside_numbers(rows: Rows, names: list[str]) -> dict[str, set[str]]:
    """Return the texts of each column of text that may mean a missing number."""
    tallies = {name: TextTally(NO_TEXTS) for name in names}
    for _, block in rows.blocks(names) if names else ():
        for name, tally in tallies.items():
            values = block.column(name)
            if is_text(to_plain(values).type):
                tally.add(values, np.ones(len(values), bool))
    return {name: set(tally.marks) for name, tally in tallies.items()}


def _is_group(column: ColumnReport, rows: int) -> bool:
    """Return whether a column is named as identifiers are, and its values have several rows."""
    if column.distinct is None or column.kind not in ("number", "category") or column.missing:
        return False
    if column.kind == "number" and any(name in column.type for name in ("float", "double", "bool")):
        return False
    return LEAST_GROUPS <= column.distinct <= rows / ROWS_OF_GROUP and is_group_name(column.name)


def _is_in_order(rows: Rows, name: str) -> bool:
    """Return whether the dates of a column, all of them there, never fall from row to row."""
    last = None
    for _, block in rows.blocks([name]):
        values = block.column(0)
        if values.null_count:
            return False
        if last is not None:
            values = pa.concat_arrays([pa.array([last], values.type), values])
        if pc.any(pc.less(values[1:], values[:-1])).as_py():
            return False
        last = values[-1].as_py()
    return True


def _has_many(distinct: int | None, least: int) -> bool:
    return distinct is None or distinct >= least
