"""Compiled update rules: one pass over (M, P) rows, with each learner's own numbers."""

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.kernels import kernel


@kernel
def sgd(rows: Floats, gradients: Floats, velocity: Floats, rate: Floats, momentum: Floats) -> None:
    """See `optim.rules.SGD`; rate and momentum are (M,) of the rows' type."""
    learners, size = rows.shape
    for m in range(learners):
        step, keep = rate[m], momentum[m]
        for p in range(size):
            moved = keep * velocity[m, p] + gradients[m, p]
            velocity[m, p] = moved
            rows[m, p] -= step * moved


@kernel
def adam(
    rows: Floats,
    gradients: Floats,
    first: Floats,
    second: Floats,
    rate: Floats,
    beta1: Floats,
    beta2: Floats,
    add1: Floats,
    add2: Floats,
    epsilon: Floats,
    correction1: Floats,
    correction2: Floats,
) -> None:
    """See `optim.rules.Adam`; all numbers are (M,) of the rows' type.

    add1 and add2 are 1 - beta; correction1 is 1 / (1 - beta1**t), correction2 is
    1 / sqrt(1 - beta2**t).
    """
    learners, size = rows.shape
    for m in range(learners):
        keep1, keep2, new1, new2 = beta1[m], beta2[m], add1[m], add2[m]
        step, scale, floor = rate[m] * correction1[m], correction2[m], epsilon[m]
        for p in range(size):
            gradient = gradients[m, p]
            mean = keep1 * first[m, p] + new1 * gradient
            square = keep2 * second[m, p] + new2 * gradient * gradient
            first[m, p] = mean
            second[m, p] = square
            rows[m, p] -= step * mean / (np.sqrt(square) * scale + floor)
