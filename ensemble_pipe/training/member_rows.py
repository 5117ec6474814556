"""Targets of every member's rows, where a learner has several members."""

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.batches import Batches


class MemberRows:
    """Targets and weights of a batch, once for each of K members, which all see the same rows.

    A loss over these K N rows is the mean of the members' losses, not the loss of their mean:
    members that are trained on that depend on one another (Gorishniy et al. 2025, "TabM", section
    3.3).

    Attributes:
        targets: (M, K N) or (M, K N, D), those of the first member's rows first.
        weights: (M, K N).
    """

    def __init__(self, batches: Batches, members: int) -> None:
        """Args: the batches of M learners, and K."""
        self._batches = batches
        self._members = members
        self.targets: Array = batches.targets
        self.weights: Floats = batches.weights
        if members > 1:
            self.targets = np.repeat(batches.targets, members, axis=1)
            self.weights = np.repeat(batches.weights, members, axis=1)

    def read(self) -> None:
        """Update targets and weights from the batch."""
        if self._members == 1:
            return
        for own, rows in (
            (self._batches.targets, self.targets),
            (self._batches.weights, self.weights),
        ):
            by_member = rows.reshape(len(rows), self._members, *own.shape[1:])
            by_member[...] = own[:, None]
