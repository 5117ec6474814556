"""Labels as class names, or as numbers."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.cells import Place
from ensemble_pipe.data.tables.fitting import Train
from ensemble_pipe.data.tables.moments import CONSTANT_SHARE
from ensemble_pipe.errors import DataError
from ensemble_pipe.messages import shown


def texts_of(values: Array) -> pa.Array:
    """Return labels as text, whole numbers without a point."""
    if values.dtype.kind == "f" and _whole(values).all():
        values = values.astype(np.int64)
    return pa.array(values).cast(pa.string())


def _whole(values: Array) -> Array:
    return np.asarray((np.abs(values) < 2**63) & (values == np.round(values)))


def classes_of(rows: Rows, targets: Array, place: Place) -> tuple[int | str, ...]:
    """Return the names of the classes, sorted; place(row) names a label, for messages.

    Raises:
        DataError: there are fewer than two, about as many as rows, or a label is a fraction.
    """
    if targets.dtype.kind == "f":
        whole = _whole(targets)
        if not whole.all():
            row = int(np.argmin(whole))
            raise DataError(
                f"{place(row)}: label {targets[row]} is not a class; "
                "for a numeric target set `task: regression`"
            )
        targets = targets.astype(np.int64)
    classes: list[int | str] = sorted(pc.unique(pa.array(targets)).to_pylist())
    if len(classes) < 2:
        raise DataError(
            f"{rows.where}: all {rows.count} rows have the one class {shown(classes[0])}; "
            "a classifier needs at least two"
        )
    if len(classes) > rows.count // 2:
        raise DataError(
            f"{rows.where}: {len(classes)} classes for {rows.count} rows; "
            "for a numeric target set `task: regression`"
        )
    return tuple(classes)


def numbers_of(targets: Array, place: Place) -> Floats:
    """Return targets as (n,) float64; place(row) names a target, for messages.

    Raises:
        DataError: they are no numbers, or not finite.
    """
    if targets.dtype.kind not in "iuf" and len(targets):
        raise DataError(
            f"{place(0)}: target {shown(targets[0].item())} is not a number; "
            "for classes set `task: classification`"
        )
    numbers = targets.astype(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers)))
        raise DataError(f"{place(row)}: the target is {numbers[row]}; remove such rows")
    return numbers


def moments_of(rows: Rows, targets: Array, train: Train, place: Place) -> tuple[float, float]:
    """Return mean and deviation of the targets of the rows where `train` is true.

    Raises:
        DataError: as `numbers_of`, or all are the same.
    """
    kept = numbers_of(targets, place)[train]
    mean, deviation = float(kept.mean()), float(kept.std())
    if deviation <= CONSTANT_SHARE * np.abs(kept).max():
        raise DataError(f"{rows.where}: every training row has the same target, {mean}")
    return mean, deviation
