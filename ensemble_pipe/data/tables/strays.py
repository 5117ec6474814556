"""Values that no column reads: in recognised columns what is no number or date, which counts as
missing, and in those of categories what is none that is known."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.core.arrow import truths_of
from ensemble_pipe.core.data_warning import DataWarning
from ensemble_pipe.core.messages import MOST_NAMES, quote
from ensemble_pipe.data.sources.rows import Place
from ensemble_pipe.data.tables import cells, dates
from ensemble_pipe.data.tables.arrow_types import is_number, is_text, is_time, to_plain
from ensemble_pipe.data.tables.missing import Missing


@dataclass
class Strays:
    """The strays of each column, counted over the blocks of a prediction.

    `_first` has the words of each column's warning: what its strays are none of, what they count
    as, and the first as an example.
    """

    _counts: dict[str, int] = field(default_factory=dict)
    _first: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def add(
        self, name: str, kind: str, values: pa.Array, lost: pa.BooleanArray, place: Place
    ) -> None:
        """Count the values of a block that are lost; the first of a column is its example."""
        rows = np.flatnonzero(truths_of(lost))
        if len(rows):
            example = quote(_shown(values[int(rows[0])]))
            self._count(name, (kind, "missing"), rows, example, place)

    def add_unseen(
        self,
        name: str,
        categories: Sequence[str | None],
        codes: Integers,
        found: Integers,
        place: Place,
    ) -> None:
        """Count the values of a block that are no category of a column, missing ones not.

        Args:
            name: of the column.
            categories: that the block has; None is a missing one.
            codes: (n,) place of each row's category among these.
            found: (n,) number of each row's category in the column, -1 for none.
            place: names a row.
        """
        if not (found < 0).any():
            return
        known = np.array([category is not None for category in categories])[codes]
        rows = np.flatnonzero((found < 0) & known)
        if len(rows):
            example = quote(categories[codes[rows[0]]])
            self._count(name, ("category of the model", "none of them"), rows, example, place)

    def _count(
        self, name: str, words: tuple[str, str], rows: Integers, example: str, place: Place
    ) -> None:
        self._counts[name] = self._counts.get(name, 0) + len(rows)
        first = f"such as {example} ({place(int(rows[0]))})"
        self._first.setdefault(name, (*words, first))

    def warn(self) -> None:
        """Warn once of all that was counted."""
        if not self._counts:
            return
        parts = [
            _text(name, count, *self._first[name])
            for name, count in list(self._counts.items())[:MOST_NAMES]
        ]
        more = len(self._counts) - len(parts)
        parts += [f"{more} further columns"] if more else []
        warnings.warn("; ".join(parts), DataWarning, stacklevel=2)


def drop_strays(
    values: pa.Array, name: str, kind: str, place: Place, missing: Missing, counts: Strays | None
) -> pa.Array:
    """Return a column with null for values that are no numbers, or no dates.

    Infinities are numbers, which are refused. Values that no rule reads, such as lists, are left.

    Args:
        values: of the column.
        name: of the column.
        kind: "number" or "date".
        place: names a row.
        missing: texts that mean a missing value, and so are no strays.
        counts: where strays are counted; None where nobody wants to know.
    """
    values = to_plain(values)
    if is_text(values.type):
        texts = missing.null_missing(values, usual=True).dictionary_encode()
        readable = cells.are_numbers if kind == "number" else dates.are_dates
        absent = pa.scalar(None, texts.dictionary.type)
        kept = pc.if_else(readable(texts.dictionary), texts.dictionary, absent)
        found = kept.take(texts.indices)
        lost = pc.and_(texts.indices.is_valid(), found.is_null())
    elif is_time(values.type) if kind == "number" else _is_no_date(values.type):
        found = pa.nulls(len(values))
        lost = pa.array(~missing.mask(values))
    else:
        return values
    if counts is not None:
        counts.add(name, kind, values, lost, place)
    return found


def _text(name: str, count: int, kind: str, taken_as: str, first: str) -> str:
    several = kind if " " in kind else f"{kind}s"
    what = (
        f"1 value that is no {kind} counts"
        if count == 1
        else f"{count:,} values that are no {several} count"
    )
    return f"column {quote(name)}: {what} as {taken_as}, {first}"


def _is_no_date(kind: pa.DataType) -> bool:
    return is_number(kind) or pa.types.is_boolean(kind)


def _shown(value: pa.Scalar) -> object:
    return str(value) if is_time(value.type) else value.as_py()
