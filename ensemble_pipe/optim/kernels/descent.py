"""The update rules of `optim.descent`, compiled; `updates` says what their arguments are."""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.optim.kernels.updates import OWN, add_penalties, shares


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
                moved = keep * v[p] + add_penalties(g[p], weight, scale, l1, l2)
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
                gradient = add_penalties(g[p], weight, scale, l1, l2)
                moved = keep * v[p] + gradient
                v[p] = moved
                w[p] = weight - (move * (keep * moved + gradient) + decay * weight)
