"""How good class probabilities are, as one dict of numbers. R rows, O classes."""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.metrics import decided_metrics
from ensemble_pipe.core.ranking import auroc, average_precision, ranked
from ensemble_pipe.ensemble.metrics.calibration import (
    calibration_errors,
    confidences,
    equal_mass,
)
from ensemble_pipe.ensemble.metrics.row_values import class_values

_BLOCK_NUMBERS = 1_000_000  # probabilities that are sorted at once: 8 MB


def classification_metrics(probabilities: Floats, labels: Integers) -> dict[str, float]:
    """Return every measure of class probabilities that is defined for these labels.

    Args:
        probabilities: (R, O) float64, rows summing to 1.
        labels: (R,) class numbers.

    Returns:
        `accuracy`, `balanced_accuracy` and `f1` (see `decided_metrics`); `nll` in nats; `brier`,
        the squared distance to the one-hot label summed over classes (Brier 1950), 0 to 2; `ece`
        over 15 bins of equal width and `ece_mass` over 15 bins of equally many rows; `ace`
        (adaptive) and `classwise_ece`, means over all classes (see
        `calibration.calibration_errors`); `top_3_accuracy` and `top_5_accuracy` where there are
        more classes than that. Where rows are of two classes or more, `auroc` and `auprc`, which
        is average precision: of class 1 where there are two, and else the mean of each class
        against the rest, over those that have rows.
    """
    rows, classes = probabilities.shape
    found = {name: one.over() for name, one in class_values(probabilities, labels).items()}
    found |= decided_metrics(probabilities.argmax(axis=1), labels, classes)
    sure = confidences(probabilities, labels)
    found["ece"] = float(calibration_errors(*sure)[0])
    found["ece_mass"] = float(calibration_errors(*sure, binning=equal_mass)[0])
    step = max(1, _BLOCK_NUMBERS // rows)
    blocks = [
        _of_classes(probabilities[:, start : start + step].T, labels, start)
        for start in range(0, classes, step)
    ]
    each = {name: np.concatenate([one[name] for one in blocks]) for name in blocks[0]}
    for name in ("ace", "classwise_ece"):
        found[name] = float(np.mean(each[name]))
    for name in ("auroc", "auprc"):
        values = each[name][1:] if classes == 2 else each[name]
        known = values[~np.isnan(values)]
        if len(known):
            found[name] = float(np.mean(known))
    places = places_of_truth(probabilities, labels)
    top = {f"top_{k}_accuracy": float(np.mean(places < k)) for k in (3, 5) if classes > k}
    return found | top


def _of_classes(scores: Floats, labels: Integers, first: int) -> dict[str, Floats]:
    """Return the measures (C,) of the probabilities (C, R) of some classes, from `first` on.

    A class that has no row, or all of them, cannot be ranked: there they are NaN.
    """
    own = labels == np.arange(first, first + len(scores))[:, None]
    runs, counts = ranked(scores, own)
    unranked = np.isnan(scores).any(axis=1)
    with np.errstate(invalid="ignore"):
        return {
            "ace": calibration_errors(runs, counts, binning=equal_mass),
            "classwise_ece": calibration_errors(runs, counts),
            "auroc": np.where(unranked, np.nan, auroc(counts)),
            "auprc": np.where(unranked | own.all(axis=1), np.nan, average_precision(counts)),
        }


def places_of_truth(probabilities: Floats, labels: Integers) -> Integers:
    """Return how many classes (R,) come before the true one by falling probability.

    Of equally probable classes the last ones come first, as in scikit-learn's top-k accuracy.
    """
    true = probabilities[np.arange(len(labels)), labels][:, None]
    later = np.arange(probabilities.shape[1]) > labels[:, None]
    before = (probabilities > true) | ((probabilities == true) & later)
    places: Integers = before.sum(axis=1)
    return places
