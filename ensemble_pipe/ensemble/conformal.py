"""Split-conformal prediction: sets of classes and intervals with a guaranteed coverage.

The threshold is fitted on rows that neither training nor the choice of the ensemble has used. New
rows like those are then covered with at least the stated probability, whatever the predictor (Vovk
et al. 2005; Lei et al. 2018). Coverage is over all rows, not for each kind of row.
"""

from math import ceil, inf
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.settings import settings

SetMethod = Literal["lac", "aps"]


@settings
class Conformal:
    """A fitted conformal predictor.

    Attributes:
        method: "lac": a class is in the set if its probability is large enough, which makes the
            smallest sets, at times empty ones (Sadinle et al. 2019). "aps": classes come in by
            falling probability until enough mass has come in, so that the most probable one always
            is, and sets grow with uncertainty (Romano et al. 2020, without its random draw: covers
            more than stated where the most probable class alone does). "normalized": intervals of
            so many standard deviations on each side of the mean (Lei et al. 2018).
        coverage: the stated share of rows, between 0 and 1.
        threshold: the largest score that is let in; None where there were too few rows for the
            coverage, fewer than coverage / (1 - coverage). Then only the set of all classes, or the
            infinite interval, is sure to cover so much, and that is what rows get.
    """

    method: Literal["lac", "aps", "normalized"]
    coverage: Annotated[float, Gt(0), Lt(1)]
    threshold: Annotated[float, Ge(0)] | None

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage ({self.coverage}) must lie between 0 and 1")

    def sets(self, probabilities: Floats) -> Array:
        """Return which classes are in each row's set, (R, O) bool, for probabilities (R, O)."""
        if self.method == "normalized":
            raise ValueError("this conformal predictor is for numbers: it has intervals, not sets")
        if self.threshold is None:
            return np.ones(probabilities.shape, bool)
        inside: Array = _SCORES[self.method](probabilities) <= self.threshold
        return inside

    def interval(self, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
        """Return the lowest and the highest number of each interval.

        Args:
            mean, deviation: of one shape, and in the target's units.
        """
        if self.method != "normalized":
            raise ValueError("this conformal predictor is for classes: it has sets, not intervals")
        half = deviation * (inf if self.threshold is None else self.threshold)
        return mean - half, mean + half


def conformal_sets(
    probabilities: Floats, labels: Integers, coverage: float, method: SetMethod = "aps"
) -> Conformal:
    """Fit sets of classes.

    Args:
        probabilities: (R, O), of rows not used before.
        labels: (R,).
        coverage: between 0 and 1.
        method: see `Conformal`.
    """
    scores = _SCORES[method](probabilities)[np.arange(len(labels)), labels]
    return Conformal(method=method, coverage=coverage, threshold=_quantile(scores, coverage))


def conformal_interval(
    mean: Floats, deviation: Floats, targets: Floats, coverage: float
) -> Conformal:
    """Fit intervals of one number; several targets take one `Conformal` each.

    Args:
        mean, deviation: (R,), of rows not used before; deviations above 0.
        targets: (R,).
        coverage: between 0 and 1.
    """
    scores = np.abs(targets - mean) / deviation
    return Conformal(method="normalized", coverage=coverage, threshold=_quantile(scores, coverage))


def _quantile(scores: Floats, coverage: float) -> float | None:
    """Return the ceil((R + 1) coverage)-th smallest of R scores; None where R is less than that."""
    # Rounded, for 20 * 0.55 is just above 11 in binary.
    rank = ceil(round((len(scores) + 1) * coverage, 9))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else None


def _one_minus(probabilities: Floats) -> Floats:
    return 1.0 - probabilities


def _mass_above(probabilities: Floats) -> Floats:
    """Return for each class (R, O) the mass of those more probable than it, the same for equals."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    falling = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(falling, axis=1)[:, :-1]
    new = falling[:, 1:] < falling[:, :-1]
    above = np.zeros_like(falling)
    above[:, 1:] = np.maximum.accumulate(np.where(new, before, 0.0), axis=1)
    found = np.empty_like(above)
    np.put_along_axis(found, order, above, axis=1)
    return found


_SCORES = {"lac": _one_minus, "aps": _mass_above}
