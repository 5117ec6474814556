"""Compiled periodic embeddings of numbers: cosines of each number, mixed linearly.

Shapes: inputs (A, N, D) with A = M, or 1 where all learners share them; places (K,) of the numbers
in a row; frequencies and phases (M, K, F) in turns; mixing kernel (M, K, F, J) and bias (M, K, J).
A row of outputs (M, N, D') holds the vector of number k from `first` + k width on: the number
itself, where it `passes`, then its J mixed cosines.

Rows are the inner loops, over copies of a column, so that these vectorise. A sum over rows runs in
lanes, in an order that only N decides.
"""

import math
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.elementary import cosine_of_turns
from ensemble_pipe.nn.kernels.lanes import lane_count, load_rest, store, zero_lanes

Number = np.floating[Any]

_TURN = 2 * math.pi


@kernel
def sum_of_products(left: Floats, right: Floats, partial: Floats) -> Number:
    """Return the sum of left * right, contiguous (N,) each, from the partial sums of a vector."""
    lanes, count = lane_count(left), len(left)
    total = zero_lanes(left)
    for start in range(0, count, lanes):
        left_over = count - start
        total = total + load_rest(left, start, left_over) * load_rest(right, start, left_over)
    store(partial, 0, total)
    found: Number = partial[0]
    for lane in range(1, lanes):
        found += partial[lane]
    return found


@kernel
def periodic_forward(
    inputs: Floats,
    places: Integers,
    frequencies: Floats,
    phases: Floats,
    mixing: Floats,
    bias: Floats,
    passes: bool,
    rectifies: bool,
    first: int,
    outputs: Floats,
    work: Floats,
) -> None:
    """outputs = bias + sum_f mixing cos(2 pi (frequency x + phase)), above zero if it rectifies.

    Args:
        work: scratch (2 + J, N).
    """
    learners, rows = outputs.shape[:2]
    count, waves, units = mixing.shape[1:]
    zero, skipped = outputs.dtype.type(0), 1 if passes else 0
    x, wave = work[0], work[1]
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for k in range(count):
            for n in range(rows):
                x[n] = source[n, places[k]]
            for j in range(units):
                work[2 + j, :] = bias[m, k, j]
            for f in range(waves):
                frequency, phase = frequencies[m, k, f], phases[m, k, f]
                for n in range(rows):
                    wave[n] = cosine_of_turns(frequency * x[n] + phase)
                for j in range(units):
                    share, sums = mixing[m, k, f, j], work[2 + j]
                    for n in range(rows):
                        sums[n] += share * wave[n]
            start = first + k * (units + skipped)
            for n in range(rows):
                if passes:
                    outputs[m, n, start] = x[n]
                for j in range(units):
                    value = work[2 + j, n]
                    if rectifies:
                        value = zero if value < zero else value
                    outputs[m, n, start + skipped + j] = value


@kernel
def periodic_backward(
    gradient: Floats,
    inputs: Floats,
    places: Integers,
    frequencies: Floats,
    phases: Floats,
    mixing: Floats,
    passes: bool,
    rectifies: bool,
    first: int,
    outputs: Floats,
    frequency_gradient: Floats,
    phase_gradient: Floats,
    mixing_gradient: Floats,
    bias_gradient: Floats,
    input_gradient: Floats,
    work: Floats,
    partial: Floats,
) -> None:
    """Write the gradients of `periodic_forward`, and add to that of the inputs at the places.

    Args:
        phase_gradient: with respect to the phases in radians.
        input_gradient: (M, N, D); empty where it is not wanted.
        work: scratch (6 + J, N).
        partial: scratch of at least one vector, see `lanes`.
    """
    learners, rows = gradient.shape[:2]
    count, waves, units = mixing.shape[1:]
    real, skipped = gradient.dtype.type, 1 if passes else 0
    zero, quarter, turn = real(0), real(0.25), real(_TURN)
    x, wave, slope, ones, below, back = work[0], work[1], work[2], work[3], work[4], work[5]
    ones[:] = 1
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for k in range(count):
            start = first + k * (units + skipped)
            for n in range(rows):
                x[n] = source[n, places[k]]
                below[n] = gradient[m, n, start] if passes else zero
            for j in range(units):
                above, at = work[6 + j], start + skipped + j
                for n in range(rows):
                    dead = rectifies and not outputs[m, n, at] > zero
                    above[n] = zero if dead else gradient[m, n, at]
                bias_gradient[m, k, j] = sum_of_products(above, ones, partial)
            for f in range(waves):
                frequency, phase = frequencies[m, k, f], phases[m, k, f]
                back[:] = 0
                for j in range(units):
                    share, above = mixing[m, k, f, j], work[6 + j]
                    for n in range(rows):
                        back[n] += share * above[n]
                for n in range(rows):
                    turns = frequency * x[n] + phase
                    wave[n] = cosine_of_turns(turns)
                    slope[n] = -cosine_of_turns(turns - quarter) * back[n]
                    below[n] += turn * frequency * slope[n]
                for j in range(units):
                    mixing_gradient[m, k, f, j] = sum_of_products(work[6 + j], wave, partial)
                phase_gradient[m, k, f] = sum_of_products(slope, ones, partial)
                frequency_gradient[m, k, f] = turn * sum_of_products(slope, x, partial)
            if input_gradient.size > 0:
                for n in range(rows):
                    input_gradient[m, n, places[k]] += below[n]
