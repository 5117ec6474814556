"""Whether probabilities come true: confidence against accuracy, by bins. R rows, O classes.

Rows of one probability share a bin, so bins are made of the runs of a ranking by probability (see
`ranking`): T of C rankings.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.ranking import Counts, ranked
from ensemble_pipe.ensemble.kernels.calibration import add_to_bins

ECE_BINS = 15

# binning(scores (T,), counts, bins) returns the bin (T,) of each run, 0 to bins - 1.
Binning = Callable[[Floats, Counts, int], Integers]


def equal_width(scores: Floats, counts: Counts, bins: int) -> Integers:
    """Return bins of equal width between 0 and 1, each open on its left, closed on its right."""
    place: Integers = np.clip(np.ceil(scores * bins).astype(int) - 1, 0, bins - 1)
    return place


def equal_mass(scores: Floats, counts: Counts, bins: int) -> Integers:
    """Return bins of equally many rows, in order of score; rows of one score share a bin."""
    rows = counts.totals(counts.rows)[counts.ranking]
    place: Integers = counts.lower_rows * bins // rows
    return place


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


def reliability(probabilities: Floats, labels: Integers, bins: int = ECE_BINS) -> Reliability:
    """Group rows by the probability of the predicted class, in bins of equal width.

    Args:
        probabilities: (R, O).
        labels: (R,).
        bins: how many.
    """
    scores, counts = confidences(probabilities, labels)
    rows, stated, true = (sums[0] for sums in _by_bin(scores, counts, bins, equal_width))
    held = rows > 0
    share = rows[held] / len(labels)
    return Reliability(stated[held] / rows[held], true[held] / rows[held], share)


def confidences(probabilities: Floats, labels: Integers) -> tuple[Floats, Counts]:
    """Return the ranking of rows by the probability of the predicted class, right ones above.

    Args:
        probabilities: (R, O).
        labels: (R,).
    """
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(labels)), predicted]
    return ranked(confidence[None], (predicted == labels)[None])


def calibration_errors(
    scores: Floats, counts: Counts, bins: int = ECE_BINS, binning: Binning = equal_width
) -> Floats:
    """Return the mean (C,) over rows of |confidence - accuracy| of their bin.

    Of the predicted classes (`confidences`) it is the expected calibration error: with bins of
    equal width that of Guo et al. 2017, equation 3; with bins of equal mass that of Nguyen &
    O'Connor 2015. The mean over classes of the error of each class's own probability is, with bins
    of equal width, the class-wise ECE (Kull et al. 2019; "static" in Nixon et al. 2019); with bins
    of equal mass the adaptive calibration error (Nixon et al. 2019), whose bins weigh alike as they
    hold equally many rows. A class without rows counts: its probability ought to be 0.

    Args:
        scores: (T,), probabilities of rankings whose upper rows are those where they came true.
        counts: of these.
        bins: how many.
        binning: where they lie.
    """
    rows, stated, true = _by_bin(scores, counts, bins, binning)
    errors: Floats = np.abs(stated - true).sum(axis=1) / rows.sum(axis=1)
    return errors


def _by_bin(scores: Floats, counts: Counts, bins: int, binning: Binning) -> Array:
    """Return sums (3, C, B): of rows, of their probabilities, of those that came true."""
    rankings = len(counts.starts)
    place = binning(scores, counts, bins) + bins * counts.ranking
    sums = np.zeros((3, rankings * bins))
    add_to_bins(place, counts.rows, scores * counts.rows, counts.above, sums)
    return sums.reshape(3, rankings, bins)
