"""Unnamed columns, into which other programs write row numbers."""

import re
from collections.abc import Iterable

# A blank name, or what pandas and readr make of one.
_UNNAMED = re.compile(r"\s*|Unnamed: \d+([._].*)?|__index_level_\d+__|\.\.\.\d+")


def find_unnamed(names: Iterable[str]) -> list[str]:
    """Return the names of unnamed columns.

    >>> find_unnamed(["", "age", "Unnamed: 0", "Unnamed: 0.1", "__index_level_0__"])
    ['', 'Unnamed: 0', 'Unnamed: 0.1', '__index_level_0__']
    """
    return [name for name in names if _UNNAMED.fullmatch(name)]


def unnamed_warning(where: str, features: Iterable[str]) -> str | None:
    """Return a warning where unnamed columns are among the features; None where there are none."""
    found = find_unnamed(features)
    if not found:
        return None
    which = f"column {found[0]!r} has" if len(found) == 1 else f"columns {found} have"
    return (
        f"warning: {where}: {which} no name of its own, as row numbers that a program wrote; these "
        "can give the label away and say nothing of other rows: leave them out with "
        f"ignore: {found}"
    )
