"""Codes as features of 0 or 1, for estimators that add features up or take distances."""

from collections.abc import Mapping

import numpy as np

from ensemble_pipe.core.arrays import Floats

MOST_VALUES = 128
MOST_FEATURES = 1024  # of all codes together


def spread_widths(counts: Mapping[int, int]) -> dict[int, int]:
    """Return the number of features that each code becomes, by its place.

    Args:
        counts: of the values of each code, including 0 for the unknown, by place.
    """
    most = MOST_VALUES
    while True:
        widths = {place: max(min(count - 1, most), 1) for place, count in counts.items()}
        if most == 1 or sum(widths.values()) <= MOST_FEATURES:
            return widths
        most //= 2


def spread_codes(encoded: Floats, counts: Mapping[int, int]) -> Floats:
    """Return rows (R, E) of encoded rows (R, D), in which each code is one-hot.

    The features of codes follow the others, in the order of their places; the unknown has none.
    Where a code has more values than features, some values share one ("feature hashing", Weinberger
    et al. 2009).

    Args:
        encoded: rows of a table.
        counts: see `spread_widths`.
    """
    widths = spread_widths(counts)
    others = [place for place in range(encoded.shape[1]) if place not in widths]
    out = np.zeros((len(encoded), len(others) + sum(widths.values())), np.float32)
    out[:, : len(others)] = encoded[:, others]
    first = len(others)
    for place, width in widths.items():
        codes = encoded[:, place].astype(np.int64)
        rows = np.flatnonzero(codes > 0)
        out[rows, first + (codes[rows] - 1) % width] = 1.0
        first += width
    return out
