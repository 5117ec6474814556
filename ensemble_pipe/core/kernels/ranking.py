"""Compiled counting of the runs of equal scores of rankings; `core.ranking` has the words."""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel


@kernel
def count_runs(
    rising: Floats,
    upper: Floats,
    of: Integers,
    scores: Floats,
    rows: Integers,
    above: Integers,
    ranking: Integers,
    starts: Integers,
) -> int:
    """Return T, the number of runs; write what each of them is.

    Args:
        rising: (C, R), the scores of each ranking, NaN last.
        upper: (U,), the scores of the rows that should score high.
        of: (U,), the ranking that each of these is in.
        scores, rows, above, ranking: (C R,), of which the first T are written.
        starts: (C,), written.
    """
    count = 0
    for c in range(rising.shape[0]):
        starts[c] = count
        for r in range(rising.shape[1]):
            if r == 0 or rising[c, r] != rising[c, r - 1]:
                scores[count], ranking[count] = rising[c, r], c
                rows[count], above[count] = 0, 0
                count += 1
            rows[count - 1] += 1
    for u in range(len(upper)):
        first = starts[of[u]]
        last = starts[of[u] + 1] if of[u] + 1 < len(starts) else count
        above[_place(scores, first, last, upper[u])] += 1
    return count


@kernel
def _place(scores: Floats, first: int, last: int, score: float) -> int:
    """Return the place of a score among rising ones from `first` to `last`, NaN last."""
    while first < last:
        middle = (first + last) // 2
        found = scores[middle]
        if found < score or (score != score and found == found):
            first = middle + 1
        else:
            last = middle
    return first
