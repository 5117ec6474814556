"""Measures of diversity among members, and of its effect on the ensemble's loss.

Shapes: K members, R rows, O classes, D regression targets. Means are over pairs of two members, of
which a single member has none. Where a measure of a pair is a sum of products, its mean over all
pairs follows from sums over members, and takes no matrix (K, K).
"""

from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.ensemble.combiners import log_softmax
from ensemble_pipe.ensemble.uncertainty import total_weight, weighted
from ensemble_pipe.nn.blas import one_thread

# A probability of zero has this logarithm, so that what is measured stays finite.
_LOWEST = float(np.log(np.finfo(np.float64).tiny))


def classification_diversity(
    logits: Floats, labels: Integers, weights: Floats | None = None
) -> dict[str, float]:
    """Return measures of how classifiers differ; an empty dict for one member.

    Args:
        logits: (K, R, O).
        labels: (R,).
        weights: (K,) of the ensemble, which only the ambiguity depends on; equal by default.

    Returns:
        The mean over pairs of `disagreement`, `q_statistic`, `error_correlation` and `kl`, as the
        functions below have them; and `ambiguity`, the mean member's NLL minus the ensemble's.
    """
    if len(logits) < 2:
        return {}
    predicted = np.stack([member.argmax(axis=1) for member in logits])
    counts = joint_counts(predicted == labels)
    return {
        "disagreement": mean_disagreement(predicted, logits.shape[2]),
        "q_statistic": _mean_of_pairs(q_statistic(*counts)),
        "error_correlation": _mean_of_pairs(error_correlation(*counts)),
        "kl": mean_kl(logits),
        "ambiguity": nll_decomposition(logits, labels, weights).ambiguity,
    }


def regression_diversity(
    means: Floats, targets: Floats, weights: Floats | None = None
) -> dict[str, float]:
    """Return measures of how predictors of numbers differ; an empty dict for one member.

    Args:
        means: (K, R, D).
        targets: (R, D).
        weights: (K,) of the ensemble, which only the ambiguity depends on; equal by default.

    Returns:
        `residual_correlation`, the mean over pairs; and `ambiguity`, the mean member's squared
        error minus the ensemble's.
    """
    if len(means) < 2:
        return {}
    return {
        "residual_correlation": mean_residual_correlation(means - targets),
        "ambiguity": squared_error_decomposition(means, targets, weights).ambiguity,
    }


class Decomposition(NamedTuple):
    """An ensemble's loss: its members' mean loss minus their ambiguity, which is never negative."""

    ensemble: float
    members: float
    ambiguity: float


def squared_error_decomposition(
    means: Floats, targets: Floats, weights: Floats | None = None
) -> Decomposition:
    """Return the decomposition of the mean squared error (Krogh & Vedelsby 1995).

    The ambiguity is the weighted mean squared distance of the members from the ensemble.

    Args:
        means: (K, R, D).
        targets: (R, D).
        weights: (K,) that sum to 1; equal ones by default.
    """
    whole = total_weight(means, weights)
    mean = np.zeros(means.shape[1:])
    for weight, member in weighted(means, weights):
        mean += weight * member
    mean /= whole
    members = ambiguity = 0.0
    for weight, member in weighted(means, weights):
        members += weight * float(np.mean((member - targets) ** 2))
        ambiguity += weight * float(np.mean((member - mean) ** 2))
    return Decomposition(float(np.mean((mean - targets) ** 2)), members / whole, ambiguity / whole)


def nll_decomposition(
    logits: Floats, labels: Integers, weights: Floats | None = None
) -> Decomposition:
    """Return the decomposition of the NLL of the mean probability, in nats.

    The ambiguity is the mean log of the ensemble's probability of the true class over the geometric
    mean of the members', at least 0 by Jensen's inequality.

    Args:
        logits: (K, R, O).
        labels: (R,).
        weights: (K,) that sum to 1; equal ones by default.
    """
    rows = np.arange(len(labels))
    pairs = [(weight, _logs(member)[rows, labels]) for weight, member in weighted(logits, weights)]
    shares = np.array([[weight] for weight, _ in pairs])
    shares /= shares.sum()
    of_true = np.stack([values for _, values in pairs])
    largest = of_true.max(axis=0)
    mixed = np.log((shares * np.exp(of_true - largest)).sum(axis=0))
    ensemble = -float(np.mean(largest + mixed))
    members = -float(np.mean((shares * of_true).sum(axis=0)))
    return Decomposition(ensemble, members, max(members - ensemble, 0.0))


