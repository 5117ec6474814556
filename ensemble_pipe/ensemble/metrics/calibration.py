"""Whether probabilities come true: confidence against accuracy, by bins. R rows, O classes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers

ECE_BINS = 15

# binning(scores (R,), bins) returns the bin (R,) of each row, 0 to bins - 1.
Binning = Callable[[Floats, int], Integers]


def equal_width(scores: Floats, bins: int) -> Integers:
    """Return bins of equal width between 0 and 1, each open on its left, closed on its right."""
    place: Integers = np.clip(np.ceil(scores * bins).astype(int) - 1, 0, bins - 1)
    return place


def equal_mass(scores: Floats, bins: int) -> Integers:
    """Return bins of equally many rows, in order of score; rows of one score share a bin."""
    below: Integers = np.searchsorted(np.sort(scores), scores)
    return below * bins // len(scores)


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, by the bins that hold rows.

    Attributes:
        confidence, accuracy: mean of each bin, (B,).
        share: of all rows in each bin, (B,).
    """

    confidence: Floats
    accuracy: Floats
    share: Floats

    @property
    def error(self) -> float:
        """The mean over rows of |confidence - accuracy| of their bin."""
        return float(np.sum(self.share * np.abs(self.confidence - self.accuracy)))


def reliability(
    probabilities: Floats, labels: Integers, bins: int = ECE_BINS, binning: Binning = equal_width
) -> Reliability:
    """Group rows by the probability of the predicted class.

    Args:
        probabilities: (R, O).
        labels: (R,).
        bins: how many.
        binning: where they lie.
    """
    correct = probabilities.argmax(axis=1) == labels
    return _grouped(probabilities.max(axis=1), correct, bins, binning)


def expected_calibration_error(
    probabilities: Floats, labels: Integers, bins: int = ECE_BINS, binning: Binning = equal_width
) -> float:
    """Return the mean over rows of |confidence - accuracy| of their bin.

    Guo et al. 2017, equation 3, with bins of equal width; with bins of equal mass Nguyen & O'Connor
    2015.
    """
    return reliability(probabilities, labels, bins, binning).error


def classwise_calibration_error(
    probabilities: Floats, labels: Integers, bins: int = ECE_BINS, binning: Binning = equal_width
) -> float:
    """Return the mean over classes of the calibration error of each class's own probability.

    With bins of equal width the class-wise ECE (Kull et al. 2019; "static" in Nixon et al. 2019);
    with bins of equal mass the adaptive calibration error (Nixon et al. 2019), whose bins weigh
    alike as they hold equally many rows. A class without rows counts: its probability ought to be
    0.
    """
    groups = (
        _grouped(scores, labels == one, bins, binning) for one, scores in enumerate(probabilities.T)
    )
    return float(np.mean([group.error for group in groups]))


def _grouped(scores: Floats, hits: Array, bins: int, binning: Binning) -> Reliability:
    """Return means by bin of scores (R,) and of what they promise, hits (R,) bool."""
    place = binning(scores, bins)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    return Reliability(
        np.bincount(place, scores, bins)[held] / count[held],
        np.bincount(place, hits, bins)[held] / count[held],
        count[held] / len(scores),
    )
