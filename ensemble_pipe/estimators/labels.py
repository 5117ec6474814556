"""The labels of an estimator as names of classes, which every reader of labels finds again."""

import numpy as np

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.tables.targets import require_names

_INT64 = np.iinfo(np.int64)


def class_names(labels: Array) -> tuple[int | str, ...]:
    """Return the name of each class, as a run on a file with such labels has it.

    Integers, whole floats, and true and false as 1 and 0, are integers; text is text.

    Args:
        labels: (C,) distinct ones.

    Raises:
        DataError: a label is none that a file could hold as a label: a date, an integer beyond 64
            bits, or text that is empty, too long, or none in UTF-8.
    """
    if labels.dtype.kind in "mM":
        raise DataError(
            f"y: labels are dates or times ({labels.dtype}); give them as text, such as by "
            "numpy.datetime_as_string"
        )
    if labels.dtype.kind in "OU":
        names = list(map(str, labels.tolist()))
        require_names("y", names)
        return tuple(names)
    numbers = list(map(int, labels.tolist()))
    if not all(_INT64.min <= number <= _INT64.max for number in numbers):
        raise DataError("y: a label is too large for a 64-bit integer; give the labels as text")
    return tuple(numbers)