def mean_disagreement(predicted: Integers, classes: int) -> float:
    """Return the mean over pairs of the share of rows on which their classes (K, R) differ.

    Where n_o members vote for class o, K^2 - sum_o n_o^2 ordered pairs differ.
    """
    members, rows = predicted.shape
    votes = np.bincount((np.arange(rows) * classes + predicted).ravel(), minlength=rows * classes)
    differing = members**2 * rows - int(votes @ votes)
    return float(differing / (members * (members - 1) * rows))


def joint_counts(correct: Array) -> tuple[Floats, Floats, Floats, Floats]:
    """Return rows (K, K) on which both are right, neither, only the first, only the second.

    Args:
        correct: (K, R) bool, who is right on which row.
    """
    right = correct.astype(np.float64)  # whole numbers: exact in any order
    with one_thread():
        both = right @ right.T
    own = np.diag(both)
    first = own[:, None] - both
    return both, right.shape[1] - own - first, first, first.T


def q_statistic(both: Floats, neither: Floats, first: Floats, second: Floats) -> Floats:
    """Return Yule's Q (K, K) of who is right on which row (Kuncheva & Whitaker 2003).

    From -1, never wrong together, by 0, independent, to 1, wrong on the same rows. Where it is 0/0,
    as for a member that is always right, it is 0.

    Args:
        both, neither, first, second: (K, K) of `joint_counts`.
    """
    agreeing, differing = both * neither, first * second
    return _ratio(agreeing - differing, agreeing + differing)


def error_correlation(both: Floats, neither: Floats, first: Floats, second: Floats) -> Floats:
    """Return the correlation (K, K) of being wrong (Kuncheva & Whitaker 2003).

    A member that is always right, or always wrong, has a correlation of 0 with each.

    Args:
        both, neither, first, second: (K, K) of `joint_counts`.
    """
    margins = (both + first) * (neither + second) * (both + second) * (neither + first)
    return _ratio(both * neither - first * second, np.sqrt(margins))


def mean_kl(logits: Floats) -> float:
    """Return the mean over ordered pairs and rows of KL(p_i || p_j) in nats, for logits (K, R, O).

    The sum over pairs of p_i (log p_i - log p_j) is K times that of p_i log p_i, less the product
    of the sums of p_i and of log p_j.
    """
    members, rows, _ = logits.shape
    own = np.zeros(logits.shape[1:])
    probabilities, logarithms = np.zeros_like(own), np.zeros_like(own)
    for member in logits:
        logs = _logs(member)
        values = np.exp(logs)
        own += values * logs
        probabilities += values
        logarithms += logs
    total = float(np.sum(members * own - probabilities * logarithms))
    return float(max(total, 0.0) / (members * (members - 1) * rows))


def mean_residual_correlation(residuals: Floats) -> float:
    """Return the mean over pairs of the correlation of residuals (K, R, D), and over targets.

    Residuals that are all the same have a correlation of 0 with any. With residuals standardised to
    unit vectors u, the sum over pairs of u_i u_j is that of the squared sum of all less K.
    """
    members, _, targets = residuals.shape
    total, squares = np.zeros(residuals.shape[1:]), 0.0
    for member in residuals:
        centred = member - member.mean(axis=0)
        unit = _ratio(centred, np.broadcast_to(np.sqrt((centred**2).sum(axis=0)), centred.shape))
        total += unit
        squares += float(np.sum(unit**2))
    return float((np.sum(total**2) - squares) / (members * (members - 1) * targets))


def _logs(logits: Floats) -> Floats:
    """Return log-probabilities, float64 and finite, for logits (..., O)."""
    return np.maximum(log_softmax(logits), _LOWEST)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)


def _mean_of_pairs(matrix: Floats) -> float:
    return float(np.mean(matrix[~np.eye(len(matrix), dtype=bool)]))
