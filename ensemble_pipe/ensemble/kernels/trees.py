"""Compiled prediction by boosted trees: each row on its own, so its bits depend on no other."""

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.compilation import kernel


@kernel
def add_trees(
    rows: Floats,
    starts: Integers,
    sequence: Integers,
    feature: Integers,
    threshold: Floats,
    bitset: Integers,
    missing_left: Array,
    left: Integers,
    right: Integers,
    value: Floats,
    bitsets: Array,
    out: Floats,
) -> None:
    """out (R, S) float64 += the value of each tree for each row (R, C) float32.

    The other arguments are those of `training.boosted_trees.Nodes`.
    """
    for tree in range(len(sequence)):
        root, target = starts[tree], sequence[tree]
        for row in range(len(rows)):
            node = root
            while feature[node] >= 0:
                found = rows[row, feature[node]]
                if np.isnan(found):
                    goes_left = missing_left[node] != 0
                elif bitset[node] >= 0:
                    category = np.int64(found)
                    word = bitsets[bitset[node], category >> 5]
                    goes_left = (np.int64(word) >> (category & 31)) & 1 != 0
                else:
                    goes_left = np.float64(found) <= threshold[node]
                node = root + (left[node] if goes_left else right[node])
            out[row, target] += value[node]
