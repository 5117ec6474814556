"""Compiled piecewise linear embeddings of numbers.

Shapes: inputs (A, N, D) with A = M, or 1 where all learners share them; places (K,) of the numbers
in a row; lowest edges (M, K) and widths of bins (M, K, B); mixing kernel (M, K, B, J), slope and
bias (M, K, J). A row of outputs (M, N, D') holds the J numbers of number k from `first` + k J on.

The encoding of a number is 1 in every bin below its own, its share of the way through its own bin
there, and 0 above; so its product with a kernel is a sum of whole rows, which is the same for all
numbers in a bin, plus a share of one row: B times fewer products than the encoding's.
"""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel


@kernel
def lay_edges(lowest: Floats, widths: Floats, edges: Floats, counts: Integers) -> None:
    """Write the lower edge of each bin (M, K, B), and how many bins (M, K) are used, at least 1.

    Bins are used up to the last one with a width, which may be none.
    """
    learners, numbers, bins = widths.shape
    for m in range(learners):
        for k in range(numbers):
            edge, counts[m, k] = lowest[m, k], 1
            for b in range(bins):
                edges[m, k, b] = edge
                edge += widths[m, k, b]
                if widths[m, k, b] > 0:
                    counts[m, k] = b + 1


@kernel
def piecewise_forward(
    inputs: Floats,
    places: Integers,
    edges: Floats,
    counts: Integers,
    widths: Floats,
    mixing: Floats,
    slope: Floats,
    bias: Floats,
    first: int,
    outputs: Floats,
    bins: Integers,
    shares: Floats,
    sums: Floats,
) -> None:
    """outputs = bias + slope x + encoding(x) mixing, and each number's bin and share (M, K, N).

    Args:
        sums: scratch (B, J).
    """
    learners, rows = outputs.shape[:2]
    count, size, units = mixing.shape[1:]
    zero, one = outputs.dtype.type(0), outputs.dtype.type(1)
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for k in range(count):
            sums[0] = bias[m, k]
            for b in range(1, size):
                sums[b] = sums[b - 1] + mixing[m, k, b - 1]
            own, start = edges[m, k], first + k * units
            for n in range(rows):
                x, b = source[n, places[k]], 0
                for t in range(1, counts[m, k]):
                    b += 1 if x >= own[t] else 0
                width = widths[m, k, b]
                share = (x - own[b]) / (width if width > zero else one)
                bins[m, k, n], shares[m, k, n] = b, share
                for j in range(units):
                    value = sums[b, j] + slope[m, k, j] * x
                    outputs[m, n, start + j] = value + share * mixing[m, k, b, j]


@kernel
def piecewise_backward(
    gradient: Floats,
    inputs: Floats,
    places: Integers,
    widths: Floats,
    mixing: Floats,
    slope: Floats,
    first: int,
    bins: Integers,
    shares: Floats,
    mixing_gradient: Floats,
    slope_gradient: Floats,
    bias_gradient: Floats,
    input_gradient: Floats,
    sums: Floats,
) -> None:
    """Write the gradients of `piecewise_forward`, and add to that of the inputs at the places.

    Args:
        input_gradient: (M, N, D); empty where it is not wanted.
        sums: scratch (B, J).
    """
    learners, rows = gradient.shape[:2]
    count, _, units = mixing.shape[1:]
    zero, one = gradient.dtype.type(0), gradient.dtype.type(1)
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for k in range(count):
            start = first + k * units
            sums[:] = 0
            mixing_gradient[m, k] = 0
            slope_gradient[m, k] = 0
            for n in range(rows):
                b, share, x = bins[m, k, n], shares[m, k, n], source[n, places[k]]
                for j in range(units):
                    above = gradient[m, n, start + j]
                    sums[b, j] += above
                    mixing_gradient[m, k, b, j] += share * above
                    slope_gradient[m, k, j] += x * above
            _add_higher(sums, mixing_gradient[m, k], bias_gradient[m, k])
            if input_gradient.size > 0:
                for n in range(rows):
                    b, below = bins[m, k, n], zero
                    width = widths[m, k, b]
                    steep = one / (width if width > zero else one)
                    for j in range(units):
                        rise = slope[m, k, j] + steep * mixing[m, k, b, j]
                        below += gradient[m, n, start + j] * rise
                    input_gradient[m, n, places[k]] += below


@kernel
def _add_higher(sums: Floats, mixing_gradient: Floats, bias_gradient: Floats) -> None:
    """mixing_gradient (B, J)[b] += sum of sums (B, J) above b; bias_gradient (J,) = sum of all."""
    size, units = sums.shape
    bias_gradient[:] = 0
    for b in range(size - 1, -1, -1):
        for j in range(units):
            mixing_gradient[b, j] += bias_gradient[j]
            bias_gradient[j] += sums[b, j]
