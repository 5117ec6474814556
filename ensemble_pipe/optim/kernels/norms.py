"""Compiled norms: of a learner's whole gradient, and of the weights into each unit."""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.optim.kernels.updates import CLIP_NORM, MAX_NORM

# Partial sums of squares; enough to fill the processor's lanes, and a fixed order.
LANES = 128

# PyTorch's, against a division by zero.
NORM_FLOOR = 1e-6


@kernel
def clip(gradients: Floats, spans: Integers, numbers: Floats, scales: Floats) -> None:
    """scales (M,) = min(1, clip_norm / (norm + NORM_FLOOR)); 1 for a learner that does not clip.

    Arguments as in `updates`; the norm goes over the given spans and is summed in float64, where
    squares of float32 numbers cannot overflow.
    """
    sums = np.empty(LANES)
    for m in range(len(gradients)):
        scales[m] = 1.0
        if np.isinf(numbers[m, CLIP_NORM]):
            continue
        sums[:] = 0.0
        for s in range(len(spans)):
            values = gradients[m, spans[s, 0] : spans[s, 1]]
            for start in range(0, len(values), LANES):
                part = values[start : start + LANES]
                for lane in range(len(part)):
                    value = np.float64(part[lane])
                    sums[lane] += value * value
        total = 0.0
        for lane in range(LANES):
            total += sums[lane]
        scale = numbers[m, CLIP_NORM] / (np.sqrt(total) + NORM_FLOOR)
        # Not `min`, which would lose a NaN.
        scales[m] = 1.0 if scale > 1.0 else scale


@kernel
def limit(rows: Floats, spans: Integers, columns: Integers, numbers: Floats) -> None:
    """Scale each column of the given segments back to a 2-norm of at most max_norm, in place.

    Args:
        rows, spans, numbers: as in `updates`.
        columns: (S,) length of the last axis of each segment's tensor.
    """
    real = rows.dtype.type
    for s in range(len(spans)):
        width = columns[s]
        scales = np.empty(width)
        for m in range(len(rows)):
            most = numbers[m, MAX_NORM]
            if np.isinf(most):
                continue
            values = rows[m, spans[s, 0] : spans[s, 1]]
            scales[:] = 0.0
            for start in range(0, len(values), width):
                part = values[start : start + width]
                for column in range(width):
                    value = np.float64(part[column])
                    scales[column] += value * value
            for column in range(width):
                norm = np.sqrt(scales[column])
                scales[column] = most / norm if norm > most else 1.0
            for start in range(0, len(values), width):
                part = values[start : start + width]
                for column in range(width):
                    part[column] *= real(scales[column])
