"""Counting of a column's categories, to which the column is fitted."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.sources.rows import Place
from ensemble_pipe.data.sources.text_columns import MISSING
from ensemble_pipe.data.tables import cells
from ensemble_pipe.data.tables.categories import are_numbers, normalize, sort_categories
from ensemble_pipe.data.tables.columns import rule_error
from ensemble_pipe.data.tables.encoding import require_categories
from ensemble_pipe.data.tables.features import CategoryColumn
from ensemble_pipe.data.tables.missing import Missing

MOST_CATEGORIES = 10_000
BUCKETS = 8192


@dataclass
class CategoryCounts:
    """The frequency of each category in the training rows; "" is the missing value.

    Attributes:
        column: not yet fitted.
        missing: the texts that mean a missing value.
        counts: by name; once they are too many, of the missing value alone.
        usual: the first place of each text that may mean a missing value, such as NA.
        hashed: whether there are more names than `MOST_CATEGORIES`.
    """

    column: CategoryColumn
    missing: Missing
    counts: Counter[str] = field(default_factory=Counter)
    usual: dict[str, str] = field(default_factory=dict)
    hashed: bool = False

    def add(self, block: pa.RecordBatch, kept: npt.NDArray[np.bool_], place: Place) -> None:
        """Count the rows of a block where `kept` (n,) is true.

        Raises:
            DataError: a value is missing without a rule for it, or there are too many categories.
        """
        name = self.column.name
        codes, written = cells.names(block.column(name), name, place)
        names = [self._name(text) for text in written]
        require_categories(codes, names, self.column, place)
        found = np.bincount(codes[kept], minlength=len(names)).tolist()
        for code, (text, count) in enumerate(zip(names, found, strict=True)):
            if count:
                self.counts[text or ""] += count
                if text in MISSING and text not in self.usual:
                    self.usual[text] = place(int(np.flatnonzero(kept & (codes == code))[0]))
        if self.hashed or len(self.counts) > MOST_CATEGORIES:
            self._forget_names(place)

    def _forget_names(self, place: Place) -> None:
        if self.column.encode == "one_hot":
            raise rule_error(
                f"{place(0)}: column {quote(self.column.name)} has more than {MOST_CATEGORIES} "
                "categories, too many for a feature each",
                self.column.name,
                "kind: category, encode: code",
                "take {}, or name it in `ignore`",
            )
        self.hashed = True
        self.counts = Counter({"": self.counts[""]})

    def fit(self, rule: object, where: str, least_rows: int = 1) -> CategoryColumn:
        """Return the column with its categories.

        Args:
            rule: `missing` of the column's rule.
            where: the source, for messages.
            least_rows: of a category; rarer ones are as those that are not known.

        Raises:
            DataError: there is no value, or one is missing without a rule for it.
        """
        if not self.hashed and are_numbers(list(self.counts)):
            self._take_usual()
        missing = ("",) if self.counts[""] else ()
        if self.hashed:
            return replace(self.column, categories=missing, buckets=BUCKETS)
        names = sort_categories([n for n, rows in self.counts.items() if n and rows >= least_rows])
        if not names and rule not in ("auto", "category"):
            raise empty(where, self.column.name, "name it in `ignore`")
        if rule == "most_frequent":
            # The first of equally frequent ones.
            fill = max(names, key=self.counts.__getitem__)
            return replace(self.column, categories=tuple(names), fill=fill)
        return replace(self.column, categories=(*names, *missing))

    def _take_usual(self) -> None:
        """Count texts such as NA among otherwise numeric categories as the missing value."""
        for text, place in self.usual.items():
            require_categories(np.zeros(1, np.int64), [None], self.column, lambda _: place)  # noqa: B023
            self.counts[""] += self.counts.pop(text)

    def _name(self, written: str | None) -> str | None:
        if written in self.counts:  # a name that was met before
            return written
        name = normalize(written)
        return None if name in self.missing.names else name


def empty(where: str, name: str, advice: str) -> DataError:
    """Return the error for a column without values."""
    return DataError(f"{where}, column {quote(name)}: has no value in the training part; {advice}")
