"""Values and names as messages show them: short, on one line, with nothing a terminal obeys."""

from collections.abc import Sequence

from ensemble_pipe.core.addresses import masked

MOST_CHARACTERS = 60
MOST_NAMES = 12


def shown(value: object) -> str:
    r"""Return a value as `repr` does, cut where it is long.

    >>> shown("\x1b[2J"), shown(0.5), len(shown("long" * 1000))
    ("'\\x1b[2J'", '0.5', 63)
    """
    if isinstance(value, str):
        value = masked(value)
    whole = value[: MOST_CHARACTERS + 1] if isinstance(value, str | bytes) else value
    return cut(repr(whole), MOST_CHARACTERS)


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return text, cut where it is much longer than so many characters."""
    return text if len(text) <= most + 2 else f"{text[:most]}..."


def escaped(text: str, kept: str = "") -> str:
    r"""Return text with all that is not printable escaped, but for the characters `kept`.

    >>> escaped("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def listed(names: Sequence[object]) -> str:
    """Return the first names, and how many there are where these are not all.

    >>> listed(range(20))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... (20)'
    """
    first = ", ".join(cut(escaped(str(name))) for name in names[:MOST_NAMES])
    return first if len(names) <= MOST_NAMES else f"{first}, ... ({len(names)})"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return cells as lines of text with aligned columns, the first left, the others right.

    >>> print(aligned([("name", "rows"), ("a", "1,000"), ("long name", "7")]))
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
