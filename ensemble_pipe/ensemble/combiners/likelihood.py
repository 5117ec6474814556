"""The likelihood of the targets as a function of the members' weights.

The NLL of a mixture is a function of weighted means of a few statistics of each member and row: the
probability of the true class; or, for a Gaussian with the mixture's mean and variance, the error
and the second moment about the target. Weights are fitted from these, without the outputs.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.combiners.pooling import log_softmax

_SMALLEST = 1e-300


@dataclass(frozen=True)
class Likelihood(ABC):
    """The mean NLL, in nats, of a mixture of K members on N numbers.

    Attributes:
        is_convex: whether the NLL is convex in the weights.
        statistics: (S, K, N) float64, which weights average.
        rows: (N,), how much each number counts; they sum to 1.
        offset: is added to the NLL, and makes it that of the targets.
    """

    is_convex: ClassVar[bool]

    statistics: Floats
    rows: Floats
    offset: float = 0.0

    @abstractmethod
    def nll(self, totals: Floats) -> float:
        """Return the mean NLL from averaged statistics (S, N)."""

    @abstractmethod
    def slopes(self, totals: Floats) -> Floats:
        """Return the derivatives (S, N) of each number's NLL by its averaged statistics."""

    @property
    def members(self) -> int:
        return int(self.statistics.shape[1])

    def of(self, members: Array) -> "Likelihood":
        """Return the likelihood for some members, by place."""
        return replace(self, statistics=self.statistics[:, members])

    def totals(self, weights: Floats) -> Floats:
        """Return the averaged statistics (S, N) for weights (K,)."""
        totals = np.empty((len(self.statistics), self.statistics.shape[2]))
        for statistic, own in zip(self.statistics, totals, strict=True):
            np.matmul(weights, statistic, out=own)
        return totals

    def at(self, weights: Floats) -> float:
        """Return the mean NLL for weights (K,)."""
        return self.nll(self.totals(weights))

    def gradient(self, weights: Floats) -> Floats:
        """Return the derivatives (K,) of the mean NLL by the weights."""
        slopes = self.slopes(self.totals(weights)) * self.rows
        pairs = zip(self.statistics, slopes, strict=True)
        gradient: Floats = np.sum([statistic @ slope for statistic, slope in pairs], axis=0)
        return gradient

    def promise(self, weights: Floats) -> Floats:
        """Return by how much (K,) a small weight of each member lowers the NLL, to first order."""
        return -self.gradient(weights)

    def each(self) -> Floats:
        """Return the mean NLL (K,) of each member alone."""
        return np.array([self.nll(self.statistics[:, place]) for place in range(self.members)])


@dataclass(frozen=True)
class ClassLikelihood(Likelihood):
    """-log sum_k w_k p_k, where p_k (1, K, R) are members' probabilities of the true class.

    Those of a row are divided by their largest, so that none that counts beside the others is too
    small for a float64; a row that no weighted member allows is charged the log of 1e-300.
    """

    is_convex: ClassVar[bool] = True

    @staticmethod
    def build(logits: Floats, labels: Array, row_weights: Floats) -> "ClassLikelihood":
        """Return the likelihood of labels (R,), for logits (K, R, O) and row weights (R,)."""
        rows = np.arange(len(labels))
        logs = np.stack([log_softmax(member)[rows, labels] for member in logits])
        largest = logs.max(axis=0)
        offset = -float(row_weights @ largest)
        return ClassLikelihood(np.exp(logs - largest)[None], row_weights, offset)

    def nll(self, totals: Floats) -> float:
        """See `Likelihood`."""
        return float(self.offset - self.rows @ np.log(np.maximum(totals[0], _SMALLEST)))

    def slopes(self, totals: Floats) -> Floats:
        """See `Likelihood`."""
        return -1 / np.maximum(totals, _SMALLEST)


@dataclass(frozen=True)
class NumberLikelihood(Likelihood):
    """The Gaussian NLL at the mixture's mean and variance (moment-matched).

    The statistics are (2, K, R * D): errors e_k = m_k - y and second moments v_k + e_k^2; the
    mixture's variance is the mean second moment less the squared mean error.
    """

    is_convex: ClassVar[bool] = False

    @staticmethod
    def build(
        means: Floats, variances: Floats, targets: Array, row_weights: Floats
    ) -> "NumberLikelihood":
        """Return the likelihood of targets (R, D), for means and variances (K, R, D)."""
        members, columns = len(means), targets.shape[1]
        errors = (means.astype(np.float64) - targets).reshape(members, -1)
        seconds = variances.reshape(members, -1) + errors**2
        rows = np.repeat(row_weights / columns, columns)
        return NumberLikelihood(np.stack([errors, seconds]), rows)

    def nll(self, totals: Floats) -> float:
        """See `Likelihood`."""
        error, variance = self._moments(totals)
        values = np.log(2 * np.pi * variance) + error**2 / variance
        return float(0.5 * (self.rows @ values))

    def slopes(self, totals: Floats) -> Floats:
        """See `Likelihood`."""
        error, variance = self._moments(totals)
        share = error**2 / variance
        return np.stack([error * share / variance, 0.5 * (1 - share) / variance])

    @staticmethod
    def _moments(totals: Floats) -> tuple[Floats, Floats]:
        error, second = totals
        # Rounding may take a variance that is small beside its squared error below zero.
        return error, np.maximum(second - error**2, 1e-15 * second)
