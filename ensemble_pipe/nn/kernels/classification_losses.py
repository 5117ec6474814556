"""Compiled classification losses: each learner's weighted mean over its batch, and the gradient.

Formulas stand in `nn.losses.classification`. Costs of a row are found in the type of the logits and
summed in float64. A weighted row counts weight / N.
"""

from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.elementary import exponential

Real = np.floating[Any]

_LEAST = -60.0  # exponents below it count as minus infinity


@kernel
def _highest(values: Floats) -> Real:
    """Return the largest of a row of numbers, by four chains that run side by side."""
    count = len(values)
    a = b = c = d = values[0]
    for o in range(0, count - 3, 4):
        a, b = max(a, values[o]), max(b, values[o + 1])
        c, d = max(c, values[o + 2]), max(d, values[o + 3])
    for o in range(count - count % 4, count):
        a = max(a, values[o])
    return max(max(a, b), max(c, d))


@kernel
def _sum(values: Floats) -> Real:
    """Return the sum of a row of numbers, in four chains as `_highest`."""
    count = len(values)
    a = b = c = d = values.dtype.type(0)
    for o in range(0, count - 3, 4):
        a, b = a + values[o], b + values[o + 1]
        c, d = c + values[o + 2], d + values[o + 3]
    for o in range(count - count % 4, count):
        a += values[o]
    return (a + b) + (c + d)


@kernel
def _subtract_highest(logits: Floats, differences: Floats) -> None:
    """differences (N, O) = logits (N, O) less the highest of their row: costs are sums of these."""
    rows, classes = logits.shape
    for n in range(rows):
        highest = _highest(logits[n])
        for o in range(classes):
            differences[n, o] = logits[n, o] - highest


@kernel
def _raise(values: Floats) -> None:
    """values = exp(values), in place; all rows at once, since one is often short for a vector.

    What is smaller than any share of a sum that begins with 1 could show is 0.
    """
    flat, zero, least = values.reshape(-1), values.dtype.type(0), values.dtype.type(_LEAST)
    for place in range(len(flat)):
        value = flat[place]
        flat[place] = zero if value < least else exponential(value)


@kernel
def softmax_cross_entropy(
    logits: Floats,
    labels: Integers,
    weights: Floats,
    smoothing: Floats,
    gradient: Floats,
    losses: Floats,
) -> None:
    """`CrossEntropy` with class numbers (M, N)."""
    learners, rows, classes = logits.shape
    kind = logits.dtype.type
    each = kind(1) / kind(rows)
    for m in range(learners):
        smooth = kind(smoothing[m])
        sharp, floor = kind(1) - smooth, smooth / kind(classes)
        total, own = 0.0, gradient[m]
        _subtract_highest(logits[m], own)
        for n in range(rows):
            cost = -sharp * own[n, labels[m, n]]
            if smooth > 0:
                for o in range(classes):
                    cost -= floor * own[n, o]
            total += float(kind(weights[m, n])) * float(cost)
        _raise(own)
        for n in range(rows):
            weight, normaliser = kind(weights[m, n]), _sum(own[n])
            total += float(weight) * float(np.log(normaliser))
            scale = each * weight
            share, lift = scale / normaliser, scale * floor
            for o in range(classes):
                own[n, o] = share * own[n, o] - lift
            own[n, labels[m, n]] -= scale * sharp
        losses[m] = total / rows


@kernel
def soft_cross_entropy(
    logits: Floats,
    targets: Floats,
    weights: Floats,
    smoothing: Floats,
    gradient: Floats,
    losses: Floats,
) -> None:
    """`CrossEntropy` with a share of each class (M, N, O); each row's shares sum to 1."""
    learners, rows, classes = logits.shape
    kind = logits.dtype.type
    each = kind(1) / kind(rows)
    for m in range(learners):
        smooth = kind(smoothing[m])
        sharp, floor = kind(1) - smooth, smooth / kind(classes)
        total, own = 0.0, gradient[m]
        _subtract_highest(logits[m], own)
        for n in range(rows):
            cost = kind(0)
            for o in range(classes):
                cost -= (sharp * kind(targets[m, n, o]) + floor) * own[n, o]
            total += float(kind(weights[m, n])) * float(cost)
        _raise(own)
        for n in range(rows):
            weight, normaliser = kind(weights[m, n]), _sum(own[n])
            total += float(weight) * float(np.log(normaliser))
            scale = each * weight
            share = scale / normaliser
            for o in range(classes):
                target = sharp * kind(targets[m, n, o]) + floor
                own[n, o] = share * own[n, o] - scale * target
        losses[m] = total / rows


@kernel
def binary_cross_entropy(
    logits: Floats,
    targets: Array,
    weights: Floats,
    smoothing: Floats,
    gradient: Floats,
    losses: Floats,
) -> None:
    """`BinaryCrossEntropy` with class numbers or shares of class 1 (M, N)."""
    learners, rows = targets.shape
    kind = logits.dtype.type
    each = kind(1) / kind(rows)
    for m in range(learners):
        smooth = kind(smoothing[m])
        sharp, floor = kind(1) - smooth, kind(0.5) * smooth
        total = 0.0
        for n in range(rows):
            logit = logits[m, n, 0]
            one = sharp * kind(targets[m, n]) + floor
            zero = sharp * (kind(1) - kind(targets[m, n])) + floor
            tail = np.exp(-abs(logit))
            # The likelier class and the other; neither probability is 1 minus a rounded one.
            likely = kind(1) / (kind(1) + tail)
            unlikely = tail * likely
            # What was bet against costs the logit's size beyond the log of the normaliser.
            against = zero if logit > 0 else one
            weight = kind(weights[m, n])
            scale = each * weight
            total += float(weight) * (np.log1p(tail) + against * abs(logit))
            if logit > 0:
                gradient[m, n, 0] = scale * (zero * likely - one * unlikely)
            else:
                gradient[m, n, 0] = scale * (zero * unlikely - one * likely)
        losses[m] = total / rows


@kernel
def hinge(
    scores: Floats,
    labels: Integers,
    weights: Floats,
    margin: Floats,
    gradient: Floats,
    losses: Floats,
) -> None:
    """`Hinge` with class numbers (M, N)."""
    learners, rows, classes = scores.shape
    kind = scores.dtype.type
    each = kind(1) / kind(rows)
    for m in range(learners):
        distance = kind(margin[m])
        total = 0.0
        for n in range(rows):
            label = labels[m, n]
            weight = kind(weights[m, n])
            scale = each * weight
            cost, pull = kind(0), kind(0)
            for o in range(classes):
                violation = scores[m, n, o] - scores[m, n, label] + distance
                # Asked this way round, a NaN counts, and stays one.
                if o == label or violation <= 0:
                    gradient[m, n, o] = kind(0)
                else:
                    cost += violation
                    pull += scale
                    gradient[m, n, o] = scale
            gradient[m, n, label] = -pull
            total += float(weight) * float(cost)
        losses[m] = total / rows
