"""Compiled classification losses: each learner's weighted mean over its batch, and the gradient.

Formulas stand in `nn.losses.classification`. Costs of a row are found in the type of the logits and
summed in float64. A weighted row counts weight / N.
"""

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.compilation import kernel


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
        total = 0.0
        for n in range(rows):
            label = labels[m, n]
            highest = logits[m, n, 0]
            for o in range(1, classes):
                highest = max(highest, logits[m, n, o])
            normaliser = kind(0)
            for o in range(classes):
                power = np.exp(logits[m, n, o] - highest)
                gradient[m, n, o] = power
                normaliser += power
            # Differences first: they are exact where large logits are not.
            cost = np.log(normaliser) + sharp * (highest - logits[m, n, label])
            if smooth > 0:
                for o in range(classes):
                    cost += floor * (highest - logits[m, n, o])
            weight = kind(weights[m, n])
            scale = each * weight
            total += float(weight) * cost
            share, lift = scale / normaliser, scale * floor
            for o in range(classes):
                gradient[m, n, o] = share * gradient[m, n, o] - lift
            gradient[m, n, label] -= scale * sharp
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
        total = 0.0
        for n in range(rows):
            highest = logits[m, n, 0]
            for o in range(1, classes):
                highest = max(highest, logits[m, n, o])
            normaliser = kind(0)
            for o in range(classes):
                power = np.exp(logits[m, n, o] - highest)
                gradient[m, n, o] = power
                normaliser += power
            cost = np.log(normaliser)
            weight = kind(weights[m, n])
            scale = each * weight
            share = scale / normaliser
            for o in range(classes):
                target = sharp * kind(targets[m, n, o]) + floor
                cost += target * (highest - logits[m, n, o])
                gradient[m, n, o] = share * gradient[m, n, o] - scale * target
            total += float(weight) * cost
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
