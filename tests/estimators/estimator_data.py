"""A small table with labels and numbers, and settings that are fitted quickly."""

from typing import Any

import numpy as np

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(150, 4))
LABELS = np.where(X[:, 0] + X[:, 1] ** 2 > 1, "yes", "no")
NUMBERS = 3 * X[:, 0] + 10
QUICK: dict[str, Any] = {"learners": 2, "hidden": (16,), "epochs": 5, "random_state": 1}
