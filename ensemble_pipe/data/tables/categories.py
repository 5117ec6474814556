"""Canonical names of categories, the same however a source stores their values."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ensemble_pipe.data.sources.text_columns import MISSING

BLANKS = " \t\n\v\f\r"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
# A time of day, or a duration, whose seconds have a fraction.
_CLOCK = re.compile(r"(-?\d+ days \+?)?\d\d:\d\d:\d\d\.\d+", re.ASCII)
# Whole numbers up to here are exact as float64.
_EXACT = 2**53
_MOST_DIGITS = 40  # reading a whole number takes the square of its digits


def canonical_name(value: Any) -> str | None:
    """Return the canonical name of a value, by its number or truth value; None where it is missing.

    >>> [canonical_name(value) for value in (3, "3", 3.0, "03", True, "TRUE", "Private", "")]
    ['3', '3', '3', '3', 'true', 'true', 'Private', None]
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return name_of_float(np.float64(value))
    text = str(value)
    if text.isdecimal() and text.isascii() and text[0] != "0" and len(text) < _MOST_DIGITS:
        return text  # as most codes are; spares the search
    if text.lower() in ("true", "false"):
        return text.lower()
    if not NUMBER.fullmatch(text):
        return text or None
    if text.lstrip("+-").isdecimal() and len(text) < _MOST_DIGITS:
        return str(int(text))
    number = np.float64(text)
    return name_of_float(number) if np.isfinite(number) else text


def normalize(name: str | None) -> str | None:
    """Return the name of a category without surrounding blanks, dates and times in one form.

    >>> [normalize(name) for name in (" a ", " 03", "  ", "2026-02-28T00:00", "2026-02-28 12:30")]
    ['a', '3', None, '2026-02-28', '2026-02-28 12:30:00']
    >>> [normalize(name) for name in ("08:30:00.000", "1 days 02:03:04.500000")]
    ['08:30:00', '1 days 02:03:04.5']
    """
    if name is None:
        return None
    text = name.strip(BLANKS)
    if _CLOCK.fullmatch(text):
        return text.rstrip("0").removesuffix(".")
    return name_of_date(text) or canonical_name(text)


def name_of_date(text: str) -> str | None:
    """Return ISO 8601 text in one form: the day alone at midnight, UTC; None of other text."""
    if not DATE.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return found.isoformat(" ").removesuffix(" 00:00:00")


def are_numbers(names: Sequence[str]) -> bool:
    """Return whether all names but those of missing values are numbers or booleans."""
    others = [text for text in (name.strip(BLANKS) for name in names) if text not in MISSING]
    truths = all(text.lower() in ("true", "false") for text in others)
    return truths or all(NUMBER.fullmatch(text) for text in others)


def sort_categories(found: list[str]) -> list[str]:
    """Return names of categories sorted, numerically if all are numbers."""
    if all(NUMBER.fullmatch(name) for name in found):
        return sorted(found, key=lambda name: (float(name), name))
    return sorted(found)


def name_of_float(value: np.floating[Any]) -> str | None:
    """Return the name of a number, an integer without a decimal point; None for NaN."""
    if np.isnan(value):
        return None
    return str(int(value)) if abs(value) < _EXACT and value == int(value) else str(value)
