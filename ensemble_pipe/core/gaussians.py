"""Scores of Gaussian predictions, of the arrays' common shape."""

from math import pi, sqrt

import numpy as np

from ensemble_pipe.core.arrays import Floats

COVERAGE = 0.9


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


def half_width(coverage: float = COVERAGE) -> float:
    """Return half the width of the central interval, in standard deviations."""
    from scipy.special import ndtri

    return float(ndtri((1 + coverage) / 2))


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
