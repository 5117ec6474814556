"""Compiled passes over activations and losses.

Each kernel goes over learners, then rows, then columns, and sums in that order, so that a learner's
bits depend on its own numbers alone. All run on float32 and float64 alike.
"""

import numpy as np

from ensemble_pipe.arrays import Floats, Integers
from ensemble_pipe.kernels import kernel


@kernel
def linear_forward(outputs: Floats, bias: Floats) -> None:
    """outputs (M, N, O) += bias (M, O), in place."""
    learners, rows, columns = outputs.shape
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                outputs[m, n, o] += bias[m, o]


@kernel
def linear_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    """bias_gradient (M, O) = sum of gradient (M, N, O) over rows."""
    learners, rows, columns = gradient.shape
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                bias_gradient[m, o] += gradient[m, n, o]


@kernel
def relu_forward(outputs: Floats, bias: Floats) -> None:
    """outputs (M, N, O) = max(outputs + bias, 0), in place; a NaN stays one."""
    learners, rows, columns = outputs.shape
    zero = outputs.dtype.type(0)
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                value = outputs[m, n, o] + bias[m, o]
                outputs[m, n, o] = zero if value < zero else value


@kernel
def relu_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    """gradient (M, N, O) *= (outputs > 0), in place; bias_gradient as in `linear_backward`."""
    learners, rows, columns = gradient.shape
    zero = gradient.dtype.type(0)
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                value = gradient[m, n, o] if outputs[m, n, o] > zero else zero
                gradient[m, n, o] = value
                bias_gradient[m, o] += value


@kernel
def tanh_forward(outputs: Floats, bias: Floats) -> None:
    """outputs (M, N, O) = tanh(outputs + bias), in place."""
    learners, rows, columns = outputs.shape
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                outputs[m, n, o] = np.tanh(outputs[m, n, o] + bias[m, o])


@kernel
def tanh_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    """gradient (M, N, O) *= 1 - outputs**2, in place; bias_gradient as in `linear_backward`."""
    learners, rows, columns = gradient.shape
    one = gradient.dtype.type(1)
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                value = gradient[m, n, o] * (one - outputs[m, n, o] * outputs[m, n, o])
                gradient[m, n, o] = value
                bias_gradient[m, o] += value


@kernel
def softmax_cross_entropy(
    logits: Floats, labels: Integers, gradient: Floats, losses: Floats
) -> None:
    """Loss and gradient of softmax cross-entropy; see `nn.losses.cross_entropy`."""
    learners, rows, classes = logits.shape
    scale = logits.dtype.type(1) / logits.dtype.type(rows)
    for m in range(learners):
        total = 0.0
        for n in range(rows):
            label = labels[m, n]
            highest = logits[m, n, 0]
            for o in range(1, classes):
                highest = max(highest, logits[m, n, o])
            normaliser = logits.dtype.type(0)
            for o in range(classes):
                value = np.exp(logits[m, n, o] - highest)
                gradient[m, n, o] = value
                normaliser += value
            # Differences first: they are exact where large logits are not.
            total += np.log(normaliser) + (highest - logits[m, n, label])
            for o in range(classes):
                gradient[m, n, o] *= scale / normaliser
            gradient[m, n, label] -= scale
        losses[m] = total / rows


@kernel
def squared_error(outputs: Floats, targets: Floats, gradient: Floats, losses: Floats) -> None:
    """Loss and gradient of half the squared error; see `nn.losses.squared_error`."""
    learners, rows, columns = outputs.shape
    scale = outputs.dtype.type(1) / outputs.dtype.type(rows)
    for m in range(learners):
        total = 0.0
        for n in range(rows):
            for o in range(columns):
                error = outputs[m, n, o] - targets[m, n]
                gradient[m, n, o] = scale * error
                total += 0.5 * error * error
        losses[m] = total / rows
