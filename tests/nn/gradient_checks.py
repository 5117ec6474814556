"""The gradient check: against finite differences, in float64, by random projection.

Two evaluations of a loss along a random direction give the slope that gradient . direction must
equal, for all parameters at once; each learner's loss is compared on its own.
"""

from collections.abc import Callable

import numpy as np

from ensemble_pipe.core.arrays import Floats

STEP = 1e-6
DIRECTIONS = 3


def check_gradient(loss: Callable[[Floats], Floats], point: Floats, gradient: Floats) -> None:
    """Refuse a gradient that is not the slope of the loss along random directions.

    Args:
        loss: each learner's loss (M,) at a point.
        point: (M, ...), or (...) shared by all learners.
        gradient: (M, ...).
    """
    random = np.random.default_rng(99)
    for _ in range(DIRECTIONS):
        direction = random.standard_normal(point.shape)
        ahead, behind = loss(point + STEP * direction), loss(point - STEP * direction)
        along = (gradient * direction).reshape(len(gradient), -1).sum(axis=1)
        np.testing.assert_allclose((ahead - behind) / (2 * STEP), along, rtol=1e-6, atol=1e-8)
