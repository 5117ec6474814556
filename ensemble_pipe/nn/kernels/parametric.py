"""Compiled mixtures of inputs and their activations, and learned scales of features.

Inputs are (A, R, C) with A = M, or 1 where all learners share them; other arrays (M, R, C), R rows
of C channels; alpha and scale (M, C).
"""

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel


@kernel
def mix(inputs: Floats, curve: Floats, alpha: Floats, outputs: Floats) -> None:
    """outputs = x + alpha (f - x) for the inputs x and their activations f, the curve."""
    learners, rows, columns = outputs.shape
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for r in range(rows):
            for c in range(columns):
                x = source[r, c]
                outputs[m, r, c] = x + alpha[m, c] * (curve[m, r, c] - x)


@kernel
def mix_backward(
    gradient: Floats,
    inputs: Floats,
    curve: Floats,
    alpha: Floats,
    curve_gradient: Floats,
    alpha_gradient: Floats,
) -> None:
    """Divide the gradient of `mix`: curve_gradient = alpha gradient; gradient *= 1 - alpha.

    alpha_gradient (M, C) = sum of gradient (f - x) over rows.
    """
    learners, rows, columns = gradient.shape
    one = gradient.dtype.type(1)
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        alpha_gradient[m, :] = 0
        for r in range(rows):
            for c in range(columns):
                value, own = gradient[m, r, c], alpha[m, c]
                alpha_gradient[m, c] += value * (curve[m, r, c] - source[r, c])
                curve_gradient[m, r, c] = own * value
                gradient[m, r, c] = (one - own) * value


@kernel
def add(gradient: Floats, other: Floats) -> None:
    """gradient += other, in place."""
    learners, rows, columns = gradient.shape
    for m in range(learners):
        for r in range(rows):
            for c in range(columns):
                gradient[m, r, c] += other[m, r, c]


@kernel
def scale_features(inputs: Floats, scale: Floats, outputs: Floats) -> None:
    """outputs = scale x for the inputs x."""
    learners, rows, columns = outputs.shape
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for r in range(rows):
            for c in range(columns):
                outputs[m, r, c] = scale[m, c] * source[r, c]


@kernel
def scale_features_backward(
    gradient: Floats, inputs: Floats, scale: Floats, scale_gradient: Floats
) -> None:
    """gradient *= scale, in place; scale_gradient (M, C) = sum of gradient x over rows."""
    learners, rows, columns = gradient.shape
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        scale_gradient[m, :] = 0
        for r in range(rows):
            for c in range(columns):
                value = gradient[m, r, c]
                scale_gradient[m, c] += value * source[r, c]
                gradient[m, r, c] = scale[m, c] * value
