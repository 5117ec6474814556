"""How good predictions are. R rows, O classes."""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.arrays import Array, Floats, Integers

ECE_BINS = 15


def classification_metrics(probabilities: Floats, labels: Integers) -> dict[str, float]:
    """Return accuracy, negative log-likelihood, Brier score and expected calibration error.

    Args:
        probabilities: (R, O) float64, rows summing to 1.
        labels: (R,) class numbers.

    Returns:
        `accuracy`; `nll` in nats; `brier`, the squared distance to the one-hot label summed over
        classes (Brier 1950), 0 to 2; `ece` over 15 bins of equal width.
    """
    from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

    classes = np.arange(probabilities.shape[1])
    return {
        "accuracy": float(accuracy_score(labels, probabilities.argmax(axis=1))),
        "nll": float(log_loss(labels, probabilities, labels=classes)),
        "brier": float(
            brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False)
        ),
        "ece": expected_calibration_error(probabilities, labels),
    }


def regression_metrics(mean: Floats, deviation: Floats, targets: Floats) -> dict[str, float]:
    """Return root mean squared error, mean absolute error and Gaussian NLL, in target units.

    Args:
        mean, deviation: (R,), of the predictive distribution.
        targets: (R,).
    """
    error = targets - mean
    variance = deviation**2
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "nll": float(np.mean(0.5 * np.log(2 * np.pi * variance) + error**2 / (2 * variance))),
    }


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, by bins of equal width that hold rows.

    Attributes:
        confidence, accuracy: mean of each bin, (B,).
        share: of all rows in each bin, (B,).
    """

    confidence: Floats
    accuracy: Floats
    share: Floats


def reliability(probabilities: Floats, labels: Integers, bins: int = ECE_BINS) -> Reliability:
    """Group rows by the probability of the predicted class.

    Args:
        probabilities: (R, O).
        labels: (R,).
        bins: number of bins between 0 and 1; each is open on its left and closed on its right.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    return Reliability(
        np.bincount(place, confidence, bins)[held] / count[held],
        np.bincount(place, correct, bins)[held] / count[held],
        count[held] / len(labels),
    )


def expected_calibration_error(
    probabilities: Floats, labels: Integers, bins: int = ECE_BINS
) -> float:
    """Return the mean over rows of |confidence - accuracy| of their bin (Guo et al. 2017)."""
    groups = reliability(probabilities, labels, bins)
    return float(np.sum(groups.share * np.abs(groups.confidence - groups.accuracy)))


def confusion(predicted: Integers, labels: Integers, classes: int) -> Array:
    """Return counts (O, O): rows are true classes, columns predicted ones."""
    from sklearn.metrics import confusion_matrix

    counts: Array = confusion_matrix(labels, predicted, labels=np.arange(classes))
    return counts
