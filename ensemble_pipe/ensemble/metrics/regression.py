"""How good Gaussian predictions of numbers are. R rows, D targets."""

from collections.abc import Sequence
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
    values = _by_target(mean, deviation, targets)
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


def _by_target(mean: Floats, deviation: Floats, targets: Floats) -> dict[str, Floats]:
    """Return each measure as (D,), or as a number for arrays (R,)."""
    from scipy.special import ndtri

    error = targets - mean
    variance = deviation**2
    half = float(ndtri((1 + COVERAGE) / 2)) * deviation
    found = {
        "rmse": np.sqrt(np.mean(error**2, axis=0)),
        "mae": np.mean(np.abs(error), axis=0),
        "nll": np.mean(0.5 * np.log(2 * pi * variance) + error**2 / (2 * variance), axis=0),
        "crps": np.mean(gaussian_crps(mean, deviation, targets), axis=0),
        "coverage_90": np.mean(np.abs(error) <= half, axis=0),
        "width_90": np.mean(2 * half, axis=0),
    }
    if np.any(np.ptp(targets, axis=0) == 0):
        return found
    return found | {"r2": 1 - found["rmse"] ** 2 / np.var(targets, axis=0)}
