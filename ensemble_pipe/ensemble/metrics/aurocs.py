"""The area under the ROC curve as combiners aim at it: thousands of times, on the same labels."""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.metrics import CHANCE
from ensemble_pipe.ensemble.kernels.aurocs import class_aurocs


def mean_auroc(probabilities: Floats, labels: Integers) -> float:
    """Return what `core.metrics.class_metric` returns for "auroc", by another algorithm.

    Args:
        probabilities: (R, O) float64, none below 0; read without a copy where those of a class lie
            side by side.
        labels: (R,) class numbers.
    """
    areas = class_aurocs(np.ascontiguousarray(probabilities.T), labels)
    own = areas[1:] if len(areas) == 2 else areas
    known = own[~np.isnan(own)]
    return float(np.mean(known)) if len(known) else CHANCE
