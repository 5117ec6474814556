"""Compiled update rules: one pass over the trainable numbers, with each learner's own settings.

Every kernel has the same arguments around its slots:

    rows: (M, P); gradients and slots: (M, T), of the same type.
    spans: (S, 2) int64, first position of each segment and the one after its last.
    effects: (S, 2), a factor of the rate, and 1 where penalties and decay apply or else 0.
    numbers: (M, C) float64, each learner's settings in the columns named below.
    rate: (M,) float64.
    scales: (M,) float64, factors of the gradients (see `norms.clip`).
    step: how many steps were taken before this one.

Settings stay in float64 until the row's type is needed: float32 loses the digits of 1 - beta.
"""

from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
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
    return real(move), real(l1), real(l2), real(move * numbers[m, WEIGHT_DECAY] * penalty)


@kernel
def penalised(gradient: Real, weight: Real, scale: Real, l1: Real, l2: Real) -> Real:
    """Return scale gradient + l2 weight + l1 sign(weight)."""
    zero = l1 - l1
    sign = l1 if weight > zero else (-l1 if weight < zero else zero)
    return scale * gradient + (l2 * weight + sign)


@kernel
def sgd(
    rows: Floats,
    gradients: Floats,
    velocity: Floats,
    spans: Integers,
    effects: Floats,
    numbers: Floats,
    rate: Floats,
    scales: Floats,
    step: int,
) -> None:
    """See `optim.descent.SGD`; OWN is the momentum."""
    real = rows.dtype.type
    for m in range(len(rows)):
        keep, scale = real(numbers[m, OWN]), real(scales[m])
        for s in range(len(spans)):
            start, stop = spans[s, 0], spans[s, 1]
            move, l1, l2, decay = shares(rows, effects, numbers, rate, m, s)
            w, g, v = rows[m, start:stop], gradients[m, start:stop], velocity[m, start:stop]
            for p in range(len(w)):
                weight = w[p]
                moved = keep * v[p] + penalised(g[p], weight, scale, l1, l2)
                v[p] = moved
                w[p] = weight - (move * moved + decay * weight)


@kernel
def nesterov(
    rows: Floats,
    gradients: Floats,
    velocity: Floats,
    spans: Integers,
    effects: Floats,
    numbers: Floats,
    rate: Floats,
    scales: Floats,
    step: int,
) -> None:
    """See `optim.descent.Nesterov`; OWN is the momentum."""
    real = rows.dtype.type
    for m in range(len(rows)):
        keep, scale = real(numbers[m, OWN]), real(scales[m])
        for s in range(len(spans)):
            start, stop = spans[s, 0], spans[s, 1]
            move, l1, l2, decay = shares(rows, effects, numbers, rate, m, s)
            w, g, v = rows[m, start:stop], gradients[m, start:stop], velocity[m, start:stop]
            for p in range(len(w)):
                weight = w[p]
                gradient = penalised(g[p], weight, scale, l1, l2)
                moved = keep * v[p] + gradient
                v[p] = moved
                w[p] = weight - (move * (keep * moved + gradient) + decay * weight)


@kernel
def adagrad(
    rows: Floats,
    gradients: Floats,
    total: Floats,
    spans: Integers,
    effects: Floats,
    numbers: Floats,
    rate: Floats,
    scales: Floats,
    step: int,
) -> None:
    """See `optim.adaptive.Adagrad`; OWN is epsilon."""
    real = rows.dtype.type
    for m in range(len(rows)):
        floor, scale = real(numbers[m, OWN]), real(scales[m])
        for s in range(len(spans)):
            start, stop = spans[s, 0], spans[s, 1]
            move, l1, l2, decay = shares(rows, effects, numbers, rate, m, s)
            w, g, t = rows[m, start:stop], gradients[m, start:stop], total[m, start:stop]
            for p in range(len(w)):
                weight = w[p]
                gradient = penalised(g[p], weight, scale, l1, l2)
                square = t[p] + gradient * gradient
                t[p] = square
                w[p] = weight - (move * gradient / (np.sqrt(square) + floor) + decay * weight)


