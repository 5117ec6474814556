"""The update rules of `optim.adaptive`, compiled; `updates` says what their arguments are."""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.optim.kernels.updates import OWN, add_penalties, shares


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
                gradient = add_penalties(g[p], weight, scale, l1, l2)
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
                gradient = add_penalties(g[p], weight, scale, l1, l2)
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
                gradient = add_penalties(g[p], weight, scale, l1, l2)
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
                gradient = add_penalties(g[p], weight, scale, l1, l2)
                mean = keep1 * u[p] + new1 * gradient
                square = keep2 * v[p] + new2 * gradient * gradient
                u[p] = mean
                v[p] = square
                change = move * mean / (np.sqrt(square) * correction2 + floor)
                w[p] = weight - (change + decay * weight)
