"""Texts that look like numbers or dates, but are written in a form that is not read as these."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.core.arrow import truths_of
from ensemble_pipe.core.messages import quote

# Of the values of a column, that are all read or look alike.
_MOSTLY = 0.9
_GAP = "[.,' \u00a0\u202f\u2019]"  # between thousands
_SIGN = "[-+\u2212\u2013]?"
_UNIT = "[$\u20ac\u00a3\u00a5\u20b9%]?"
_DIGITS = rf"(\d+|\d{{1,3}}({_GAP}\d{{3}})+)([.,]\d+)?|[.,]\d+"
_MONTHS = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
# In order: a text of digits and dots may look like both.
_FORMS = {
    "date": "(?i)^("
    r"\d{4}[/.]\d{1,2}[/.]\d{1,2}|\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})"
    rf"|\d{{1,2}}[-. ]+{_MONTHS}[-., ]+(\d{{4}}|\d{{2}})|{_MONTHS}[. ]+\d{{1,2}}[, ]+\d{{4}}"
    r")([T ,].*)?$",
    "number": rf"^{_SIGN} ?{_UNIT} ?{_SIGN}({_DIGITS})[ \x{{a0}}]?{_UNIT}$",
}
_ADVICE = {
    "date": "looks like dates that are not in ISO 8601, such as {}; written as 2026-02-28 they are "
    "dates",
    "number": "looks like numbers with separators, units or other signs, such as {}; written as "
    "1234.5 they are numbers",
}


@dataclass
class OtherForms:
    """Counts of training rows, by what their text looks like without being read as it."""

    rows: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, texts: pa.Array, counts: Integers) -> None:
        """Count distinct trimmed texts (n,) that are no numbers and no dates, by their rows."""
        left = counts > 0
        for kind, form in _FORMS.items():
            found = truths_of(pc.match_substring_regex(texts, form)) & left
            left &= ~found
            if found.any():
                self.rows[kind] += int(counts[found].sum())
                self.examples.setdefault(kind, texts[int(found.argmax())].as_py())

    def advice(self, filled: int, read: dict[str, int]) -> str:
        """Return what most of the values look like, and how to write them; empty where that is not
        clear.

        Args:
            filled: rows with text.
            read: rows with text that is a number, and a date.
        """
        for kind, rows in self.rows.items():
            if rows + read[kind] >= _MOSTLY * filled:
                return _ADVICE[kind].format(quote(self.examples[kind]))
        return ""


def number_advice(texts: Sequence[str]) -> str:
    """Return how to write distinct texts that look like numbers; empty where most do not.

    >>> number_advice(["1,250", "980"])[:26], number_advice(["red", "980"])
    ('looks like numbers with se', '')
    """
    forms = OtherForms()
    forms.add(pa.array(texts, pa.string()), np.ones(len(texts), np.int64))
    forms.rows.pop("date", None)
    return forms.advice(len(texts), {"number": 0})
