"""A small table with labels and numbers, and settings that are fitted quickly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.data.tables.targets import Targets
from ensemble_pipe.estimators.examples import Examples
from ensemble_pipe.estimators.features import Features

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(150, 4))
LABELS = np.where(X[:, 0] + X[:, 1] ** 2 > 1, "yes", "no")
NUMBERS = 3 * X[:, 0] + 10
QUICK: dict[str, Any] = {"learners": 2, "hidden": (16,), "epochs": 5, "random_state": 1}


def labelled(labels: Sequence[int]) -> Examples:
    """Return rows of one feature with labels 0 and 1."""
    count = len(labels)
    features = Features(("x",), pa.table({"x": np.zeros(count)}), np.arange(count), {})
    return Examples(features, Targets(np.array(labels)), np.ones(count), classes=(0, 1))
