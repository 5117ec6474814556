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
from ensemble_pipe.data.tables.encoding import require_categories
from ensemble_pipe.data.tables.features import CategoryColumn
from ensemble_pipe.data.tables.missing import Missing

MOST_CATEGORIES = 10_000


@dataclass
class CategoryCounts:
    """The frequency of each category in the training rows; "" is the missing value.

    Attributes:
        column: not yet fitted.
        missing: the texts that mean a missing value.
        counts: by name.
        usual: the first place of each text that may mean a missing value, such as NA.
    """

    column: CategoryColumn
    missing: Missing
    counts: Counter[str] = field(default_factory=Counter)
    usual: dict[str, str] = field(default_factory=dict)

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
        if len(self.counts) > MOST_CATEGORIES:
            raise DataError(
                f"{place(0)}: column {quote(name)} has more than {MOST_CATEGORIES} categories; "
                "name it in `ignore`, or merge some of them"
            )

    def fit(self, rule: object, where: str) -> CategoryColumn:
        """Return the column with its categories.

        Args:
            rule: `missing` of the column's rule.
            where: the source, for messages.

        Raises:
            DataError: there is no value, or one is missing without a rule for it.
        """
        if are_numbers(list(self.counts)):
            self._take_usual()
        names = sort_categories([name for name in self.counts if name])
        if not names and rule != "category":
            raise empty(where, self.column.name, "name it in `ignore`")
        if rule == "most_frequent":
            # The first of equally frequent ones.
            fill = max(names, key=self.counts.__getitem__)
            return replace(self.column, categories=tuple(names), fill=fill)
        return replace(self.column, categories=(*names, *([""] if self.counts[""] else [])))

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
