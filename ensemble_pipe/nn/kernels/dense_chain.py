"""Several dense layers at once: blocks of rows pass all layers of one network within the cache.

Sums, biases and activations are those of the layers one by one, bit for bit.
"""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.activations import leaky_relu_forward, linear_forward, relu_forward
from ensemble_pipe.nn.kernels.row_product import FEW_ROWS, multiply_few, multiply_packed, pack

# Activations by number. They cost little; others are not worth the time to compile them here.
IDENTITY, RELU, LEAKY_RELU = range(3)


@kernel
def run(
    inputs: Floats,
    row: Floats,
    layers: Integers,
    slopes: Floats,
    panels: Floats,
    work: Floats,
    outputs: Floats,
) -> None:
    """outputs (N, O) of a network for inputs (N, D).

    Args:
        inputs, outputs: contiguous.
        row: (P,) of the network.
        layers: (L, 6): the terms and units of each, where in `row` its kernel and bias begin, where
            in `panels` its own begin, and its activation.
        slopes: (L,) below zero, of each `LEAKY_RELU`.
        panels: scratch for those of all layers.
        work: scratch (2, B, W) for blocks of B rows, with W the most units of a layer.
    """
    count, block, last = inputs.shape[0], work.shape[1], layers.shape[0] - 1
    few = count <= FEW_ROWS
    if not few:
        for place in range(last + 1):
            pack(_kernel(row, layers[place]), 0, panels[layers[place, 4] :])
    for begin in range(0, count, block):
        end = min(begin + block, count)
        values = inputs[begin:end]
        for place in range(last + 1):
            units, start, own = layers[place, 1], layers[place, 3], layers[place, 4]
            sums = outputs[begin:end]
            if place < last:
                sums = work[place % 2].reshape(-1)[: (end - begin) * units].reshape(-1, units)
            if few:
                multiply_few(values, _kernel(row, layers[place]), sums, panels)
            else:
                multiply_packed(values, panels[own:], sums)
            slope = slopes[place : place + 1]
            _activate(sums, row[start : start + units], layers[place, 5], slope)
            values = sums


@kernel
def _kernel(row: Floats, layer: Integers) -> Floats:
    terms, units, start = layer[0], layer[1], layer[2]
    return row[start : start + terms * units].reshape(terms, units)


@kernel
def _activate(sums: Floats, bias: Floats, activation: int, slope: Floats) -> None:
    """sums = f(sums + bias), in place."""
    stack, biases = sums.reshape(1, *sums.shape), bias.reshape(1, -1)
    if activation == RELU:
        relu_forward(stack, biases)
    elif activation == LEAKY_RELU:
        leaky_relu_forward(stack, biases, slope)
    else:
        linear_forward(stack, biases)
