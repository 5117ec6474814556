"""Gradient boosting: the targets of each network of a chain, and its factor in their sum.

Friedman 2001, "Greedy function approximation: a gradient boosting machine", algorithm 1. A chain is
the function F = sum_r a_r f_r of networks f_r, from F = 0 on. In every round a network is fitted,
by squared error, to the negative gradient of the loss at F: the residuals for squared error, the
one-hot class minus the softmax for cross-entropy. Its factor is a = shrinkage * argmin_s of the
loss of F + s f on the stop part: on the training part, which a large network learns by heart, the
best s of a classifier has no bound.
"""

from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.losses import Loss, numbers_of

LARGEST_STEP = 100.0


@settings
class Boosting:
    """How a learner is a chain of networks.

    Attributes:
        rounds: networks in the chain.
        shrinkage: what the best factor of each is multiplied by.
    """

    numbers: ClassVar[tuple[str, ...]] = ("shrinkage",)

    rounds: Annotated[int, Ge(1)]
    shrinkage: Annotated[float, Gt(0), Le(1)]


class BoostingState(NamedTuple):
    """The factors of a chain's networks.

    Attributes:
        factors: of the networks of finished rounds, in order.
        factor: of the network in training, as at the end of its last epoch; None before the first.
    """

    factors: tuple[float, ...] = ()
    factor: float | None = None


def negative_gradient(loss: Loss, sums: Floats, targets: Array) -> Floats:
    """Return what the next network is fitted to, (R, O) float32.

    Args:
        loss: of the chain.
        sums: (R, O) float64, its outputs so far.
        targets: (R,) or (R, D), as base files hold them.
    """
    gradient = np.empty((1, *sums.shape))
    _evaluate(loss, sums, targets, np.ones(len(sums)), gradient)
    found: Floats = (-len(sums) * gradient[0]).astype(np.float32)
    return found


def best_step(loss: Loss, sums: Floats, outputs: Floats, targets: Array, weights: Floats) -> float:
    """Return the s from 0 to `LARGEST_STEP` of the lowest loss of sums + s outputs.

    Args:
        loss: of the chain.
        sums: (R, O) float64.
        outputs: (R, O), of the network to be added.
        targets: (R,) or (R, D).
        weights: (R,) of the rows in the loss.
    """
    from scipy.optimize import minimize_scalar

    exact, gradient = outputs.astype(np.float64), np.empty((1, *sums.shape))
    known = weights.astype(np.float64)

    def value(step: float) -> float:
        return _evaluate(loss, sums + step * exact, targets, known, gradient)

    with np.errstate(over="ignore", invalid="ignore"):
        found = minimize_scalar(value, bounds=(0.0, LARGEST_STEP), method="bounded")
        return float(found.x) if found.fun < value(0.0) else 0.0


def _evaluate(loss: Loss, sums: Floats, targets: Array, weights: Floats, gradient: Floats) -> float:
    """Return the loss of outputs (R, O), and write its gradient (1, R, O)."""
    losses = np.empty(1)
    loss.evaluate(sums[None], targets[None], weights[None], numbers_of([loss]), gradient, losses)
    return float(losses[0])
