"""Sums over blocks of rows: counts, means, squared deviations, extremes, covariances."""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.arrays import Array, Floats, Integers

# A column whose deviation is a smaller share of its largest value has one value only.
CONSTANT_SHARE = 1e-12


@dataclass
class Moments:
    """Count, mean, sum of squared deviations and extremes of C columns, float64 (C,) each.

    Blocks are merged by Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance",
    in the order in which they come.
    """

    counts: Integers
    means: Floats
    squares: Floats
    low: Floats
    high: Floats

    @classmethod
    def empty(cls, columns: int) -> "Moments":
        zeros = np.zeros(columns)
        return cls(
            np.zeros(columns, np.int64),
            zeros,
            zeros.copy(),
            np.full(columns, np.inf),
            np.full(columns, -np.inf),
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
        squares = np.multiply(apart, apart, out=apart).sum(axis=1)
        low = np.fmin.reduce(block, axis=1, initial=np.inf)
        high = np.fmax.reduce(block, axis=1, initial=-np.inf)
        self._merge(counts, means, squares, low, high)

    def fill(self, values: Floats, counts: Integers) -> None:
        """Add to each column a value (C,), as often as `counts` (C,) says."""
        there = counts > 0
        low = np.where(there, values, np.inf)
        high = np.where(there, values, -np.inf)
        self._merge(counts, np.where(there, values, 0.0), np.zeros(len(values)), low, high)

    def _merge(
        self, counts: Integers, means: Floats, squares: Floats, low: Floats, high: Floats
    ) -> None:
        total = np.maximum(self.counts + counts, 1)
        apart = means - self.means
        self.squares = self.squares + squares + apart**2 * (self.counts * (counts / total))
        self.means = self.means + apart * (counts / total)
        self.counts = self.counts + counts
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)

    @property
    def constant(self) -> Array:
        """(C,) whether a column has one value only; its deviation is not always exactly zero."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        return np.sqrt(self._variances) <= CONSTANT_SHARE * largest

    @property
    def deviations(self) -> Floats:
        """(C,) standard deviations, of the population; 0 of a constant."""
        return np.where(self.constant, 0.0, np.sqrt(self._variances))

    @property
    def _variances(self) -> Floats:
        return self.squares / np.maximum(self.counts, 1)
