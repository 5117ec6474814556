"""The metrics that training, stopping and combining can aim at: names, direction, arithmetic.

They are scikit-learn's, as the tests say. R rows, O classes, D targets.
"""

from typing import Literal, get_args

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.gaussians import gaussian_scores
from ensemble_pipe.core.ranking import auroc, ranked

ClassMetric = Literal["nll", "brier", "accuracy", "balanced_accuracy", "f1", "auroc"]
NumberMetric = Literal["nll", "rmse", "mae", "crps"]
Metric = ClassMetric | NumberMetric

# Of which more is better; of all others less.
MAXIMIZED = frozenset({"accuracy", "balanced_accuracy", "f1", "auroc"})
# What depends on the decided class alone.
DECIDED = ("accuracy", "balanced_accuracy", "f1")
CHANCE = 0.5


def metrics_for(task: str) -> tuple[str, ...]:
    """Return the names of the metrics of "classification" or "regression"."""
    return get_args(ClassMetric if task == "classification" else NumberMetric)


def loss_of(name: str, value: float) -> float:
    """Return the value of a metric as what is to be low: less it, where more is better."""
    return -value if name in MAXIMIZED else value


def class_rows(probabilities: Floats, labels: Integers) -> dict[str, Floats]:
    """Return what `accuracy`, `nll` and `brier` are means of, (R,) each.

    Args:
        probabilities: (R, O).
        labels: (R,) class numbers.
    """
    rows = np.arange(len(labels))
    smallest = np.finfo(probabilities.dtype).eps  # as in scikit-learn's log_loss
    true = np.clip(probabilities[rows, labels], smallest, 1 - smallest)
    errors = probabilities.copy()
    errors[rows, labels] -= 1.0
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return {"accuracy": right, "nll": -np.log(true), "brier": (errors**2).sum(axis=1)}


def class_metric(name: str, probabilities: Floats, labels: Integers) -> float:
    """Return a metric of class probabilities; chance where it is not defined for these labels.

    Args:
        name: of `ClassMetric`.
        probabilities: (R, O) float64.
        labels: (R,) class numbers.
    """
    if name in DECIDED:
        return decided_metrics(probabilities.argmax(axis=1), labels, probabilities.shape[1])[name]
    if name != "auroc":
        return float(np.mean(class_rows(probabilities, labels)[name]))
    places = np.arange(probabilities.shape[1])
    scores = probabilities[:, 1:].T if len(places) == 2 else probabilities.T
    own = labels == (places[1:] if len(places) == 2 else places)[:, None]
    known = own.any(axis=1) & ~own.all(axis=1) & ~np.isnan(scores).any(axis=1)
    if not known.any():
        return CHANCE
    return float(np.mean(auroc(ranked(scores[known], own[known])[1])))


def decided_metrics(decided: Integers, labels: Integers, classes: int) -> dict[str, float]:
    """Return the metrics of `DECIDED`.

    Args:
        decided: (R,) class numbers.
        labels: (R,) class numbers.
        classes: O.

    Returns:
        `accuracy`; `balanced_accuracy`, the mean recall of the classes that have rows; `f1`, of
        class 1 where there are two, else the mean over the classes that are true or decided for
        some row.
    """
    counts = confusion(decided, labels, classes)
    _, recall, f1 = precision_recall_f1(counts)
    own = f1[1:] if classes == 2 else f1
    return {
        "accuracy": float(np.mean(decided == labels)),
        "balanced_accuracy": float(np.nanmean(recall)),
        "f1": 0.0 if np.isnan(own).all() else float(np.nanmean(own)),
    }


def number_metric(name: str, mean: Floats, deviation: Floats, targets: Floats) -> float:
    """Return a metric of Gaussians, the mean over targets of each one's own.

    Args:
        name: of `NumberMetric`.
        mean, deviation: (R, D); deviations above 0.
        targets: (R, D).
    """
    if name in ("rmse", "mae"):
        error = targets - mean
        each = np.mean(np.abs(error) if name == "mae" else error**2, axis=0)
        return float(np.mean(np.sqrt(each) if name == "rmse" else each))
    return float(np.mean(gaussian_scores(mean, deviation, targets)[name]))


def confusion(predicted: Integers, labels: Integers, classes: int) -> Integers:
    """Return counts (O, O): rows are true classes, columns predicted ones."""
    places = labels.astype(np.int64) * classes + predicted
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)


def precision_recall_f1(counts: Integers) -> tuple[Array, Array, Array]:
    """Return the precision, recall and F1 score (O,) of each class; NaN where they are 0 / 0.

    Args:
        counts: (O, O) of `confusion`.
    """
    hits, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    pairs = (hits, predicted), (hits, true), (2 * hits, true + predicted)
    precision, recall, f1 = (
        np.divide(top, bottom, out=np.full(len(hits), np.nan), where=bottom > 0)
        for top, bottom in pairs
    )
    return precision, recall, f1
