"""The labels of an estimator as names of classes, which every reader of labels finds again."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ensemble_pipe.arrays import Array, Integers
from ensemble_pipe.data.tables.targets import require_names
from ensemble_pipe.errors import DataError
from ensemble_pipe.messages import shown

_INT64 = np.iinfo(np.int64)


def distinct(y: Array) -> tuple[Array, Integers]:
    """Return the distinct labels, sorted, and (R,) the number of each row's.

    Raises:
        DataError: they are of kinds that have no common order, such as numbers beside text.
    """
    try:
        found, numbers = np.unique(y, return_inverse=True)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in y.tolist()})
        raise DataError(
            f"y: labels are of several kinds ({', '.join(kinds)}); make all text, or all numbers"
        ) from None
    return found, numbers


def class_names(labels: Array) -> tuple[int | str, ...]:
    """Return the name of each class, as a run on a file with such labels has it.

    Integers, whole floats, and true and false as 1 and 0, are integers; text is text.

    Args:
        labels: (C,) distinct ones.

    Raises:
        DataError: a label is none that a file could hold as a label: a date, bytes, a fraction, an
            integer beyond 64 bits, or text that is empty, too long, or none in UTF-8.
    """
    if labels.dtype.kind in "mM":
        raise DataError(
            f"y: labels are dates or times ({labels.dtype}); give them as text, such as by "
            "numpy.datetime_as_string"
        )
    names = [_name(label) for label in labels.tolist()]
    _require_apart(names)
    require_names("y", [name for name in names if isinstance(name, str)])
    return tuple(names)


def _name(label: Any) -> int | str:
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, str):
        return label
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if not isinstance(label, bool | int):
        raise DataError(
            f"y: label {shown(label)} is of type {type(label).__name__}; labels are integers, "
            "whole numbers, true and false, or text"
        )
    if not _INT64.min <= label <= _INT64.max:
        raise DataError("y: a label is too large for a 64-bit integer; give the labels as text")
    return int(label)


def _require_apart(names: Sequence[int | str]) -> None:
    """Check that no two classes have one name in the files that predictions are written to."""
    if len(set(map(str, names))) < len(names):
        raise DataError("y: two labels have one name as text; name the classes apart")
