"""Frequent values of numbers, which become features of their own beside the number."""

import numpy as np

from ensemble_pipe.core.arrays import Floats

_FEW_VALUES = 20
_LEAST_VALUES = 3
_ROWS_PER_VALUE = 5  # on average, where there are few values
_HEAVY_SHARE = 0.1
_MOST_VALUES = 128
_LEAST_ROWS = 3  # of one of few values
_LEAST_FREQUENT = 4  # of a frequent value beside others, and
_LEAST_SHARE = 0.0001


def frequent_values(sample: Floats) -> tuple[float, ...]:
    """Return the values (V,) of a number to have a feature each, ascending; none of most numbers.

    These are those of 3 to 20 values, whole or not, that stand in a few rows; and where one value
    makes up a tenth of the rows, as 0 often does, the most frequent ones, at most 128.

    Args:
        sample: (m,) values of training rows.
    """
    values, counts = np.unique(sample, return_counts=True)
    if len(values) < _LEAST_VALUES:
        return ()
    if len(values) <= _FEW_VALUES and len(sample) >= _ROWS_PER_VALUE * len(values):
        return _floats(values[counts >= _LEAST_ROWS])
    if counts.max() < _HEAVY_SHARE * len(sample):
        return ()
    frequent = counts >= max(_LEAST_FREQUENT, _LEAST_SHARE * len(sample))
    order = np.argsort(-counts, kind="stable")[:_MOST_VALUES]
    return _floats(np.sort(values[order[frequent[order]]]))


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
