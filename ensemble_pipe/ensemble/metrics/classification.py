"""How good class probabilities are, as one dict of numbers. R rows, O classes."""

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.ensemble.metrics.calibration import (
    classwise_calibration_error,
    equal_mass,
    expected_calibration_error,
)
from ensemble_pipe.ensemble.metrics.ranking import (
    auroc,
    average_precision,
    counts_of,
    places_of,
)


def classification_metrics(probabilities: Floats, labels: Integers) -> dict[str, float]:
    """Return every measure of class probabilities that is defined for these labels.

    Args:
        probabilities: (R, O) float64, rows summing to 1.
        labels: (R,) class numbers.

    Returns:
        `accuracy`; `nll` in nats; `brier`, the squared distance to the one-hot label summed over
        classes (Brier 1950), 0 to 2; `ece` over 15 bins of equal width and `ece_mass` over 15 bins
        of equally many rows; `ace` (adaptive) and `classwise_ece`, over all classes (see
        `calibration`); `top_3_accuracy` and `top_5_accuracy` where there are more classes than
        that; and the ranking measures of `ranking_metrics`.
    """
    from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, top_k_accuracy_score

    classes = np.arange(probabilities.shape[1])
    found = {
        "accuracy": accuracy_score(labels, probabilities.argmax(axis=1)),
        "nll": log_loss(labels, probabilities, labels=classes),
        "brier": brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False),
        "ece": expected_calibration_error(probabilities, labels),
        "ece_mass": expected_calibration_error(probabilities, labels, binning=equal_mass),
        "ace": classwise_calibration_error(probabilities, labels, binning=equal_mass),
        "classwise_ece": classwise_calibration_error(probabilities, labels),
        **ranking_metrics(probabilities, labels),
    }
    for k in (3, 5):
        if len(classes) > k:
            found[f"top_{k}_accuracy"] = top_k_accuracy_score(
                labels, probabilities, k=k, labels=classes
            )
    return {name: float(value) for name, value in found.items()}


def ranking_metrics(probabilities: Floats, labels: Integers) -> dict[str, float]:
    """Return `auroc`, and `auprc` as average precision: of class 1 where there are two classes.

    Of many classes it is the mean of each against the rest, over the classes that have rows. Where
    all rows are of one class neither is defined, and both are left out.
    """
    present = np.unique(labels)
    if len(present) < 2:
        return {}
    if probabilities.shape[1] == 2:
        present = present[1:]
    counts = [
        counts_of(*places_of(scores[labels != one], scores[labels == one]))
        for one, scores in ((one, probabilities[:, one]) for one in present)
    ]
    return {
        "auroc": float(np.mean([auroc(*pair) for pair in counts])),
        "auprc": float(np.mean([average_precision(*pair) for pair in counts])),
    }


def confusion(predicted: Integers, labels: Integers, classes: int) -> Array:
    """Return counts (O, O): rows are true classes, columns predicted ones."""
    from sklearn.metrics import confusion_matrix

    counts: Array = confusion_matrix(labels, predicted, labels=np.arange(classes))
    return counts
