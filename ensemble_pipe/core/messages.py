"""Formatting of values in messages: short, on one line, without terminal control characters."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ensemble_pipe.core.addresses import mask_secrets

MOST_CHARACTERS = 60
MOST_NAMES = 12


def quote(value: object) -> str:
    r"""Return the `repr` of a value, truncated where it is long.

    >>> quote("\x1b[2J"), quote(0.5), len(quote("long" * 1000))
    ("'\\x1b[2J'", '0.5', 63)
    """
    if isinstance(value, str):
        value = mask_secrets(value)
    whole = value[: MOST_CHARACTERS + 1] if isinstance(value, str | bytes) else value
    return truncate(repr(whole), MOST_CHARACTERS)


def truncate(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return text, truncated where it is much longer than so many characters."""
    return text if len(text) <= most + 2 else f"{text[:most]}..."


def printable(text: str, kept: str = "") -> str:
    r"""Return text with unprintable characters escaped, except for the characters `kept`.

    >>> printable("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def shell_word(path: Path | str) -> str:
    """Return a path as a shell takes it as one word of a command.

    >>> shell_word("runs/my first")
    "'runs/my first'"
    """
    return shlex.quote(str(path))


def row_name(row: int, line: int | None = None) -> str:
    """Return how messages name a row: numbered from 0, as in files of predictions and reports.

    Args:
        row: its number, from 0 on.
        line: of its file, from 1 on; None where it has no lines.

    >>> row_name(41), row_name(41, 43)
    ('row 41 (from 0)', 'row 41 (from 0, line 43)')
    """
    return f"row {row} (from 0)" if line is None else f"row {row} (from 0, line {line})"


def counted(count: int, name: str) -> str:
    """Return a number of things by the name of one.

    >>> counted(1, "member"), counted(3, "member")
    ('1 member', '3 members')
    """
    return f"{count} {name}" + ("" if count == 1 else "s")


def metric_text(value: float) -> str:
    """Return a metric with four decimals; where these show nothing, or too much, with four digits.

    Errors have the size of the target, which may be in millionths or in billions.

    >>> metric_text(0.27164), metric_text(47376.5), metric_text(1.23456e-6), metric_text(2.5e30)
    ('0.2716', '47376.5000', '1.235e-06', '2.5e+30')
    """
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1e7 else f"{value:.4g}"


def list_names(names: Sequence[object]) -> str:
    """Return the first names, followed by their number where there are more.

    >>> list_names(range(20))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... (20)'
    """
    first = ", ".join(truncate(printable(str(name))) for name in names[:MOST_NAMES])
    return first if len(names) <= MOST_NAMES else f"{first}, ... ({len(names)})"


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return cells as lines of text with aligned columns, the first left, the others right.

    >>> print(align_columns([("name", "rows"), ("a", "1,000"), ("long name", "7")]))
    name        rows
    a          1,000
    long name      7
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
