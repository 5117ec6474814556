"""Several dense layers at once: blocks of rows pass all layers of a network within the cache.

Sums, biases and activations are those of the layers one by one, bit for bit.
"""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.row_product import FEW_ROWS, multiply_few, multiply_packed, pack


@kernel
def run(
    inputs: Floats,
    rows: Floats,
    layers: Integers,
    slopes: Floats,
    panels: Floats,
    work: Floats,
    outputs: Floats,
    first: int,
) -> None:
    """outputs (M, R, O) of all networks for inputs (N, D), from the row `first` on.

    Args:
        inputs, outputs: contiguous.
        rows: (M, P) of the networks.
        layers: (L, 6): the terms and units of each, where in a row its kernel and bias begin, where
            in `panels` its own begin, and its activation, one of `row_product`.
        slopes: (M, L) below zero, of each leaky activation.
        panels: scratch for those of all layers; empty for few rows, which need none.
        work: scratch (2, B, W) for blocks of B rows, with W the most units of a layer.
    """
    count, block, last = inputs.shape[0], work.shape[1], layers.shape[0] - 1
    for m in range(rows.shape[0]):
        if count > FEW_ROWS:
            for place in range(last + 1):
                pack(_kernel(rows[m], layers[place]), panels[layers[place, 4] :])
        for begin in range(0, count, block):
            end = min(begin + block, count)
            values = inputs[begin:end]
            for place in range(last + 1):
                units, start, own = layers[place, 1], layers[place, 3], layers[place, 4]
                sums = outputs[m, first + begin : first + end]
                if place < last:
                    sums = work[place % 2].reshape(-1)[: (end - begin) * units].reshape(-1, units)
                bias, slope = rows[m, start : start + units], slopes[m, place : place + 1]
                ending = layers[place, 5]
                if count > FEW_ROWS:
                    multiply_packed(values, panels[own:], sums, ending, bias, slope)
                else:
                    matrix = _kernel(rows[m], layers[place])
                    multiply_few(values, matrix, sums, ending, bias, slope)
                values = sums


@kernel
def _kernel(row: Floats, layer: Integers) -> Floats:
    terms, units, start = layer[0], layer[1], layer[2]
    return row[start : start + terms * units].reshape(terms, units)
