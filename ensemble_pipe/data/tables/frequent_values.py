"""Frequent values of numbers, which become features of their own, or are categories."""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers

MOST_VALUES = 128
_MOST_COLUMNS = 128  # of pixels, say, only neighbours tell
_FEW_VALUES, _MOST_LEVELS = 20, 10  # of any numbers, and of those of a scale
_LEAST_VALUES = 3
_ROWS_PER_VALUE = 5  # on average, where there are few values
_HEAVY_SHARE = 0.1
_HEAVIER = 4  # than any other value
_LEAST_ROWS = 3  # of one of few values
_LEAST_FREQUENT = 4  # of a frequent value beside others, and
_LEAST_SHARE = 0.0001
_COVERED = 0.99  # of the rows, by frequent values


def frequent_values_of_all(samples: Sequence[Floats]) -> list[tuple[float, ...]]:
    """Return the frequent values of each column; none where more than 128 columns have some, as of
    pixels that are mostly 0.

    Args:
        samples: (m,) values of training rows, of each column.
    """
    found = [frequent_values(sample) for sample in samples]
    few = sum(map(bool, found)) <= _MOST_COLUMNS
    return found if few else [()] * len(found)


def frequent_values(sample: Floats) -> tuple[float, ...]:
    """Return the frequent values (V,) of a number, ascending; none of most numbers.

    These are those of 3 to 10 values, whole or not, or of up to 20 that are no scale, that stand in
    a few rows. Of more values, where one makes up a tenth of the rows and several times as many as
    any other, as 0 often does, they are the heavy ones, or all that come again, 128 at most, where
    the number stands for a category. Of the levels of a longer scale the order tells more.

    Args:
        sample: (m,) values of training rows.
    """
    values, counts = np.unique(sample, return_counts=True)
    if len(values) < _LEAST_VALUES:
        return ()
    most = _MOST_LEVELS if is_scale(values) else _FEW_VALUES
    if len(values) <= most and len(sample) >= _ROWS_PER_VALUE * len(values):
        return _of_rows(values, counts, _LEAST_ROWS)
    heavy = _HEAVY_SHARE * len(sample)
    first, second = -np.sort(-counts)[:2]
    if first < heavy or first < _HEAVIER * second:
        return ()
    again = _of_rows(values, counts, max(_LEAST_FREQUENT, _LEAST_SHARE * len(sample)))
    return again if are_names(sample, again) else _of_rows(values, counts, heavy)


def _of_rows(values: Floats, counts: Integers, least: float) -> tuple[float, ...]:
    """Return the most frequent values in at least so many rows, ascending."""
    order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    return tuple(float(value) for value in np.sort(values[order[counts[order] >= least]]))


def are_names(sample: Floats, frequent: tuple[float, ...]) -> bool:
    """Return whether a number stands for a category, as a code or a fixed amount does.

    Its values come again and again, are more than a few, and are not those of a scale.

    Args:
        sample: (m,) values of training rows.
        frequent: its frequent values.
    """
    if len(frequent) <= _MOST_LEVELS or is_scale(np.array(frequent)):
        return False
    return float(np.isin(sample, frequent).mean()) >= _COVERED


def is_scale(values: Floats) -> bool:
    """Return whether most of the distances between values (V,), ascending, are equal."""
    steps = np.diff(values)
    return bool(np.isclose(steps, np.median(steps)).mean() > 0.5)
