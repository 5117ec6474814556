"""Measures of diversity among members, and of its effect on the ensemble's loss.

Shapes: K members, R rows, O classes, D regression targets. Matrices (K, K) compare each member with
each; the means in the dicts are over pairs of two members. A single member has no pairs.
"""

from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.ensemble.uncertainty import total_weight, weighted
from ensemble_pipe.nn.blas import one_thread

# A probability of zero has this logarithm, so that what is measured stays finite.
_LOWEST = float(np.log(np.finfo(np.float64).tiny))
_BLOCK_NUMBERS = 1_000_000  # log-probabilities held at once: 8 MB


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
        functions below say; and `ambiguity`, the mean member's NLL minus the ensemble's.
    """
    if len(logits) < 2:
        return {}
    predicted = logits.argmax(axis=2)
    correct = predicted == labels
    return {
        "disagreement": _mean_of_pairs(pairwise_disagreement(predicted)),
        "q_statistic": _mean_of_pairs(q_statistic(correct)),
        "error_correlation": _mean_of_pairs(error_correlation(correct)),
        "kl": _mean_of_pairs(pairwise_kl(logits)),
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
        "residual_correlation": _mean_of_pairs(residual_correlation(means - targets)),
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
    from scipy.special import logsumexp

    rows = np.arange(len(labels))
    pairs = [(weight, _logs(member)[rows, labels]) for weight, member in weighted(logits, weights)]
    shares = np.array([[weight] for weight, _ in pairs])
    shares /= shares.sum()
    of_true = np.stack([values for _, values in pairs])
    ensemble = -float(np.mean(logsumexp(of_true, axis=0, b=shares)))
    members = -float(np.mean((shares * of_true).sum(axis=0)))
    return Decomposition(ensemble, members, max(members - ensemble, 0.0))


def pairwise_disagreement(predicted: Integers) -> Floats:
    """Return the share of rows (K, K) on which two members' classes (K, R) differ."""
    return np.stack([(predicted != one).mean(axis=1) for one in predicted])


def q_statistic(correct: Array) -> Floats:
    """Return Yule's Q (K, K) of who is right on which row (Kuncheva & Whitaker 2003).

    From -1, never wrong together, by 0, independent, to 1, wrong on the same rows. Where it is 0/0,
    as for a member that is always right, it is 0.

    Args:
        correct: (K, R) bool.
    """
    both, neither, first, second = _joint_counts(correct)
    agreeing, differing = both * neither, first * second
    return _ratio(agreeing - differing, agreeing + differing)


def error_correlation(correct: Array) -> Floats:
    """Return the correlation (K, K) of being wrong (Kuncheva & Whitaker 2003).

    A member that is always right, or always wrong, has a correlation of 0 with each.

    Args:
        correct: (K, R) bool.
    """
    both, neither, first, second = _joint_counts(correct)
    margins = (both + first) * (neither + second) * (both + second) * (neither + first)
    return _ratio(both * neither - first * second, np.sqrt(margins))


def pairwise_kl(logits: Floats) -> Floats:
    """Return the mean over rows of KL(p_i || p_j) in nats, (K, K), for logits (K, R, O)."""
    members, rows, classes = logits.shape
    step = max(1, _BLOCK_NUMBERS // (members * classes))
    cross = np.zeros((members, members))
    with one_thread():
        for start in range(0, rows, step):
            logs = _logs(logits[:, start : start + step]).reshape(members, -1)
            cross += np.exp(logs) @ logs.T
    divergence: Floats = np.maximum(np.diag(cross)[:, None] - cross, 0.0) / rows
    return divergence


def residual_correlation(residuals: Floats) -> Floats:
    """Return the correlation (K, K) of members' residuals (K, R, D), the mean over targets.

    Residuals that are all the same have a correlation of 0 with any.
    """
    centred = residuals.astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    with one_thread():
        by_target = centred.transpose(2, 0, 1)
        products = by_target @ by_target.transpose(0, 2, 1)
    scale = np.sqrt(np.einsum("dii->di", products))
    correlations: Floats = _ratio(products, scale[:, :, None] * scale[:, None, :]).mean(axis=0)
    return correlations


def _logs(logits: Floats) -> Floats:
    """Return log-probabilities, float64 and finite, for logits (..., O)."""
    from scipy.special import log_softmax

    return np.maximum(log_softmax(logits.astype(np.float64), axis=-1), _LOWEST)


def _joint_counts(correct: Array) -> tuple[Floats, Floats, Floats, Floats]:
    """Return rows (K, K) on which both are right, neither, only the first, only the second."""
    right = correct.astype(np.float64)  # whole numbers: exact in any order
    both, first = right @ right.T, right @ (1 - right).T
    return both, (1 - right) @ (1 - right).T, first, first.T


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)


def _mean_of_pairs(matrix: Floats) -> float:
    return float(np.mean(matrix[~np.eye(len(matrix), dtype=bool)]))
