"""Compiled losses: each learner's mean over its batch, and the gradient."""

import numpy as np

from ensemble_pipe.arrays import Floats, Integers
from ensemble_pipe.kernels import kernel


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
