"""Cached outputs of the members, their combination, and the likelihood of the targets."""

from dataclasses import dataclass
from math import exp, log

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.combiners.combiner import Combiner, Task
from ensemble_pipe.ensemble.combiners.likelihood import (
    ClassLikelihood,
    Likelihood,
    NumberLikelihood,
)
from ensemble_pipe.ensemble.combiners.pooling import log_softmax, softmax

TEMPERATURES = (0.01, 100.0)  # the least that is fitted, and for classes the largest
_ROWS_A_COEFFICIENT = 10  # fewer do not hold a regression down (Peduzzi et al. 1996)
_HALVINGS = 26  # to a ten-millionth of a temperature
_SHARES = 101  # of noise in the variance that are tried
_LEAST_SCALE = 1e-300  # where every prediction is exact


@dataclass(frozen=True)
class Calibration:
    """Parameters that are fitted after combining.

    Attributes:
        temperature, noise: as in `Weighted`.
    """

    temperature: float = 1.0
    noise: float = 0.0


NONE = Calibration()


@dataclass(frozen=True)
class ClassPrediction:
    """Combined predictions of classes.

    Attributes:
        logs: log-probabilities (R, O) float64, at temperature 1.
    """

    logs: Floats

    def take(self, rows: Array) -> "ClassPrediction":
        """Return the prediction of some rows, by number."""
        return ClassPrediction(self.logs[rows])

    def parts(self, calibration: Calibration) -> tuple[Floats, ...]:
        """Return the calibrated probabilities (R, O) alone."""
        return (softmax(self.logs / calibration.temperature),)

    def nll(self, targets: Array, calibration: Calibration = NONE) -> Floats:
        """Return the negative log-likelihood (R,) of the labels (R,), in nats."""
        # log_softmax(x / 1) is x but for rounding, so that all temperatures are judged alike.
        logs = log_softmax(self.logs / calibration.temperature)
        return -logs[np.arange(len(targets)), targets]

    def best_calibration(self, targets: Array, row_weights: Floats) -> Calibration:
        """Return the temperature that minimises the mean NLL (Guo et al. 2017, section 4.2).

        Each label counts 1 - 1 / (R + 2), and the other classes share the rest, as one more row
        would that is wrong: that R rows are all right must not mean certainty (Platt 1999, section
        2.2). The NLL is convex in 1 / temperature, so its slope has one change of sign, which is
        found by halving the logarithms between `TEMPERATURES`: without scipy.optimize, which would
        take longer to import than a small network to train.

        Args:
            targets: (R,) labels.
            row_weights: (R,), which sum to 1.
        """
        count, classes = self.logs.shape
        wrong = 1 / (count + 2)
        shares = np.full((count, classes), wrong / (classes - 1))
        shares[np.arange(count), targets] = 1 - wrong
        low, high = log(TEMPERATURES[0]), log(TEMPERATURES[1])
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            excess = (softmax(self.logs / exp(middle)) - shares) * self.logs
            is_sharp = row_weights @ excess.sum(axis=1) > 0
            low, high = (middle, high) if is_sharp else (low, middle)
        return Calibration(temperature=exp((low + high) / 2))


@dataclass(frozen=True)
class NumberPrediction:
    """Combined predictions of numbers.

    Attributes:
        mean, variance: (R, D) float64, at temperature 1 and without noise.
    """

    mean: Floats
    variance: Floats

    def take(self, rows: Array) -> "NumberPrediction":
        """Return the prediction of some rows, by number."""
        return NumberPrediction(self.mean[rows], self.variance[rows])

    def parts(self, calibration: Calibration) -> tuple[Floats, ...]:
        """Return means and calibrated variances, (R, D) each."""
        return self.mean, self.variance * calibration.temperature**2 + calibration.noise

    def nll(self, targets: Array, calibration: Calibration = NONE) -> Floats:
        """Return the Gaussian negative log-likelihood (R,) of targets (R, D), mean over D."""
        variance = self.variance * calibration.temperature**2 + calibration.noise
        rows = 0.5 * np.log(2 * np.pi * variance) + (targets - self.mean) ** 2 / (2 * variance)
        nll: Floats = rows.mean(axis=1)
        return nll

    def best_calibration(self, targets: Array, row_weights: Floats) -> Calibration:
        """Return the temperature and the noise whose variance is expected after seeing targets.

        The mean of what is probable, rather than what is most probable: of few rows these differ,
        and too small a variance costs more than too large a one. A variance is
        scale ((1 - share) v / mean(v) + share); before any row is seen the logarithm of the scale
        and the share are uniform (Gelman et al. 2013, "Bayesian data analysis", section 3.2). For a
        share the scale is then inverse-gamma, of mean n m / (n - 2), where m is the mean of
        error**2 over the bracket; shares are summed over a grid. Variances that are all alike leave
        no noise.

        Args:
            targets: (R, D).
            row_weights: (R,), which sum to 1.
        """
        squares, unit = (targets - self.mean) ** 2, float(self.variance.mean())
        count = squares.size
        alike = self.variance.max() <= self.variance.min() * (1 + 1e-6)
        shares = np.zeros(1) if alike else np.linspace(0.0, 1.0, _SHARES)
        scales, logs = np.empty((2, len(shares)))
        for place, share in enumerate(shares):
            bracket = (1.0 - share) * self.variance / unit + share
            scale = max(float(row_weights @ (squares / bracket).mean(axis=1)), _LEAST_SCALE)
            scales[place] = scale
            mean_log = float(row_weights @ np.log(bracket).mean(axis=1))
            logs[place] = -count / 2 * (mean_log + log(scale))
        expected = softmax(logs) * scales * count / max(count - 2, count / 4)
        temperature = float(np.sqrt(expected @ (1.0 - shares) / unit))
        return Calibration(max(temperature, TEMPERATURES[0]), float(expected @ shares))


