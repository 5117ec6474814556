"""How good Gaussian predictions of numbers are. R rows, D targets."""

from collections.abc import Mapping, Sequence
from math import pi, sqrt

import numpy as np

from ensemble_pipe.core.arrays import Floats

COVERAGE = 0.9


def regression_metrics(
    mean: Floats, deviation: Floats, targets: Floats, names: Sequence[str] = ()
) -> dict[str, float]:
    """Return errors, scores and the central 90% interval of Gaussians, in the targets' own units.

    An ensemble is scored as the one Gaussian with its mixture's mean and variance (Lakshminarayanan
    et al. 2017, section 2.4). Its NLL is on average the higher of the two, by the KL divergence of
    that Gaussian from the mixture: 0.01 nats where two members lie 2 deviations of their own apart,
    0.17 at 4, and for K members far apart log(deviation / that of one member) - log K, without end.

    Args:
        mean, deviation: (R,) or (R, D), of the predictive distribution; deviations above 0.
        targets: (R,) or (R, D).
        names: (D,) of the targets; where there are several, each measure comes for each of them
            too, as "rmse/<name>".

    Returns:
        `rmse`; `mae`; `nll` in nats; `crps` (see `gaussian_crps`); `coverage_90`, the share of
        targets inside the interval; `width_90`, its mean width; and, where the targets of the rows
        differ, `r2`, the share of their variance about their own mean that the means explain. Of
        several targets, the mean over them of each target's own.
    """
    return metrics_of(gaussian_scores(mean, deviation, targets), targets, names)


def metrics_of(
    scores: Mapping[str, Floats], targets: Floats, names: Sequence[str]
) -> dict[str, float]:
    """Return the metrics of `regression_metrics` from the scores of each row.

    Args:
        scores: (R,) or (R, D), as `gaussian_scores` returns them.
        targets: (R,) or (R, D).
        names: (D,) of the targets.
    """
    values = {name: np.mean(each, axis=0) for name, each in scores.items()}
    squares = values["rmse"]
    values["rmse"] = np.sqrt(squares)
    if np.all(np.ptp(targets, axis=0) > 0):
        values["r2"] = 1 - squares / np.var(targets, axis=0)
    found = {name: float(np.mean(each)) for name, each in values.items()}
    if len(names) > 1:
        for name, each in values.items():
            for target, value in zip(names, each, strict=True):
                found[f"{name}/{target}"] = float(value)
    return found


def gaussian_crps(mean: Floats, deviation: Floats, targets: Floats) -> Floats:
    """Return the continuous ranked probability score of Gaussians, of the arrays' common shape.

    With z the standardised error, s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), in the target's
    units; lower is better (Gneiting & Raftery 2007, section 4.2, with the opposite sign).
    """
    from scipy.special import erf

    z = (targets - mean) / deviation
    density = np.exp(-(z**2) / 2) / sqrt(2 * pi)
    score: Floats = deviation * (z * erf(z / sqrt(2)) + 2 * density - 1 / sqrt(pi))
    return score


def half_width() -> float:
    """Return half the width of the central 90% interval, in standard deviations."""
    from scipy.special import ndtri

    return float(ndtri((1 + COVERAGE) / 2))


def gaussian_scores(mean: Floats, deviation: Floats, targets: Floats) -> dict[str, Floats]:
    """Return what the metrics are means of, in the common shape of the arrays.

    They have the names of the metrics; `rmse` is the root of the mean of its squared errors.
    """
    error, variance, half = targets - mean, deviation**2, half_width() * deviation
    return {
        "rmse": error**2,
        "mae": np.abs(error),
        "nll": 0.5 * np.log(2 * pi * variance) + error**2 / (2 * variance),
        "crps": gaussian_crps(mean, deviation, targets),
        "coverage_90": (np.abs(error) <= half).astype(np.float64),
        "width_90": 2 * half,
    }
