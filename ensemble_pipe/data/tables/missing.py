"""Recognition of missing values, the same for columns of every type and source."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.arrow import truths_of
from ensemble_pipe.data.sources.text_columns import MISSING, null_where_missing
from ensemble_pipe.data.tables.arrow_types import is_number, is_text, plain_numbers
from ensemble_pipe.data.tables.categories import NUMBER, name_of_date, normalize

_TRUTHS = ("true", "false")
# What is read as a float64, beside the texts that mean a missing value in any case.
_READ = re.compile(rf"{NUMBER.pattern}|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Missing:
    """The `missing_values` of a source, by type of column.

    A text that is a number or a date also stands for that value, so that -999 is missing in a
    column of numbers, whether stored as text or not.

    Attributes:
        texts: as given, such as "?" or "-999".
    """

    texts: tuple[str, ...] = ()

    @cached_property
    def names(self) -> frozenset[str | None]:
        """The names of categories that mean a missing value."""
        return frozenset(normalize(text) for text in self.texts)

    @cached_property
    def numbers(self) -> Floats:
        """The numbers among the texts; fractions also as float32 has them, as it is widened."""
        own = np.array([float(text) for text in self.texts if _READ.fullmatch(text)])
        with np.errstate(over="ignore"):
            widened = own.astype(np.float32).astype(np.float64)
        return np.append(own, widened[np.isfinite(widened) & (widened != np.round(widened))])

    @cached_property
    def seconds(self) -> Floats:
        """The dates among the texts, in seconds since 1970."""
        dates = [name for name in map(name_of_date, self.texts) if name is not None]
        epoch = datetime(1970, 1, 1)
        return np.array([(datetime.fromisoformat(date) - epoch).total_seconds() for date in dates])

    def null_missing(self, texts: pa.Array, usual: bool) -> pa.Array:
        """Return texts without surrounding blanks, null where they mean a missing value.

        Args:
            texts: of any type of text.
            usual: whether the usual texts, such as NA, mean one too, not only empty text.
        """
        trimmed = pc.ascii_trim_whitespace(texts)
        return null_where_missing(trimmed, (*(MISSING if usual else ("",)), *self.texts))

    def in_truths(self, column: pa.Array) -> pa.Array:
        """Return a boolean column, null where it means a missing value."""
        truths = [text.lower() == "true" for text in self.texts if text.lower() in _TRUTHS]
        return null_where_missing(column, truths) if truths else column

    def in_numbers(self, values: Floats) -> Floats:
        """Return numbers of any type with NaN where they mean a missing value."""
        return _without(values, self.numbers)

    def in_seconds(self, values: Floats) -> Floats:
        """Return seconds since 1970 with NaN where they mean a missing value."""
        return _without(values, self.seconds)

    def mask(self, column: pa.Array) -> Array:
        """Return (n,) bool, where a plain column of text or numbers has no value.

        That is null, NaN, empty or blank text, or one of the texts.
        """
        if is_text(column.type):
            column = self.null_missing(column, usual=False)
        elif pa.types.is_boolean(column.type):
            column = self.in_truths(column)
        missing: Array = truths_of(column.is_null(nan_is_null=True)).copy()
        if len(self.numbers) and is_number(column.type):
            missing = missing | np.isnan(self.in_numbers(plain_numbers(column)))
        return missing


NO_TEXTS = Missing()


def _without(values: Floats, absent: Floats) -> Floats:
    if not len(absent):
        return values
    if values.dtype.kind == "f":  # 0.1 is another number as float32
        absent = absent.astype(values.dtype)
    return np.where(np.isin(values, absent), np.nan, values)
