"""Compiled regression losses: each learner's weighted mean over its batch, and the gradient.

Formulas stand in `nn.losses.regression` and `nn.losses.gaussian`. Costs are found in the type of
the outputs and summed in float64. Targets are (M, N, D). A weighted row counts weight / N.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel

HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)


@kernel
def squared_error(
    outputs: Floats, targets: Floats, weights: Floats, gradient: Floats, losses: Floats
) -> None:
    """`SquaredError`."""
    learners, rows, columns = outputs.shape
    kind = outputs.dtype.type
    each = kind(1) / kind(rows)
    for m in range(learners):
        total = 0.0
        for n in range(rows):
            weight = kind(weights[m, n])
            scale = each * weight
            for o in range(columns):
                error = outputs[m, n, o] - targets[m, n, o]
                gradient[m, n, o] = scale * error
                total += 0.5 * weight * error * error
        losses[m] = total / rows


@kernel
def absolute_error(
    outputs: Floats, targets: Floats, weights: Floats, gradient: Floats, losses: Floats
) -> None:
    """`AbsoluteError`."""
    learners, rows, columns = outputs.shape
    kind = outputs.dtype.type
    each = kind(1) / kind(rows)
    for m in range(learners):
        total = 0.0
        for n in range(rows):
            weight = kind(weights[m, n])
            scale = each * weight
            for o in range(columns):
                error = outputs[m, n, o] - targets[m, n, o]
                gradient[m, n, o] = scale * np.sign(error)
                total += float(weight) * abs(error)
        losses[m] = total / rows


@kernel
def huber(
    outputs: Floats,
    targets: Floats,
    weights: Floats,
    delta: Floats,
    gradient: Floats,
    losses: Floats,
) -> None:
    """`Huber`."""
    learners, rows, columns = outputs.shape
    kind = outputs.dtype.type
    each = kind(1) / kind(rows)
    for m in range(learners):
        bend = kind(delta[m])
        total = 0.0
        for n in range(rows):
            weight = kind(weights[m, n])
            scale = each * weight
            for o in range(columns):
                error = outputs[m, n, o] - targets[m, n, o]
                if abs(error) <= bend:
                    gradient[m, n, o] = scale * error
                    total += 0.5 * weight * error * error
                else:
                    gradient[m, n, o] = scale * bend * np.sign(error)
                    total += weight * bend * (abs(error) - 0.5 * bend)
        losses[m] = total / rows


@kernel
def gaussian_nll(
    outputs: Floats,
    targets: Floats,
    weights: Floats,
    floor: Floats,
    beta: Floats,
    gradient: Floats,
    losses: Floats,
) -> None:
    """`GaussianNLL` where beta is 0, otherwise `BetaNLL`; outputs are (M, N, 2 D)."""
    learners, rows, columns = targets.shape
    kind = outputs.dtype.type
    one, half = kind(1), kind(0.5)
    each = one / kind(rows)
    for m in range(learners):
        least, power = kind(floor[m]), kind(beta[m])
        total = 0.0
        for n in range(rows):
            weight = kind(weights[m, n])
            scale = each * weight
            for d in range(columns):
                raw = outputs[m, n, columns + d]
                tail = np.exp(-abs(raw))
                # softplus(raw) and its slope, the logistic function, without overflow.
                variance = least + max(raw, kind(0)) + np.log1p(tail)
                slope = (one if raw > 0 else tail) / (one + tail)
                log_variance = np.log(variance)
                error = outputs[m, n, d] - targets[m, n, d]
                precision = one / variance
                square = precision * error * error
                # Not part of what is differentiated: Seitzer's stop-gradient.
                held = np.exp(power * log_variance)
                total += weight * held * (0.5 * (log_variance + square) + HALF_LOG_TWO_PI)
                steepness = scale * held * precision
                gradient[m, n, d] = steepness * error
                gradient[m, n, columns + d] = steepness * half * (one - square) * slope
        losses[m] = total / rows
