"""Frequent values of numbers, which become features of their own beside the number."""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats

MOST_VALUES = 128
_MOST_FEATURES = 1024  # of all columns together
_FEW_VALUES = 20
_LEAST_VALUES = 3
_ROWS_PER_VALUE = 5  # on average, where there are few values
_HEAVY_SHARE = 0.1
_LEAST_ROWS = 3  # of one of few values
_LEAST_FREQUENT = 4  # of a frequent value beside others, and
_LEAST_SHARE = 0.0001


def frequent_values_of_all(samples: Sequence[Floats]) -> list[tuple[float, ...]]:
    """Return the values of each column that have a feature each, at most 1024 in all.

    Where there would be more, as of many pixels that are mostly 0, each column has fewer.

    Args:
        samples: (m,) values of training rows, of each column.
    """
    most = MOST_VALUES
    found = [frequent_values(sample, most) for sample in samples]
    while sum(map(len, found)) > _MOST_FEATURES:
        most //= 2
        found = [frequent_values(sample, most) for sample in samples]
    return found


def frequent_values(sample: Floats, most: int = MOST_VALUES) -> tuple[float, ...]:
    """Return the values (V,) of a number to have a feature each, ascending; none of most numbers.

    These are those of 3 to 20 values, whole or not, that stand in a few rows; and where one value
    makes up a tenth of the rows, as 0 often does, the most frequent ones.

    Args:
        sample: (m,) values of training rows.
        most: of the values, the most frequent of all.
    """
    values, counts = np.unique(sample, return_counts=True)
    if len(values) < _LEAST_VALUES:
        return ()
    if len(values) <= _FEW_VALUES and len(sample) >= _ROWS_PER_VALUE * len(values):
        least: float = _LEAST_ROWS
    elif counts.max() >= _HEAVY_SHARE * len(sample):
        least = max(_LEAST_FREQUENT, _LEAST_SHARE * len(sample))
    else:
        return ()
    order = np.argsort(-counts, kind="stable")[:most]
    return tuple(float(value) for value in np.sort(values[order[counts[order] >= least]]))
