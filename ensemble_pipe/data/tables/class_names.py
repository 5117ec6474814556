"""Class names: numeric labels of text files, and lookup of the class of a label."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.sources.text_columns import MISSING, cast_all
from ensemble_pipe.data.tables.categories import BLANKS, NUMBER

Label = int | float | str

# A number as programs write it: no zeros in front, no plus, no exponent.
_PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.0+)?", re.ASCII)
_TRUTHS = {"false": 0, "true": 1}
_MOST_DIGITS = 40  # reading a whole number takes the square of its digits


def without_blanks(names: Sequence[str]) -> list[str]:
    """Return names without surrounding blanks; unchanged where two would become equal.

    >>> without_blanks([" a", "b "]), without_blanks([" a", "a"])
    (['a', 'b'], [' a', 'a'])
    """
    short = [name.strip(BLANKS) for name in names]
    return short if len(set(short)) == len(short) else list(names)


def as_numbers(names: Sequence[str]) -> Array | None:
    """Convert the labels of a file without types to numbers; None where they are names.

    They are numbers where all are written in the canonical form of a number, or true or false, so
    that no two labels become equal and none loses characters: 01 and +1 are names. Labels with a
    fraction are always numbers.

    Args:
        names: (C,) distinct ones, without blanks around them.

    Returns:
        (C,) uint8 of true and false, int64, or float64.
    """
    lower = [name.lower() for name in names]
    if all(name in _TRUTHS for name in lower):
        one_way = len(set(lower)) == len(lower)
        return np.array([_TRUTHS[name] for name in lower], np.uint8) if one_way else None
    found = cast_all(pa.array(names, pa.string()), pa.float64())
    if found is None:
        return None
    plain = all(_PLAIN.fullmatch(name) for name in names)
    if plain and max(map(len, names)) > _MOST_DIGITS:
        return None
    doubles: Array = found.to_numpy()
    if not (np.isfinite(doubles) & (doubles == np.round(doubles))).all():
        return doubles
    if not plain:
        return None
    whole = [int(name.partition(".")[0]) for name in names]
    fits = all(-(2**63) <= number < 2**63 for number in whole)
    return np.array(whole, np.int64) if fits and len(set(whole)) == len(whole) else None


def find_missing_name(names: Sequence[str]) -> str | None:
    """Return a text such as NA among otherwise numeric labels; None where there is none."""
    usual = [name for name in names if name in MISSING]
    others = [name for name in names if name not in MISSING]
    return usual[0] if usual and others and as_numbers(others) is not None else None


def texts_of(label: Label) -> tuple[str, ...]:
    """Return the texts that may name a label, the most specific first.

    >>> texts_of(3), texts_of(3.0), texts_of(0.5), texts_of("03")
    (('3', '3.0'), ('3.0', '3'), ('0.5',), ('03',))
    """
    if isinstance(label, int):
        return str(label), f"{label}.0"
    if isinstance(label, float) and label.is_integer():
        return str(label), str(int(label))
    return (str(label),)


def number_of(label: Label) -> int | None:
    """Return the integer that a label or its text represents; None where it is none.

    >>> number_of(3.0), number_of(" 03"), number_of("3.0"), number_of("true"), number_of("a")
    (3, 3, 3, 1, None)
    """
    if isinstance(label, str):
        text = label.strip(BLANKS)
        if text.lower() in _TRUTHS:
            return _TRUTHS[text.lower()]
        if not NUMBER.fullmatch(text) or len(text) > _MOST_DIGITS:
            return None
        if text.lstrip("+-").isdecimal():
            return int(text)
        label = float(text)
    if isinstance(label, float):
        return int(label) if label.is_integer() else None
    return int(label)


def class_finder(classes: Sequence[int | str]) -> Callable[[Label], int]:
    """Return a function from a label to the number of its class; -1 for an unknown one.

    A text class is compared as text: exactly, else without surrounding blanks. A class
    that is a number is compared as a number.
    """
    texts = {name: place for place, name in enumerate(classes) if isinstance(name, str)}
    numbers = {name: place for place, name in enumerate(classes) if isinstance(name, int)}

    def find(label: Label) -> int:
        own = texts_of(label)
        candidates = (*own, *(text.strip(BLANKS) for text in own))
        for text in candidates if texts else ():
            if text in texts:
                return texts[text]
        return numbers.get(number_of(label), -1) if numbers else -1  # type: ignore[arg-type]

    return find
