"""Compiled areas under the ROC curves of each class against the rest, by counting pairs.

A pair is a row of the class and another row; the area is the share of pairs of which the first has
the higher score, equal scores counting half (Hanley & McNeil 1982). Only the scores of a class's
own rows are sorted, and the others looked up among them, so no sort of all rows is needed. R rows,
O classes.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel

_PLACES = 1024  # of a table into the sorted scores of a class


@kernel
def class_aurocs(keys: Integers, labels: Integers, areas: Floats) -> None:
    """areas (O,), NaN of a class that has no row, or all of them.

    Args:
        keys: (R, O) int64, the bits of float64 scores that are not below 0, which are in the order
            of the scores; a key below 0 is that of -0.0, and counts as 0.
        labels: (R,) class numbers.
    """
    rows, classes = keys.shape
    starts = np.zeros(classes + 1, np.int64)
    for n in range(rows):
        starts[labels[n] + 1] += 1
    for c in range(classes):
        starts[c + 1] += starts[c]
    own, filled = np.empty(rows, np.int64), starts[:-1].copy()
    for n in range(rows):
        own[filled[labels[n]]] = max(keys[n, labels[n]], 0)
        filled[labels[n]] += 1
    table, shifts = np.zeros((classes, _PLACES + 1), np.int32), np.zeros(classes, np.int64)
    for c in range(classes):
        if starts[c] < starts[c + 1]:
            own[starts[c] : starts[c + 1]].sort()
            shifts[c] = _index(own, starts[c], starts[c + 1], table[c])
    halves = np.zeros(classes, np.int64)  # twice the pairs won
    for n in range(rows):
        for c in range(classes):
            begin, end = starts[c], starts[c + 1]
            if c == labels[n] or begin == end:
                continue
            score = max(keys[n, c], 0)
            if score < own[begin]:
                halves[c] += 2 * (end - begin)
            elif score <= own[end - 1]:
                first = begin + table[c, (score - own[begin]) >> shifts[c]]
                while own[first] < score:
                    first += 1
                behind = first
                while behind < end and own[behind] == score:
                    behind += 1
                halves[c] += 2 * (end - behind) + behind - first
    for c in range(classes):
        count = starts[c + 1] - starts[c]
        pairs = count * (rows - count)
        areas[c] = halves[c] / 2.0 / pairs if pairs > 0 else np.nan


@kernel
def _index(own: Integers, begin: int, end: int, table: Integers) -> int:
    """Fill a table with the first of a class's scores in each part of their range.

    Args:
        own: scores, those from `begin` to `end` ascending.
        begin, end: of the class.
        table: receives places, counted from `begin`.

    Returns:
        By how many bits a score, less the lowest one, is shifted to give its part.
    """
    shift = 0
    while (own[end - 1] - own[begin]) >> shift >= _PLACES:
        shift += 1
    place = begin
    for part in range(_PLACES + 1):
        while place < end and (own[place] - own[begin]) >> shift < part:
            place += 1
        table[part] = place - begin
    return shift