@kernel
def adadelta(
    rows: Floats,
    gradients: Floats,
    squares: Floats,
    moves: Floats,
    spans: Integers,
    effects: Floats,
    numbers: Floats,
    rate: Floats,
    scales: Floats,
    step: int,
) -> None:
    """See `optim.adaptive.Adadelta`; OWN is rho, then epsilon."""
    real = rows.dtype.type
    for m in range(len(rows)):
        rho, floor, scale = numbers[m, OWN], real(numbers[m, OWN + 1]), real(scales[m])
        keep, new = real(rho), real(1.0 - rho)
        for s in range(len(spans)):
            start, stop = spans[s, 0], spans[s, 1]
            move, l1, l2, decay = shares(rows, effects, numbers, rate, m, s)
            w, g = rows[m, start:stop], gradients[m, start:stop]
            u, v = squares[m, start:stop], moves[m, start:stop]
            for p in range(len(w)):
                weight = w[p]
                gradient = penalised(g[p], weight, scale, l1, l2)
                square = keep * u[p] + new * gradient * gradient
                change = np.sqrt((v[p] + floor) / (square + floor)) * gradient
                u[p] = square
                v[p] = keep * v[p] + new * change * change
                w[p] = weight - (move * change + decay * weight)


@kernel
def rmsprop(
    rows: Floats,
    gradients: Floats,
    squares: Floats,
    spans: Integers,
    effects: Floats,
    numbers: Floats,
    rate: Floats,
    scales: Floats,
    step: int,
) -> None:
    """See `optim.adaptive.RMSprop`; OWN is rho, then epsilon."""
    real = rows.dtype.type
    for m in range(len(rows)):
        rho, floor, scale = numbers[m, OWN], real(numbers[m, OWN + 1]), real(scales[m])
        keep, new = real(rho), real(1.0 - rho)
        for s in range(len(spans)):
            start, stop = spans[s, 0], spans[s, 1]
            move, l1, l2, decay = shares(rows, effects, numbers, rate, m, s)
            w, g, u = rows[m, start:stop], gradients[m, start:stop], squares[m, start:stop]
            for p in range(len(w)):
                weight = w[p]
                gradient = penalised(g[p], weight, scale, l1, l2)
                square = keep * u[p] + new * gradient * gradient
                u[p] = square
                w[p] = weight - (move * gradient / (np.sqrt(square) + floor) + decay * weight)


@kernel
def adam(
    rows: Floats,
    gradients: Floats,
    first: Floats,
    second: Floats,
    spans: Integers,
    effects: Floats,
    numbers: Floats,
    rate: Floats,
    scales: Floats,
    step: int,
) -> None:
    """See `optim.adaptive.Adam`; OWN is beta1, then beta2, then epsilon."""
    real = rows.dtype.type
    for m in range(len(rows)):
        beta1, beta2 = numbers[m, OWN], numbers[m, OWN + 1]
        keep1, keep2, new1, new2 = real(beta1), real(beta2), real(1.0 - beta1), real(1.0 - beta2)
        correction1 = real(1.0 / (1.0 - beta1 ** (step + 1)))
        correction2 = real(1.0 / np.sqrt(1.0 - beta2 ** (step + 1)))
        floor, scale = real(numbers[m, OWN + 2]), real(scales[m])
        for s in range(len(spans)):
            start, stop = spans[s, 0], spans[s, 1]
            move, l1, l2, decay = shares(rows, effects, numbers, rate, m, s)
            move *= correction1
            w, g = rows[m, start:stop], gradients[m, start:stop]
            u, v = first[m, start:stop], second[m, start:stop]
            for p in range(len(w)):
                weight = w[p]
                gradient = penalised(g[p], weight, scale, l1, l2)
                mean = keep1 * u[p] + new1 * gradient
                square = keep2 * v[p] + new2 * gradient * gradient
                u[p] = mean
                v[p] = square
                change = move * mean / (np.sqrt(square) * correction2 + floor)
                w[p] = weight - (change + decay * weight)


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
