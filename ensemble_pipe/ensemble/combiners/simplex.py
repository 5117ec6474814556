"""Weights that minimise the NLL, and the optimality gap that certifies it.

Weights (K,) are none below 0 and sum to 1: they lie on the probability simplex.
"""

import numpy as np
import numpy.typing as npt

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.ensemble.combiners.aims import MetricLoss
from ensemble_pipe.ensemble.combiners.likelihood import Likelihood

_GAP = 1e-9  # in nats; at most this much is left to be won on the fitting rows
_STEPS = 100
_SMALLEST = 1e-7  # a weight below it is none
_SHARES = (0.5, 0.25, 0.125, 0.0625, 0.03125)  # by which a direct search moves
_MOVES = 50  # at most so many of one share


def simplex_gap(likelihood: Likelihood, weights: Floats) -> float:
    """Return how far weights (K,) are from the Karush-Kuhn-Tucker conditions, in nats.

    With g the gradient of the NLL: max_k (w . g - g_k), which is 0 where the conditions hold and
    above 0 elsewhere (the gap of Frank & Wolfe 1956). Mixtures of classes are convex in the
    weights; no others then have an NLL that is lower by more than this.
    """
    gradient = likelihood.gradient(weights)
    return float(weights @ gradient - gradient.min())


def best_weights(likelihood: Likelihood) -> Floats:
    """Return the weights (K,) of lowest NLL on the simplex.

    They are the best there are for classes. For numbers the NLL is not convex: the weights are a
    local minimum, and never worse than equal ones. Of a metric without a gradient they are what a
    direct search finds.
    """
    if isinstance(likelihood, MetricLoss):
        return _direct_search(likelihood)
    if likelihood.is_convex:
        return _best_mixture(likelihood)
    return _best_moments(likelihood)


def _direct_search(loss: MetricLoss) -> Floats:
    """Search without a gradient (Hooke & Jeeves 1961, "Direct search" solution of numerical and
    statistical problems").

    From the better of equal weights and those of the lowest NLL it moves to the best of: a share of
    all weight given to a member, or a member left out; by smaller shares once none is better. Of
    moves that are alike the first is taken.
    """
    equal: Floats = np.full(loss.members, 1 / loss.members)
    weights = min((equal, best_weights(loss.likelihood)), key=loss.at)
    value, (some, fewer) = loss.at(weights), _left_out(loss, weights)
    for share in _SHARES:
        for _ in range(_MOVES):
            values = np.append(loss.towards(weights, share), fewer)
            best = int(np.argmin(values))
            if value - values[best] <= _GAP:
                break
            weights, value = _moved(weights, share, some, best), values[best]
            some, fewer = _left_out(loss, weights)
    return weights


def _left_out(loss: MetricLoss, weights: Floats) -> tuple[Integers, Floats]:
    """Return the members that can be left out, and the loss without each."""
    some = np.flatnonzero((weights > 0) & (weights < 1))
    return some, loss.without(weights, some)


def _moved(weights: Floats, share: float, some: Integers, move: int) -> Floats:
    """Return weights (K,) with a share given to a member, or without one of some members."""
    if move < len(weights):
        return np.asarray((1 - share) * weights + share * np.eye(len(weights))[move])
    others = weights.copy()
    others[some[move - len(weights)]] = 0.0
    others /= others.sum()
    return others


def _best_mixture(likelihood: Likelihood) -> Floats:
    """Sequential quadratic programming (Kim, Carbonetto, Stephens & Anitescu 2020, "A fast
    algorithm for maximum likelihood estimation of mixture proportions using sequential quadratic
    programming").

    Minimises NLL + sum_k w_k over w >= 0, whose solution sums to 1 by itself.
    """
    weights = np.full(likelihood.members, 1 / likelihood.members)
    for _ in range(_STEPS):
        if simplex_gap(likelihood, weights) <= _GAP:
            break
        target = _quadratic_step(likelihood, weights)
        shorter = _line_search(likelihood, weights, target)
        if shorter is None:
            break
        weights = shorter / shorter.sum()
    return weights


def _quadratic_step(likelihood: Likelihood, weights: Floats) -> Floats:
    """Return the minimum over w >= 0 of the second-order model around the weights, (K,)."""
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    ratios = likelihood.statistics[0] / likelihood.totals(weights)[0]  # p_k / sum_j w_j p_j
    hessian = (ratios * likelihood.rows) @ ratios.T
    # Members that are alike leave it singular; a penalty on the step alone moves no minimum.
    penalty = 1e-9 * np.trace(hessian)
    linear = 1 - 2 * (ratios @ likelihood.rows) - penalty * weights
    root = np.linalg.cholesky(hessian + penalty * np.eye(len(weights)))
    found: Floats = nnls(root.T, -solve_triangular(root, linear, lower=True))[0]
    return found


def _line_search(likelihood: Likelihood, weights: Floats, target: Floats) -> Floats | None:
    """Return weights towards the target, by halves, that are better; None where there are none."""
    before = likelihood.at(weights) + weights.sum()
    share = 1.0
    while share > 1e-6:
        tried = weights + share * (target - weights)
        if tried.any() and likelihood.at(tried) + tried.sum() < before:
            return tried
        share /= 2
    return None


def _best_moments(likelihood: Likelihood) -> Floats:
    from scipy.optimize import LinearConstraint, minimize

    equal = np.full(likelihood.members, 1 / likelihood.members)

    def nll(weights: npt.NDArray[np.float64]) -> float:  # scipy's types are narrower than ours
        return likelihood.at(weights)

    def gradient(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return likelihood.gradient(weights).astype(np.float64)

    found = minimize(
        nll,
        equal,
        jac=gradient,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * likelihood.members,
        constraints=LinearConstraint(np.ones((1, likelihood.members)), 1, 1),
        options={"ftol": 1e-12, "maxiter": 300},
    )
    weights = np.where(found.x > _SMALLEST, found.x, 0.0)
    weights /= weights.sum()
    return weights if likelihood.at(weights) < likelihood.at(equal) else equal
