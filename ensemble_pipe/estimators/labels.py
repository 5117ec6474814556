"""What an estimator takes as labels and targets, and the names of classes.

Every reader of labels finds the classes of an estimator again by these names.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote, row_name
from ensemble_pipe.data.tables.arrow_types import doubles, is_text, to_plain
from ensemble_pipe.data.tables.targets import Targets, require_names
from ensemble_pipe.serving.in_memory import as_column, columns_of, is_sparse

_INT64 = np.iinfo(np.int64)


def read_labels(y: Any) -> Any:
    """Return labels or targets of any container as an array (R,) or (R, D), all of them there.

    Those of an array keep its type.

    Raises:
        DataError: names the row of one that is missing, or of no usable type.
    """
    if y is None:
        return y
    if is_sparse(y):
        raise DataError("y: is sparse; pass y.toarray()")
    columns = columns_of(y)
    if columns is not None:
        found = [_column(columns.values(name), f"column {quote(name)}: ") for name in columns.names]
        return np.column_stack(found)
    if not isinstance(y, pa.Array | pa.ChunkedArray) and not hasattr(y, "dtype"):
        y = np.asarray(y, object if isinstance(y, list | tuple) else None)
    if getattr(y, "ndim", 1) == 2:
        own = enumerate(np.asarray(y).T)
        return np.column_stack([_column(one, f"column {at + 1}: ") for at, one in own])
    return _column(y, "") if getattr(y, "ndim", 1) == 1 else y


def target_names(y: Any, count: int, features: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of D targets: their own, where they have some that no feature has."""
    columns = columns_of(y)
    given = [getattr(y, "name", None)] if columns is None else columns.names
    own = [name for name in given if isinstance(name, str) and name]
    if len(own) == count and len({*own, *features}) == count + len(features):
        return tuple(own)
    return ("y",) if count == 1 else tuple(f"y{place}" for place in range(count))


def classes_of(labels: Array) -> tuple[Array, tuple[int | str, ...], Targets]:
    """Return the distinct labels, sorted, the names of these classes, and each row's label.

    Raises:
        DataError: there is one class alone, or a label is none, see `class_names`.
    """
    distinct, places = np.unique(labels, return_inverse=True)
    names = class_names(distinct)
    if len(names) < 2:
        (only,) = distinct.tolist()
        raise DataError(f"y: all rows have the one class {quote(only)}; at least two are needed")
    if any(isinstance(name, str) for name in names):
        return distinct, names, Targets(places.astype(np.int32), tuple(map(str, names)))
    return distinct, names, Targets(np.array(names, np.int64)[places])


def numbers_of(targets: Array) -> Floats:
    """Return targets as float64.

    Raises:
        DataError: names the row of one that is no number.
    """
    if targets.dtype.kind in "mM":
        raise DataError(f"y: targets are dates or times ({targets.dtype}); numbers are needed")
    try:
        return targets.astype(np.float64)
    except (TypeError, ValueError):
        for row, value in enumerate(targets.reshape(len(targets), -1).tolist()):
            try:
                np.asarray(value, dtype=object).astype(np.float64)
            except (TypeError, ValueError):
                raise DataError(
                    f"y: {row_name(row)}: {quote(value[0] if len(value) == 1 else value)} is no "
                    "number; for classes there is EnsembleClassifier"
                ) from None
        raise


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


def _column(values: Any, where: str) -> Array:
    """Return one column of labels; those of an array without gaps as they are."""
    kind = getattr(getattr(values, "dtype", None), "kind", "O")
    if isinstance(values, np.ndarray) and kind not in "OfmM":
        return values
    column = to_plain(as_column(values, "y"))
    absent = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if absent.any():
        row = int(absent.argmax())
        raise DataError(f"y: {where}{row_name(row)} has none; remove such rows")
    if isinstance(values, np.ndarray) and (kind != "O" or is_text(column.type)):
        kinds = sorted({type(value).__name__ for value in values}) if kind == "O" else []
        if len(kinds) > 1:
            raise DataError(
                f"y: {where}values of several kinds, {' and '.join(kinds)}; give them as text, or "
                "all as numbers"
            )
        return values
    if pa.types.is_decimal(column.type):
        column = doubles(column)
    found: Array = column.to_numpy(zero_copy_only=False)
    return found
