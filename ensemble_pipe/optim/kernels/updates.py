"""What the compiled update rules share: layout of arguments, clipping, penalties and limits.

Every kernel has the same arguments around its slots:

    rows: (M, P); gradients and slots: (M, T), of the same type.
    spans: (S, 2) int64, first position of each segment and the one after its last.
    effects: (S, 3), a factor of the rate; 1 where penalties apply or else 0; and a factor of the
        rate that decay is multiplied by, 0 where it does not apply.
    numbers: (M, C) float64, each learner's settings in the columns named below.
    rate: (M,) float64.
    scales: (M,) float64, factors of the gradients (see `norms.clip`).
    step: how many steps were taken before this one.

Settings stay in float64 until the row's type is needed: float32 loses the digits of 1 - beta.
"""

from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel

Real = np.floating[Any]

# Columns of `numbers`; those of the rule's own follow from OWN on.
L1, L2, WEIGHT_DECAY, CLIP_NORM, MAX_NORM, OWN = range(6)

# The least normal float32.
TINY = 1.1754943508222875e-38


@kernel
def shares(
    rows: Floats, effects: Floats, numbers: Floats, rate: Floats, m: int, s: int
) -> tuple[Real, Real, Real, Real]:
    """Return learner m's rate, l1, l2 and decay a step in segment s, of the rows' type."""
    real = rows.dtype.type
    rate_factor, penalty = effects[s, 0], effects[s, 1]
    move = rate[m] * rate_factor
    l1, l2 = numbers[m, L1] * penalty, numbers[m, L2] * penalty
    decay = rate[m] * effects[s, 2] * numbers[m, WEIGHT_DECAY]
    return real(move), real(l1), real(l2), real(decay)


@kernel
def add_penalties(gradient: Real, weight: Real, scale: Real, l1: Real, l2: Real) -> Real:
    """Return scale gradient + l2 weight + l1 sign(weight)."""
    zero = l1 - l1
    sign = l1 if weight > zero else (-l1 if weight < zero else zero)
    return scale * gradient + (l2 * weight + sign)


@kernel
def flush(slot: Floats) -> None:
    """Set to zero what is smaller than `TINY`, in place.

    What decays by a factor a step (a moment of a dead unit's weights) ends among the denormal
    numbers and stays there; arithmetic on those is more than ten times slower.
    """
    real = slot.dtype.type
    zero, tiny = real(0), real(TINY)
    for m in range(len(slot)):
        values = slot[m]
        for p in range(len(values)):
            values[p] = zero if abs(values[p]) < tiny else values[p]
