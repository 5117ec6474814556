"""Compiled activations, fused with the bias of the layer before them.

Sums and outputs are (M, R, C), R rows of C channels; biases (M, C); numbers of a learner (M,).
Where the derivative follows from the output, outputs overwrite sums; `gelu`, `silu` and `mish` keep
the biased sums and write outputs beside them.
"""

import math

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.elementary import (
    exponential,
    exponential_minus_one,
    normal_distribution,
)

# Klambauer et al. 2017, appendix A: with these, mean 0 and variance 1 are a fixed point.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
# Of Mish: beyond it the function is x to the last bit, and powers of exp(x) may overflow.
_MISH_LIMIT = 20.0
_BELL_SCALE = 1 / math.sqrt(2 * math.pi)


@kernel
def linear_forward(outputs: Floats, bias: Floats) -> None:
    """outputs += bias, in place."""
    learners, rows, columns = outputs.shape
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                outputs[m, n, o] += bias[m, o]


@kernel
def linear_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    """bias_gradient (M, C) = sum of gradient (M, R, C) over rows."""
    learners, rows, columns = gradient.shape
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                bias_gradient[m, o] += gradient[m, n, o]


@kernel
def relu_forward(outputs: Floats, bias: Floats) -> None:
    """outputs = max(outputs + bias, 0), in place; a NaN stays one."""
    learners, rows, columns = outputs.shape
    zero = outputs.dtype.type(0)
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                value = outputs[m, n, o] + bias[m, o]
                outputs[m, n, o] = zero if value < zero else value


@kernel
def relu_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    """gradient *= (outputs > 0), in place; bias_gradient as in `linear_backward`."""
    learners, rows, columns = gradient.shape
    zero = gradient.dtype.type(0)
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            # In one loop the choice would become a branch, four times as slow.
            for o in range(columns):
                gradient[m, n, o] = gradient[m, n, o] if outputs[m, n, o] > zero else zero
            for o in range(columns):
                bias_gradient[m, o] += gradient[m, n, o]


@kernel
def leaky_relu_forward(outputs: Floats, bias: Floats, slope: Floats) -> None:
    """outputs = x if x > 0 else slope x, with x = outputs + bias, in place."""
    learners, rows, columns = outputs.shape
    zero = outputs.dtype.type(0)
    for m in range(learners):
        own_slope = slope[m]
        for n in range(rows):
            for o in range(columns):
                value = outputs[m, n, o] + bias[m, o]
                outputs[m, n, o] = value if value > zero else own_slope * value


@kernel
def leaky_relu_backward(
    gradient: Floats, outputs: Floats, bias_gradient: Floats, slope: Floats
) -> None:
    """gradient *= 1 if outputs > 0 else slope, in place; bias_gradient as above."""
    learners, rows, columns = gradient.shape
    zero = gradient.dtype.type(0)
    for m in range(learners):
        own_slope = slope[m]
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                value = gradient[m, n, o]
                gradient[m, n, o] = value if outputs[m, n, o] > zero else own_slope * value
            for o in range(columns):
                bias_gradient[m, o] += gradient[m, n, o]


@kernel
def elu_forward(outputs: Floats, bias: Floats, alpha: Floats) -> None:
    """outputs = x if x > 0 else alpha (exp(x) - 1), with x = outputs + bias, in place."""
    learners, rows, columns = outputs.shape
    zero = outputs.dtype.type(0)
    for m in range(learners):
        own_alpha = alpha[m]
        for n in range(rows):
            for o in range(columns):
                value = outputs[m, n, o] + bias[m, o]
                curve = own_alpha * exponential_minus_one(value)
                outputs[m, n, o] = value if value > zero else curve


@kernel
def elu_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats, alpha: Floats) -> None:
    """gradient *= 1 if outputs > 0 else outputs + alpha, in place; bias_gradient as above."""
    learners, rows, columns = gradient.shape
    zero, one = gradient.dtype.type(0), gradient.dtype.type(1)
    for m in range(learners):
        own_alpha = alpha[m]
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                output = outputs[m, n, o]
                value = gradient[m, n, o] * (one if output > zero else output + own_alpha)
                gradient[m, n, o] = value
                bias_gradient[m, o] += value


@kernel
def selu_forward(outputs: Floats, bias: Floats) -> None:
    """outputs = s x if x > 0 else s a (exp(x) - 1), with x = outputs + bias, in place."""
    learners, rows, columns = outputs.shape
    zero, scale = outputs.dtype.type(0), outputs.dtype.type(SELU_SCALE)
    steep = outputs.dtype.type(SELU_SCALE * SELU_ALPHA)
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                value = outputs[m, n, o] + bias[m, o]
                curve = steep * exponential_minus_one(value)
                outputs[m, n, o] = scale * value if value > zero else curve


@kernel
def selu_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    """gradient *= s if outputs > 0 else outputs + s a, in place; bias_gradient as above."""
    learners, rows, columns = gradient.shape
    zero, scale = gradient.dtype.type(0), gradient.dtype.type(SELU_SCALE)
    steep = gradient.dtype.type(SELU_SCALE * SELU_ALPHA)
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                output = outputs[m, n, o]
                value = gradient[m, n, o] * (scale if output > zero else output + steep)
                gradient[m, n, o] = value
                bias_gradient[m, o] += value


