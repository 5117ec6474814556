"""Running statistics of columns over blocks of rows: counts, means, deviations, extremes."""

from dataclasses import dataclass, fields

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers

# Where the deviation is a smaller share of the largest value, rounding would be seen in a column
# standardised as float32: its values are better taken as differences from one of them.
_NARROW_SHARE = 1e-8
# Squares of smaller numbers lose digits, or vanish.
_LEAST = 1e-140


@dataclass
class ColumnMoments:
    """Count, mean, sum of squared deviations and extremes of C columns, float64 (C,) each.

    Blocks are merged by Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance",
    in the order in which they come.

    Attributes:
        units: powers of two by which deviations are divided before they are squared.
    """

    counts: Integers
    means: Floats
    squares: Floats
    low: Floats
    high: Floats
    units: Floats

    @classmethod
    def empty(cls, columns: int, units: Floats | None = None) -> "ColumnMoments":
        zeros = np.zeros(columns)
        return cls(
            np.zeros(columns, np.int64),
            zeros,
            zeros.copy(),
            np.full(columns, np.inf),
            np.full(columns, -np.inf),
            np.ones(columns) if units is None else units,
        )

    def add(self, block: Floats) -> None:
        """Add rows (C, n) float64; NaN is a missing value."""
        missing = np.isnan(block)
        some = bool(missing.any())
        present = np.where(missing, 0.0, block) if some else block
        counts = block.shape[1] - missing.sum(axis=1)
        means = present.sum(axis=1) / np.maximum(counts, 1)
        apart = present - means[:, None]
        if some:
            apart[missing] = 0.0
        apart /= self.units[:, None]
        squares = np.multiply(apart, apart, out=apart).sum(axis=1)
        low = np.fmin.reduce(block, axis=1, initial=np.inf)
        high = np.fmax.reduce(block, axis=1, initial=-np.inf)
        self._merge(counts, means, squares, low, high)

    def fill(self, values: Floats, counts: Integers) -> None:
        """Add a value (C,) to each column, `counts` (C,) times."""
        there = counts > 0
        low = np.where(there, values, np.inf)
        high = np.where(there, values, -np.inf)
        self._merge(counts, np.where(there, values, 0.0), np.zeros(len(values)), low, high)

    def _merge(
        self, counts: Integers, means: Floats, squares: Floats, low: Floats, high: Floats
    ) -> None:
        total = np.maximum(self.counts + counts, 1)
        apart = means - self.means
        between = (apart / self.units) ** 2 * (self.counts * (counts / total))
        self.squares = self.squares + squares + between
        self.means = self.means + apart * (counts / total)
        self.counts = self.counts + counts
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)

    def replace(self, columns: Integers, others: "ColumnMoments") -> None:
        """Replace the moments of some columns."""
        for field in fields(self):
            getattr(self, field.name)[columns] = getattr(others, field.name)

    @property
    def constant(self) -> Array:
        """(C,) whether a column has one value; rounding may leave its deviation above 0."""
        return np.asarray((self.low >= self.high) | (self.squares == 0))

    @property
    def deviations(self) -> Floats:
        """(C,) standard deviations, of the population; 0 of a constant."""
        found = np.sqrt(self.squares / np.maximum(self.counts, 1)) * self.units
        return np.where(self.constant, 0.0, found)

    @property
    def narrow(self) -> Array:
        """(C,) whether a column needs a second pass, over differences from its least value.

        Its values lie so close together, compared with their size, or are so small, that rounding
        would show; a constant is one, too, but for 0.
        """
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        small = (self.deviations <= _NARROW_SHARE * largest) | (largest < _LEAST)
        return np.asarray(small & (largest > 0) & (self.counts > 0))

    @property
    def near_units(self) -> Floats:
        """(C,) powers of two near the widths of the columns, in which squares keep their digits."""
        found: Floats = np.ldexp(1.0, np.frexp(self.high - self.low)[1])
        return found
