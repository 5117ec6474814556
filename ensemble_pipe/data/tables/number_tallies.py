"""Statistics of columns of numbers over the training rows, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.tables.scale_fitting import sampled_rows


@dataclass(frozen=True)
class NumberTally:
    """What is known of one column of numbers.

    Attributes:
        rows, present: of the training part, and of these with a value.
        low, high: of the values.
        rises: whether each value is above those before it.
        sample: (m,) of the values, those of the rows of `sampled_rows`.
    """

    rows: int
    present: int
    low: float
    high: float
    rises: bool
    sample: Floats

    @property
    def are_whole(self) -> bool:
        """Whether the values are whole."""
        return bool((self.sample == np.round(self.sample)).all())

    @property
    def median(self) -> float:
        """The median of the values, of the sample where there are many; 0 where there is none."""
        if len(self.sample):
            return float(np.median(self.sample))
        return (self.low + self.high) / 2 if self.present else 0.0


class NumberTallies:
    """The statistics of C columns, accumulated block by block.

    Args:
        train: (R,) bool, the training rows.
        columns: C.
    """

    def __init__(self, train: Array, columns: int) -> None:
        self.rows = 0
        self.present = np.zeros(columns, np.int64)
        self.low, self.high = np.full(columns, np.inf), np.full(columns, -np.inf)
        self.rises = np.ones(columns, bool)
        self._last = np.full(columns, -np.inf)
        self._parts: list[Floats] = [np.empty((columns, 0))]
        self._sampled = sampled_rows(train, max(columns, 1))
        self._read = 0

    def add(self, block: Floats, kept: Array) -> None:
        """Add the rows (C, n) of a block of which `kept` (n,) are training rows; NaN is missing."""
        sampled = self._sampled[self._read : self._read + block.shape[1]]
        self._read += block.shape[1]
        self._parts.append(block[:, sampled])
        block = block[:, kept]
        self.rows += block.shape[1]
        self.present += (~np.isnan(block)).sum(axis=1)
        self.low = np.minimum(self.low, np.fmin.reduce(block, axis=1, initial=np.inf))
        self.high = np.maximum(self.high, np.fmax.reduce(block, axis=1, initial=-np.inf))
        if block.shape[1]:
            highest = np.fmax.accumulate(np.column_stack([self._last, block]), axis=1)
            self.rises &= (np.isnan(block) | (block > highest[:, :-1])).all(axis=1)
            self._last = highest[:, -1].copy()

    def columns(self) -> Iterator[NumberTally]:
        """Yield the statistics of each column."""
        sample = np.concatenate(self._parts, axis=1)
        for place, values in enumerate(sample):
            yield NumberTally(
                self.rows,
                int(self.present[place]),
                float(self.low[place]),
                float(self.high[place]),
                bool(self.rises[place]),
                values[~np.isnan(values)],
            )