@kernel
def tanh_forward(outputs: Floats, bias: Floats) -> None:
    """outputs = tanh(outputs + bias) = e / (e + 2) with e = exp(2 x) - 1, in place."""
    learners, rows, columns = outputs.shape
    two, limit = outputs.dtype.type(2), outputs.dtype.type(20)
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                value = outputs[m, n, o] + bias[m, o]
                value = limit if value > limit else value  # beyond it tanh is 1, and e may overflow
                power = exponential_minus_one(value + value)
                outputs[m, n, o] = power / (power + two)


@kernel
def tanh_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    """gradient *= 1 - outputs**2, in place; bias_gradient as above."""
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
def sigmoid_forward(outputs: Floats, bias: Floats) -> None:
    """outputs = 1 / (1 + exp(-(outputs + bias))), in place."""
    learners, rows, columns = outputs.shape
    one = outputs.dtype.type(1)
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                value = outputs[m, n, o] + bias[m, o]
                outputs[m, n, o] = one / (one + exponential(-value))


@kernel
def sigmoid_backward(gradient: Floats, outputs: Floats, bias_gradient: Floats) -> None:
    """gradient *= outputs (1 - outputs), in place; bias_gradient as above."""
    learners, rows, columns = gradient.shape
    one = gradient.dtype.type(1)
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                value = gradient[m, n, o] * outputs[m, n, o] * (one - outputs[m, n, o])
                gradient[m, n, o] = value
                bias_gradient[m, o] += value


@kernel
def silu_forward(sums: Floats, bias: Floats, outputs: Floats) -> None:
    """sums += bias; outputs = sums / (1 + exp(-sums))."""
    learners, rows, columns = sums.shape
    one = sums.dtype.type(1)
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                value = sums[m, n, o] + bias[m, o]
                sums[m, n, o] = value
                outputs[m, n, o] = value / (one + exponential(-value))


@kernel
def silu_backward(gradient: Floats, sums: Floats, bias_gradient: Floats) -> None:
    """gradient *= s (1 + x (1 - s)) with s = 1 / (1 + exp(-x)) of the sums x, in place."""
    learners, rows, columns = gradient.shape
    one = gradient.dtype.type(1)
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                x = sums[m, n, o]
                share = one / (one + exponential(-x))
                value = gradient[m, n, o] * share * (one + x * (one - share))
                gradient[m, n, o] = value
                bias_gradient[m, o] += value


@kernel
def gelu_forward(sums: Floats, bias: Floats, outputs: Floats) -> None:
    """sums += bias; outputs = sums P(X <= sums) for a standard normal X."""
    learners, rows, columns = sums.shape
    half = sums.dtype.type(0.5)
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                value = sums[m, n, o] + bias[m, o]
                sums[m, n, o] = value
                bell = exponential(-half * value * value)
                outputs[m, n, o] = value * normal_distribution(value, bell)


@kernel
def gelu_backward(gradient: Floats, sums: Floats, bias_gradient: Floats) -> None:
    """gradient *= P(X <= x) + x p(x) of the sums x, in place; bias_gradient as above."""
    learners, rows, columns = gradient.shape
    half, scale = gradient.dtype.type(0.5), gradient.dtype.type(_BELL_SCALE)
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                x = sums[m, n, o]
                bell = exponential(-half * x * x)
                value = gradient[m, n, o] * (normal_distribution(x, bell) + x * (bell * scale))
                gradient[m, n, o] = value
                bias_gradient[m, o] += value


@kernel
def mish_forward(sums: Floats, bias: Floats, outputs: Floats) -> None:
    """sums += bias; outputs = sums q / (q + 2), with e = exp(sums) and q = e (e + 2)."""
    learners, rows, columns = sums.shape
    two, limit = sums.dtype.type(2), sums.dtype.type(_MISH_LIMIT)
    for m in range(learners):
        for n in range(rows):
            for o in range(columns):
                value = sums[m, n, o] + bias[m, o]
                sums[m, n, o] = value
                power = exponential(limit if value > limit else value)
                ratio = power * (power + two)
                outputs[m, n, o] = value * (ratio / (ratio + two))


@kernel
def mish_backward(gradient: Floats, sums: Floats, bias_gradient: Floats) -> None:
    """gradient *= q / (q + 2) + 4 x e (e + 1) / (q + 2)**2 of the sums x, in place."""
    learners, rows, columns = gradient.shape
    one, two, four = gradient.dtype.type(1), gradient.dtype.type(2), gradient.dtype.type(4)
    limit = gradient.dtype.type(_MISH_LIMIT)
    for m in range(learners):
        bias_gradient[m, :] = 0
        for n in range(rows):
            for o in range(columns):
                x = sums[m, n, o]
                power = exponential(limit if x > limit else x)
                ratio = power * (power + two)
                share = one / (ratio + two)
                slope = ratio * share + four * x * power * (power + one) * share * share
                value = gradient[m, n, o] * slope
                gradient[m, n, o] = value
                bias_gradient[m, o] += value
