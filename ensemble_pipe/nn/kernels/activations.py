"""Compiled activations, fused with the bias of the layer before them."""

import numpy as np

from ensemble_pipe.arrays import Floats
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
