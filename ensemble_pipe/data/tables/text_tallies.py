"""What a column of text holds: numbers, dates or names, counted over its rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.arrow import truths_of
from ensemble_pipe.core.messages import list_names
from ensemble_pipe.data.sources.text_columns import MISSING
from ensemble_pipe.data.tables.arrow_types import to_plain
from ensemble_pipe.data.tables.categories import normalize
from ensemble_pipe.data.tables.cells import MOST_NAME_BYTES, are_numbers
from ensemble_pipe.data.tables.dates import are_dates, look_like_dates
from ensemble_pipe.data.tables.missing import Missing
from ensemble_pipe.data.tables.name_counts import NameCounts
from ensemble_pipe.data.tables.other_forms import OtherForms

# Shares of the values that are numbers, or look like dates, from which the others are mistakes.
_MOSTLY = 0.9
_FEW_STRAYS = 5
_MANY_NUMBERS = 20  # distinct ones, beside which a text is no further category
_SHOWN = 3
_MANY_STRAYS = 0.03  # of the values
_LEAST_NUMBERS, _LEAST_MARK = 0.5, 0.01  # of the values, where a text may mean a missing one

TextKind = Literal["number", "date", "category", "nothing"]


@dataclass
class TextTally:
    """Counts over the training rows of a column of text; of strays and lengths, over all rows.

    Attributes:
        missing: texts that mean a missing value.
        rows: of the training part.
        filled: training rows with text that is no missing value among numbers and dates.
        numbers, integers, dates, alike: of them those that are numbers, numbers of digits alone,
            dates, and texts that look like dates.
        names: of the training rows, with texts such as NA, which are missing among numbers.
        blank: training rows without text.
        has_no_number, has_no_date: whether any row has text that is none.
        longest: bytes of the longest text of any row.
        other_forms: those that look like numbers or dates and are none.
        strays: training rows of the first texts that are no numbers, and of those that are no
            dates.
    """

    missing: Missing
    rows: int = 0
    filled: int = 0
    numbers: int = 0
    integers: int = 0
    dates: int = 0
    alike: int = 0
    blank: int = 0
    names: NameCounts = field(default_factory=NameCounts)
    has_no_number: bool = False
    has_no_date: bool = False
    longest: int = 0
    other_forms: OtherForms = field(default_factory=OtherForms)
    strays: dict[str, dict[str, int]] = field(default_factory=lambda: {"number": {}, "date": {}})

    def add(self, column: pa.Array, kept: Array) -> None:
        """Count the rows of a block; those where `kept` (n,) is true are training rows."""
        texts = self.missing.null_missing(to_plain(column), usual=False).dictionary_encode()
        distinct = texts.dictionary
        codes = pc.fill_null(texts.indices, len(distinct)).to_numpy(zero_copy_only=False)
        counts = np.bincount(codes[kept], minlength=len(distinct) + 1)
        self.rows += int(kept.sum())
        self.blank += int(counts[-1])
        if not len(distinct):
            return
        self.longest = max(self.longest, pc.max(pc.binary_length(distinct)).as_py())
        self._classify(distinct, counts[:-1])
        if self.longest <= MOST_NAME_BYTES:
            self._name(distinct, counts[:-1])

    def _classify(self, distinct: pa.Array, counts: Integers) -> None:
        filled = ~truths_of(pc.is_in(distinct, value_set=pa.array(MISSING, distinct.type)))
        number, alike = truths_of(are_numbers(distinct)), truths_of(look_like_dates(distinct))
        date = truths_of(are_dates(distinct)) if alike.any() else alike
        digits = truths_of(pc.match_substring_regex(distinct, r"^[+-]?\d+$"))
        self.filled += int(counts[filled].sum())
        self.numbers += int(counts[number & filled].sum())
        self.integers += int(counts[number & digits].sum())
        self.dates += int(counts[date].sum())
        self.alike += int(counts[alike].sum())
        self.has_no_number |= bool((filled & ~number).any())
        self.has_no_date |= bool((filled & ~date).any())
        other = filled & ~number & ~date
        if other.any():
            self.other_forms.add(distinct.filter(pa.array(other)), counts[other])
        for kind, is_one in (("number", number), ("date", date)):
            found = self.strays[kind]
            for place in np.flatnonzero(filled & ~is_one & (counts > 0)).tolist():
                text = distinct[place].as_py()
                if text in found or len(found) <= _FEW_STRAYS:
                    found[text] = found.get(text, 0) + int(counts[place])

    def _name(self, distinct: pa.Array, counts: Integers) -> None:
        for text, count in zip(distinct.to_pylist(), counts.tolist(), strict=True):
            if count:
                name = normalize(text)
                if name is None or name in self.missing.names:
                    self.blank += count
                else:
                    self.names.add(name, count)

    @property
    def kind(self) -> TextKind:
        """What the column is by most of its values."""
        if not self.filled:
            return "nothing"
        if self.numbers == self.filled or self._is_mostly_numbers:
            return "number"
        looks_dated = self.alike >= _MOSTLY * self.filled and self.dates >= self.filled / 2
        return "date" if looks_dated else "category"

    @property
    def _is_mostly_numbers(self) -> bool:
        strays = len(self.strays["number"])
        few = strays <= _FEW_STRAYS and self.names.distinct - strays > _MANY_NUMBERS
        return few and self.numbers >= _MOSTLY * self.filled

    @property
    def marks(self) -> tuple[str, ...]:
        """Frequent texts beside numbers, which may mean that a number is missing."""
        strays = self.strays["number"]
        few = len(strays) <= _FEW_STRAYS and self.names.distinct - len(strays) > _MANY_NUMBERS
        if not few or self.numbers < _LEAST_NUMBERS * self.filled:
            return ()
        least = _LEAST_MARK * self.filled
        return tuple(sorted(text for text, count in strays.items() if count >= least))

    @property
    def has_strays(self) -> bool:
        """Whether a row of a column of numbers, or of dates, has text that is none."""
        return self.has_no_number if self.kind == "number" else self.has_no_date

    def stray_text(self, shown: Callable[[object], str]) -> str:
        """Return the texts that are no numbers or dates with their counts; empty for none."""
        found = self.strays["number" if self.kind == "number" else "date"]
        parts = [f"{shown(text)} ({count})" for text, count in list(found.items())[:_SHOWN]]
        return ", ".join([*parts, *(["..."] if len(found) > _SHOWN else [])])

    def warning(self, shown: Callable[[object], str]) -> str:
        """Return what the user should know of the column; empty for nothing.

        Numbers beside texts that may mean a missing one, text of a form that is not read as the
        numbers or dates that it looks like, or text of which much counts as missing.
        """
        if self.kind == "category" and self.marks:
            texts = list_names([shown(text) for text in self.marks])
            return (
                f"is taken for text, though {self.numbers / self.filled:.0%} of its values are "
                f"numbers; where {texts} means that one is missing, write "
                f"missing_values: [{texts}] below data"
            )
        if self.kind == "category":
            read = {"number": self.numbers, "date": self.dates}
            return self.other_forms.advice(self.filled, read)
        if self.kind == "nothing":
            return ""
        share = 1 - (self.numbers if self.kind == "number" else self.dates) / self.filled
        if share < _MANY_STRAYS:
            return ""
        return (
            f"has text that is no {self.kind} in {share:.0%} of the rows with a value, which "
            f"counts as missing: {self.stray_text(shown)}"
        )
