"""Compiled areas under the ROC curves of each class against the rest, by counting pairs.

A pair is a row of the class and another row; the area is the share of pairs of which the first has
the higher score, equal scores counting half (Hanley & McNeil 1982). Only the scores of a class's
own rows are sorted. Their range is cut into parts, and a table says how many pairs a row in a part
wins; only where own scores lie in the same part they are compared. R rows, O classes.
"""

from itertools import pairwise

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel

_PARTS = 4096  # of the range of a class's own scores; two more are below and above it
_COMPARE = -1  # in a table: own scores lie in this part
_MAGNITUDE = 2**63 - 1  # the bits of a score without its sign, which are in the order of the scores
_INFINITY = 0x7FF0 << 48  # those of NaN are above it


def class_aurocs(scores: Floats, labels: Integers) -> Floats:
    """Return the areas (O,), NaN of a class that has no row or all of them, or a score of NaN.

    Args:
        scores: (O, R) float64, none below 0.
        labels: (R,) class numbers.
    """
    keys, rows = scores.view(np.int64), len(labels)
    own, numbers = np.empty(rows, np.int64), np.empty(rows, np.int64)
    starts = np.zeros(len(scores) + 1, np.int64)
    _gather_own(keys, labels, own, numbers, starts)
    for start, end in pairwise(starts):
        own[start:end].sort()  # NumPy's sort is vectorised
    areas = np.empty(len(scores))
    _measure(keys, own, numbers, starts, areas)
    return areas


@kernel
def _gather_own(
    keys: Integers, labels: Integers, own: Integers, numbers: Integers, starts: Integers
) -> None:
    """Gather the rows of each class, one class after another.

    Args:
        keys: (O, R), the bits of the scores.
        labels: (R,).
        own: receives the scores' keys (R,).
        numbers: receives the rows (R,).
        starts: (O + 1,) zeros, receives where each class begins.
    """
    for n in range(len(labels)):
        starts[labels[n] + 1] += 1
    for c in range(len(keys)):
        starts[c + 1] += starts[c]
    filled = starts[:-1].copy()
    for n in range(len(labels)):
        place = filled[labels[n]]
        own[place], numbers[place] = keys[labels[n], n] & _MAGNITUDE, n
        filled[labels[n]] += 1


@kernel
def _measure(
    keys: Integers, own: Integers, numbers: Integers, starts: Integers, areas: Floats
) -> None:
    """areas (O,), of what `_gather_own` has gathered, when the keys of each class ascend."""
    classes, rows = keys.shape
    wins, first = np.empty(_PARTS + 2, np.int32), np.empty(_PARTS + 2, np.int32)
    parts, close = np.empty(rows, np.uint16), np.empty(rows, np.int32)
    for c in range(classes):
        scores = own[starts[c] : starts[c + 1]]
        pairs = len(scores) * (rows - len(scores))
        if pairs == 0:
            areas[c] = np.nan
            continue
        shift = _tabulate(scores, wins, first)
        if _find_parts(keys[c], scores[0], shift, parts) > _INFINITY:
            areas[c] = np.nan
            continue
        parts[numbers[starts[c] : starts[c + 1]]] = _PARTS + 1  # nothing is won against own rows
        halves, count = _count_apart(parts, wins, close)  # halves: twice the pairs won
        for i in range(count):
            n = close[i]
            halves += _count_close(keys[c, n] & _MAGNITUDE, scores, first[parts[n]])
        areas[c] = halves / 2.0 / pairs


@kernel
def _tabulate(scores: Integers, wins: Integers, first: Integers) -> int:
    """Fill the tables of one class.

    Args:
        scores: its own, ascending.
        wins: receives twice the pairs that a row in each part loses to them, or `_COMPARE`.
        first: receives the place of the first score in each part that has some.

    Returns:
        By how many bits a score, less the lowest one, is shifted to give its part, from 0 on.
    """
    count, shift = len(scores), 0
    while (scores[count - 1] - scores[0]) >> shift >= _PARTS:
        shift += 1
    done = place = 0
    while place < count:
        part = ((scores[place] - scores[0]) >> shift) + 1
        wins[done:part] = 2 * (count - place)
        wins[part], first[part] = _COMPARE, place
        done = part + 1
        while place < count and ((scores[place] - scores[0]) >> shift) + 1 == part:
            place += 1
    wins[done:] = 0
    return shift


@kernel
def _find_parts(keys: Integers, lowest: int, shift: int, parts: Integers) -> int:
    """parts (R,): 0 below the range of a class's own scores, `_PARTS` + 1 above its parts.

    Returns:
        The highest score of all rows.
    """
    bits, below, highest = np.uint64(shift), lowest - (np.int64(1) << shift), np.int64(0)
    for n in range(len(keys)):
        key = keys[n] & _MAGNITUDE
        highest = max(highest, key)
        part = np.uint64(max(key - below, 0)) >> bits
        parts[n] = np.uint16(min(part, np.uint64(_PARTS + 1)))
    return int(highest)


@kernel
def _count_apart(parts: Integers, wins: Integers, close: Integers) -> tuple[int, int]:
    """Return twice the pairs won against rows without own scores in their part.

    Also how many other rows there are; `close` receives their numbers.
    """
    halves = count = 0
    for n in range(len(parts)):
        won = wins[parts[n]]
        halves += max(won, 0)
        close[count] = n
        count += won == _COMPARE
    return halves, count


@kernel
def _count_close(score: int, scores: Integers, first: int) -> int:
    """Return twice the pairs won by own scores, ascending, of which those before `first` lose."""
    at = int(first)
    while at < len(scores) and scores[at] < score:
        at += 1
    behind = at
    while behind < len(scores) and scores[behind] == score:
        behind += 1
    return 2 * (len(scores) - behind) + behind - at
