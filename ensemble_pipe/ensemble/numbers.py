"""Predictions of numbers as Gaussians on the scale of training, and what they are in own units.

A target that is trained on as it is has a Gaussian in its own units too. One that is trained on as
g(y), such as log y, has the distribution whose g is that Gaussian: its quantiles are those of the
Gaussian, taken back; its mean, its deviation and its CRPS are integrals over it, by the
Gauss-Legendre rule of `_NODES` nodes on `_FAR` deviations around the mean; its NLL is that of the
Gaussian less log g'(y). Rows are summed up one node after the other, so that a row has the same
bits beside any others.

Shapes: K members, R rows, D targets.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.gaussians import gaussian_scores, half_width
from ensemble_pipe.core.metrics import number_metric
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.target_scaling import FittedTarget
from ensemble_pipe.data.tables.target_transforms import LOG
from ensemble_pipe.ensemble.combiners import Combiner
from ensemble_pipe.ensemble.metrics.regression import metrics_of
from ensemble_pipe.ensemble.metrics.row_values import RowValues, number_rows

_NODES, _FAR = 48, 8.5
_STEPS = 40  # halve the logarithm of what deviations are off by


@dataclass(frozen=True)
class Gaussians:
    """One Gaussian for each row and target.

    Attributes:
        mean, variance: (R, D) float64, standardised, on the scale of training.
        schema: of the data.
    """

    mean: Floats
    variance: Floats
    schema: Schema

    @cached_property
    def own(self) -> tuple[Floats, Floats]:
        """Means and standard deviations (R, D) in the targets' own units.

        The mean lies between the bounds of the target, also where that of a skewed distribution
        whose median does would lie beyond them.
        """
        center, unit = self.schema.target_scale
        mean, deviation = self.mean * unit + center, np.sqrt(self.variance) * unit
        for place, one in self.transformed:
            median, own, deviation[:, place] = _Skewed.of(self, place, one).moments()
            low, high = one.own_bounds
            mean[:, place] = np.clip(own, np.minimum(median, low), np.maximum(median, high))
        return mean, deviation

    def metrics(self, targets: Array) -> dict[str, float]:
        """Return the metrics of `regression_metrics`, in the targets' own units.

        Args:
            targets: (R,) or (R, D), as base files hold them.
        """
        truth = self.schema.decode_targets(targets)
        return metrics_of(self._scores(targets), truth, self.schema.target_names)

    def metric(self, name: str, targets: Array) -> float:
        """Return one of these metrics, which for errors of means alone takes less time."""
        if self.transformed and name not in ("rmse", "mae"):
            return self.metrics(targets)[name]
        return number_metric(name, *self.own, self.schema.decode_targets(targets))

    def row_values(self, targets: Array) -> dict[str, RowValues]:
        """Return the metrics that are means over rows, row by row, as `number_rows` does."""
        return number_rows(self._scores(targets))

    def _scores(self, targets: Array) -> dict[str, Floats]:
        """Return the values (R, D) whose means are the metrics; `rmse` has squared errors."""
        truth = self.schema.decode_targets(targets)
        mean, deviation = self.own
        found = gaussian_scores(mean, deviation, truth)
        for place, one in self.transformed:
            z = targets.reshape(truth.shape)[:, place].astype(np.float64)
            own = _Skewed.of(self, place, one).scores(z, truth[:, place])
            for name, values in own.items():
                found[name][:, place] = values
        return found

    @property
    def transformed(self) -> list[tuple[int, FittedTarget]]:
        """The targets that are transformed, by place."""
        every = enumerate(self.schema.fitted_targets)
        return [(place, one) for place, one in every if not one.transform.is_identity]


def combined_numbers(
    combiner: Combiner, outputs: Floats, schema: Schema
) -> tuple[Floats, Floats, Floats]:
    """Return mean, aleatoric and epistemic variance (R, D), standardised, of a combination.

    A mixture lies between its members. A linear combination may not: its mean is kept within the
    bounds of the targets, or within its members where predictions of other programs leave these.

    Args:
        combiner: of K members.
        outputs: (K, R, 2 D) of `member_outputs`.
        schema: of the data.
    """
    means, variances = np.split(outputs, [schema.target_count], axis=2)
    mean, aleatoric, epistemic = combiner.mixture(means, variances)
    if schema.target_bounds:
        low, high = np.array(schema.target_bounds, np.float32).astype(np.float64).T
        low, high = np.minimum(low, means.min(axis=0)), np.maximum(high, means.max(axis=0))
        mean = np.clip(mean, low, high)
    return mean, aleatoric, epistemic


def member_means(outputs: Floats, schema: Schema) -> Floats:
    """Return each member's means (K, R, D) in the targets' own units, for outputs (K, R, 2 D)."""
    count, exact = schema.target_count, outputs.astype(np.float64)
    return np.stack([Gaussians(o[:, :count], o[:, count:], schema).own[0] for o in exact])


def standardised_moments(
    mean: Floats, deviation: Floats, fitted: FittedTarget
) -> tuple[Floats, Floats]:
    """Return mean and variance (R,) on the scale of training for those in a target's own units.

    Of a transformed target, those of the Gaussian whose distribution of y has that mean and
    deviation: closed for a logarithm, and else found from there, step by step.

    Args:
        mean, deviation: (R,); means are above 0 where the target is transformed.
        fitted: the scale of the target.
    """
    transform = fitted.transform
    if not transform.is_identity:
        wanted = mean, deviation
        spread = np.sqrt(np.log1p((deviation / mean) ** 2))  # of log y, if that is Gaussian
        mean, deviation = LOG.forward(mean) - spread**2 / 2, spread
        if transform != LOG:
            mean = transform.forward(LOG.inverse(mean))
            deviation = spread * transform.exponent * mean
            for _ in range(_STEPS):
                _, first, second = _Skewed(mean, deviation, fitted).moments()
                mean = mean + transform.forward(wanted[0]) - transform.forward(first)
                deviation = deviation * np.sqrt(wanted[1] / second)
    return (mean - fitted.mean) / fitted.deviation, (deviation / fitted.deviation) ** 2


def own_moments(mean: Floats, variance: Floats, fitted: FittedTarget) -> tuple[Floats, Floats]:
    """Return mean and deviation (R,) in own units; the inverse of `standardised_moments`."""
    center, spread = fitted.mean + mean * fitted.deviation, np.sqrt(variance) * fitted.deviation
    if fitted.transform.is_identity:
        return center, spread
    return _Skewed(center, spread, fitted).moments()[1:]


@dataclass(frozen=True)
class _Skewed:
    """The distribution of one transformed target: g(y) is Gaussian.

    Attributes:
        mean, deviation: (R,) of g(y).
        fitted: the scale of the target.
    """

    mean: Floats
    deviation: Floats
    fitted: FittedTarget

    @classmethod
    def of(cls, numbers: Gaussians, place: int, fitted: FittedTarget) -> "_Skewed":
        mean = numbers.mean[:, place] * fitted.deviation + fitted.mean
        return cls(mean, np.sqrt(numbers.variance[:, place]) * fitted.deviation, fitted)

    def moments(self) -> tuple[Floats, Floats, Floats]:
        """Return median, mean and standard deviation (R,) of y."""
        # Distances from the median, so that no digits are lost where the deviation is small.
        median = self._quantile(0.0)
        first, second = np.zeros((2, len(median)))
        with np.errstate(over="ignore", invalid="ignore"):
            for node, weight in _normal_rule():
                apart = self._quantile(node) - median
                first += weight * apart
                second += weight * apart**2
            deviation = np.sqrt(np.maximum(second - first**2, 0.0))
        return median, median + first, deviation

    def scores(self, z: Floats, truth: Floats) -> dict[str, Floats]:
        """Return the scores (R,) of each row, as `gaussian_scores` names them.

        Args:
            z: (R,) standardised targets.
            truth: (R,) the same in own units.
        """
        error = z * self.fitted.deviation + self.fitted.mean - self.mean
        variance, half = self.deviation**2, half_width()
        nll = 0.5 * np.log(2 * np.pi * variance) + error**2 / (2 * variance)
        return {
            "nll": nll - self.fitted.transform.log_slope(truth),
            "crps": self._crps(error / self.deviation, truth),
            "coverage_90": (np.abs(error) <= half * self.deviation).astype(np.float64),
            "width_90": self._quantile(half) - self._quantile(-half),
        }

    def _crps(self, place: Floats, truth: Floats) -> Floats:
        """Return E|Y - y| - E|Y - Y'| / 2 (R,) (Gneiting & Raftery 2007, eq. 21).

        With F the distribution and u standard normal this is y (2 F(y) - 1) + E Y -
        2 E[Y; Y < y] - E[Y (2 F(Y) - 1)], all of it of distances from the median.

        Args:
            place: (R,) of the truth, in deviations from the mean of g(y).
            truth: (R,).
        """
        from scipy.special import ndtr

        median = self._quantile(0.0)
        whole, below, spread = np.zeros((3, len(median)))
        for node, weight in _normal_rule():
            apart = weight * (self._quantile(node) - median)
            whole += apart
            spread += apart * (2 * ndtr(node) - 1)
        ends = np.clip(place, -_FAR, _FAR)
        nodes, weights = _rule()
        for node, weight in zip(nodes, weights, strict=True):
            at = (ends - _FAR) / 2 + (ends + _FAR) / 2 * node
            density = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
            below += weight * (ends + _FAR) / 2 * density * (self._quantile(at) - median)
        apart = truth - median
        crps: Floats = apart * (2 * ndtr(place) - 1) + whole - 2 * below - spread
        return crps

    def _quantile(self, place: Floats | float) -> Floats:
        """Return y (R,) so many deviations of g(y) from the mean of it."""
        return self.fitted.transform.inverse(self.mean + place * self.deviation)


@cache
def _rule() -> tuple[list[float], list[float]]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes.tolist(), weights.tolist()


@cache
def _normal_rule() -> list[tuple[float, float]]:
    """Return nodes and weights of integrals over the standard normal distribution."""
    nodes, weights = _FAR * np.array(_rule()[0]), np.array(_rule()[1])
    weights = weights * np.exp(-(nodes**2) / 2)
    return list(zip(nodes.tolist(), (weights / weights.sum()).tolist(), strict=True))
