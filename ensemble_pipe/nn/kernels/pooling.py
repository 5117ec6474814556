"""Compiled pooling: the largest or the mean number of each region of an image, by channel.

Shapes: inputs (A, N, H, W, C) with A = M, or 1 where all learners share them; outputs
(M, N, I, J, C). Output (i, j) of learner m pools the rows from rows[m, i, 0] up to rows[m, i, 1]
and the columns likewise; (M, I, 2) and (M, J, 2) integers, within the image. A region's cells are
counted in row-major order, at most 256 where their number is kept.
"""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel


@kernel
def max_pool_forward(
    inputs: Floats, rows: Integers, columns: Integers, outputs: Floats, winners: Integers
) -> None:
    """outputs = the largest of each region, a NaN before all; winners = its cell, like outputs."""
    learners, images, height, width, channels = outputs.shape
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for n in range(images):
            for i in range(height):
                for j in range(width):
                    top, left = rows[m, i, 0], columns[m, j, 0]
                    for c in range(channels):
                        outputs[m, n, i, j, c] = source[n, top, left, c]
                        winners[m, n, i, j, c] = 0
                    cell = 0
                    for y in range(top, rows[m, i, 1]):
                        for x in range(left, columns[m, j, 1]):
                            for c in range(channels):
                                value, best = source[n, y, x, c], outputs[m, n, i, j, c]
                                larger = (value > best) | (value != value)
                                outputs[m, n, i, j, c] = value if larger else best
                                winner = winners[m, n, i, j, c]
                                winners[m, n, i, j, c] = cell if larger else winner
                            cell += 1


@kernel
def max_pool_backward(
    gradient: Floats,
    rows: Integers,
    columns: Integers,
    winners: Integers,
    input_gradient: Floats,
) -> None:
    """input_gradient (M, N, H, W, C) = the gradients of those outputs that each input won."""
    learners, images, height, width, channels = gradient.shape
    zero = gradient.dtype.type(0)
    for m in range(learners):
        for n in range(images):
            input_gradient[m, n] = 0
            for i in range(height):
                for j in range(width):
                    cell = 0
                    for y in range(rows[m, i, 0], rows[m, i, 1]):
                        for x in range(columns[m, j, 0], columns[m, j, 1]):
                            for c in range(channels):
                                won = winners[m, n, i, j, c] == cell
                                value = gradient[m, n, i, j, c] if won else zero
                                input_gradient[m, n, y, x, c] += value
                            cell += 1


@kernel
def average_pool_forward(
    inputs: Floats, rows: Integers, columns: Integers, outputs: Floats
) -> None:
    """outputs = the mean of each region."""
    learners, images, height, width, channels = outputs.shape
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for n in range(images):
            for i in range(height):
                for j in range(width):
                    top, bottom = rows[m, i]
                    left, right = columns[m, j]
                    outputs[m, n, i, j] = 0
                    for y in range(top, bottom):
                        for x in range(left, right):
                            for c in range(channels):
                                outputs[m, n, i, j, c] += source[n, y, x, c]
                    outputs[m, n, i, j] /= outputs.dtype.type((bottom - top) * (right - left))


@kernel
def average_pool_backward(
    gradient: Floats, rows: Integers, columns: Integers, input_gradient: Floats
) -> None:
    """input_gradient (M, N, H, W, C) = each input's shares of the gradients."""
    learners, images, height, width, channels = gradient.shape
    for m in range(learners):
        for n in range(images):
            input_gradient[m, n] = 0
            for i in range(height):
                for j in range(width):
                    top, bottom = rows[m, i]
                    left, right = columns[m, j]
                    gradient[m, n, i, j] /= gradient.dtype.type((bottom - top) * (right - left))
                    for y in range(top, bottom):
                        for x in range(left, right):
                            for c in range(channels):
                                input_gradient[m, n, y, x, c] += gradient[m, n, i, j, c]