Prediction = ClassPrediction | NumberPrediction


@dataclass(frozen=True)
class ClassOutputs:
    """Outputs of K classifiers for R rows.

    Attributes:
        logits: (K, R, O), finite; log-probabilities will do.

    Raises:
        ValueError: the array has another shape, or holds a number that is not finite.
    """

    logits: Floats
    task: Task = "classification"

    def __post_init__(self) -> None:
        _require(self.logits, "logits (K, R, O)")

    @property
    def members(self) -> int:
        return len(self.logits)

    @property
    def rows(self) -> int:
        return int(self.logits.shape[1])

    @property
    def least_stacking_rows(self) -> int:
        """The fewest rows from which stacking is a candidate: ten for each coefficient."""
        members, _, classes = self.logits.shape
        return int(_ROWS_A_COEFFICIENT * classes * (members * classes + 1))

    def take(self, rows: Array) -> "ClassOutputs":
        """Return the outputs for some rows, by number."""
        return ClassOutputs(self.logits[:, rows])

    def of(self, members: Array) -> "ClassOutputs":
        """Return the outputs of some members, by place."""
        return ClassOutputs(self.logits[members])

    def combined(self, combiner: Combiner) -> ClassPrediction:
        """Return the combined prediction, with the calibration of the combiner."""
        return ClassPrediction(combiner.log_probabilities(self.logits))

    def likelihood(self, labels: Array, row_weights: Floats) -> Likelihood:
        """Return the likelihood of labels (R,), for row weights (R,) that sum to 1."""
        return ClassLikelihood.build(self.logits, labels, row_weights)

    def strata(self, labels: Array) -> Array:
        """Return what rows (R,) are stratified by in folds: their labels (R,)."""
        return labels

    def checked(self, targets: Array) -> Array:
        """Return labels (R,); ValueError where they do not fit the outputs."""
        rows, classes = self.logits.shape[1:]
        fits = targets.shape == (rows,) and np.issubdtype(targets.dtype, np.integer)
        if not fits or targets.min() < 0 or targets.max() >= classes:
            raise ValueError(f"targets must be {rows} class numbers in 0 to {classes - 1}")
        return targets


@dataclass(frozen=True)
class NumberOutputs:
    """Outputs of K regressors for D targets of R rows.

    Attributes:
        means: (K, R, D), finite.
        variances: (K, R, D), finite and above 0.

    Raises:
        ValueError: the arrays have other shapes, or hold other numbers.
    """

    means: Floats
    variances: Floats
    task: Task = "regression"

    def __post_init__(self) -> None:
        _require(self.means, "means (K, R, D)")
        _require(self.variances, "variances (K, R, D)")
        if self.means.shape != self.variances.shape or not (self.variances > 0).all():
            raise ValueError("variances must be above 0, in the shape of the means")

    @property
    def members(self) -> int:
        return len(self.means)

    @property
    def rows(self) -> int:
        return int(self.means.shape[1])

    @property
    def least_stacking_rows(self) -> int:
        """The fewest rows from which stacking is a candidate: any number."""
        return 0

    def take(self, rows: Array) -> "NumberOutputs":
        """Return the outputs for some rows, by number."""
        return NumberOutputs(self.means[:, rows], self.variances[:, rows])

    def of(self, members: Array) -> "NumberOutputs":
        """Return the outputs of some members, by place."""
        return NumberOutputs(self.means[members], self.variances[members])

    def combined(self, combiner: Combiner) -> NumberPrediction:
        """Return the combined prediction, with the calibration of the combiner."""
        mean, aleatoric, epistemic = combiner.mixture(self.means, self.variances)
        return NumberPrediction(mean, aleatoric + epistemic)

    def likelihood(self, targets: Array, row_weights: Floats) -> Likelihood:
        """Return the likelihood of targets (R, D), for row weights (R,) that sum to 1."""
        return NumberLikelihood.build(self.means, self.variances, targets, row_weights)

    def strata(self, targets: Array) -> Array:
        """Return what rows (R,) are stratified by in folds: all alike."""
        return np.zeros(len(targets), np.int64)

    def checked(self, targets: Array) -> Array:
        """Return targets (R, D) in float64; ValueError where they do not fit the outputs."""
        if targets.shape != self.means.shape[1:] or not np.isfinite(targets).all():
            raise ValueError(f"targets must be finite numbers {self.means.shape[1:]}")
        return targets.astype(np.float64)


Outputs = ClassOutputs | NumberOutputs


def _require(values: Floats, what: str) -> None:
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"{what} must have three axes, none of them empty, got {values.shape}")
    for place, member in enumerate(values):
        if not np.isfinite(member).all():
            raise ValueError(f"{what} of member {place}, counted from 0, are not all finite")
