"""Recognition of identifiers: names, keys and row numbers, which say nothing of other rows."""

import re

from ensemble_pipe.data.row_numbers import find_unnamed
from ensemble_pipe.data.tables.columns import rule_line
from ensemble_pipe.data.tables.number_tallies import NumberTally

_FEW_TEXTS = 50
_LEAST_ROWS = 10
_MOST_SHARE = 0.5  # of the rows, that may have a text of their own
# Row numbers of a part of the rows lie within so many times their number.
_DENSE = 4
# The words of a name: of letters, by case, so that PassengerId has "id".
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|#")
_OF_IDENTIFIERS = {"id", "ids", "uid", "uuid", "guid", "key", "index", "idx", "row", "rowid",
                   "rownum", "rowname", "rownames", "number", "no", "nr", "num", "serial", "record",
                   "#"}  # fmt: skip
_OF_TIME = {"year", "years", "month", "months", "week", "weeks", "day", "days", "hour", "hours",
            "minute", "minutes", "second", "seconds", "time", "date", "age", "t", "step", "period",
            "epoch"}  # fmt: skip


def is_text_identifier(distinct: int, rows: int, present: int) -> bool:
    """Return whether a column of text names its rows: most of them, or all that have a text.

    Args:
        distinct: texts of the training rows.
        rows, present: of the training part, and of these with a text.
    """
    if distinct >= present >= _LEAST_ROWS:
        return True
    return distinct > max(_FEW_TEXTS, _MOST_SHARE * rows)


def is_identifier_name(name: str) -> bool:
    """Return whether a column is named as identifiers are, or has no name, as row numbers.

    >>> [is_identifier_name(name) for name in ("PassengerId", "Unnamed: 0", "serial day", "width")]
    [True, True, False, False]
    """
    words = _words(name)
    return bool((words & _OF_IDENTIFIERS and not words & _OF_TIME) or find_unnamed([name]))


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name)}


def identifies_rows(name: str, tally: NumberTally, rows: int) -> str:
    """Return why whole numbers count the rows of a source or are their keys; empty for others.

    Those that are not missing must be distinct. By its values alone a column is taken for row
    numbers where they rise from row to row, from 0 or 1 on, and hardly leave numbers out; a name
    such as Id or customer_id makes other distinct numbers keys. Names of time, such as year or day,
    are those of a measure.

    Args:
        name: of the column.
        tally: of the training rows.
        rows: of the source, in all its parts.
    """
    values = tally.sample
    if tally.present < _LEAST_ROWS or len(set(values.tolist())) < len(values):
        return ""
    if _words(name) & _OF_TIME:
        return ""
    near_start = 0 <= tally.low <= max(1, tally.high / 10)
    if tally.rises and near_start and tally.high <= _DENSE * rows:
        return "counts the rows, as an identifier does"
    if is_identifier_name(name):
        unnamed = bool(find_unnamed([name]))
        named = "without a name of its own" if unnamed else "named as an identifier"
        line = rule_line(name, "kind: number")
        return f"distinct in every row, and {named}; {line} keeps it"
    return ""
