"""Members whose predictions come with the rows, from another program, and the check of these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import shown
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.rows import Place
from ensemble_pipe.data.tables.arrow_types import is_number, plain
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.members.estimator import PROBABILITY_FLOOR

# How far from 1 the probabilities of a row may add up, as rounded ones do.
SUM_TOLERANCE = 1e-3

# cells(column) names the value of a row in a column, for messages.
Cells = Callable[[str], Place]


@dataclass(frozen=True)
class GivenMember:
    """What another program predicts; nothing of it is known but its predictions.

    Attributes:
        learner: its place among the learners of the run.
        name: that its predictions are given by.
        number, step: 0: it has no other, and no steps.
        noise: variance of its errors for each target, standardised; () for classes, and where a
            standard deviation is given with each mean.
    """

    learner: int
    name: str
    number: int = 0
    step: int = 0
    noise: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """What the member is, for tables."""
        return f"predictions {self.name}"

    def columns(self, schema: Schema) -> tuple[str, ...]:
        """Return the columns that its predictions have."""
        return given_columns(schema, deviations=not self.noise)

    def joined_columns(self, schema: Schema) -> tuple[str, ...]:
        """Return what these are called where they stand beside the input's own."""
        return tuple(joined_name(self.name, column) for column in self.columns(schema))


def joined_name(name: str, column: str) -> str:
    """Return what a column of the predictions of some name is called among an input's columns."""
    return f"{name}:{column}"


def given_columns(schema: Schema, deviations: bool) -> tuple[str, ...]:
    """Return the columns of predictions, as `serving.predictions` names them.

    Args:
        schema: of the data.
        deviations: whether there are standard deviations of numbers.
    """
    if schema.task == "classification":
        return tuple(f"probability_{name}" for name in schema.classes)
    kinds = ("mean", "std") if deviations else ("mean",)
    if schema.target_count == 1:
        return kinds
    return tuple(f"{kind}_{name}" for kind in kinds for name in schema.target_names)


def given_outputs(
    columns: Sequence[pa.Array], names: Sequence[str], schema: Schema, cells: Cells
) -> Floats:
    """Return predictions as members' outputs, float32, as `raw_outputs` has them.

    They are log-probabilities (R, O); or standardised means (R, D), and where there are standard
    deviations their squares behind them.

    Args:
        columns: (R,) each, of `given_columns`.
        names: theirs, for messages.
        schema: of the data.
        cells: cells(name) names row i of a column, for messages.

    Raises:
        DataError: a value is missing or no number, a probability is not in 0 to 1 or those of a row
            do not sum to 1, or a standard deviation is not above 0.
    """
    pairs = zip(columns, names, strict=True)
    values = np.stack([_numbers(column, cells(name)) for column, name in pairs], axis=1)
    if schema.task == "classification":
        return _log_probabilities(values, names, cells)
    return _standardised(values, names, schema, cells)


def given_values(outputs: Floats, schema: Schema) -> Floats:
    """Return the predictions (R, C), float64, that `given_outputs` made outputs (R, O) of."""
    exact = outputs.astype(np.float64)
    if schema.task == "classification":
        return softmax(exact)
    count = schema.target_count
    center, unit = schema.target_scale
    deviations = np.sqrt(exact[:, count:].reshape(len(exact), -1, count)) * unit
    values: Floats = np.concatenate(
        [exact[:, :count] * unit + center, deviations.reshape(len(exact), -1)], axis=1
    )
    return values


def _numbers(column: pa.Array, cell: Place) -> Floats:
    """Return (R,) float64; a missing value is NaN."""
    column = plain(column)
    if not (is_number(column.type) or pa.types.is_null(column.type)):
        raise DataError(f"{cell(0)}: is of type {column.type}; predictions are numbers")
    values: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _log_probabilities(values: Floats, names: Sequence[str], cells: Cells) -> Floats:
    if not (good := (values >= 0) & (values <= 1)).all():  # NaN is not
        _refuse(values, good, names, cells, "is no probability; these are from 0 to 1")
    sums = values.sum(axis=1)
    if not (good := np.abs(sums - 1) <= SUM_TOLERANCE).all():
        row = int(good.argmin())
        raise DataError(
            f"{cells(names[0])(row)}: the probabilities of this row sum to {sums[row]:g}, not to "
            f"1; they are {len(names)}, of the classes that the model knows"
        )
    floored = np.maximum(values, PROBABILITY_FLOOR)
    logs: Floats = np.log(floored / floored.sum(axis=1, keepdims=True))
    return logs.astype(np.float32)


def _standardised(values: Floats, names: Sequence[str], schema: Schema, cells: Cells) -> Floats:
    count = schema.target_count
    if not (good := np.isfinite(values)).all():
        _refuse(values, good, names, cells, "is no finite number")
    good[:, count:] = values[:, count:] > 0
    if not good.all():
        _refuse(values, good, names, cells, "is no standard deviation; these are above 0")
    center, unit = schema.target_scale
    with np.errstate(over="ignore", under="ignore"):
        means = (values[:, :count] - center) / unit
        variances = (values[:, count:].reshape(len(values), -1, count) / unit) ** 2
        parts = [means, *variances.transpose(1, 0, 2)]
        outputs = np.concatenate(parts, axis=1).astype(np.float32)
    good = np.isfinite(outputs)
    good[:, count:] &= outputs[:, count:] > 0
    if not good.all():
        _refuse(values, good, names, cells, "is too large or too small for float32")
    return outputs


def _refuse(values: Floats, good: Array, names: Sequence[str], cells: Cells, why: str) -> NoReturn:
    """Raise DataError for the first value, row by row, that is not good."""
    row, place = divmod(int(good.argmin()), len(names))
    value = values[row, place]
    found = "missing, or NaN; predictions are numbers" if np.isnan(value) else ""
    raise DataError(f"{cells(names[place])(row)}: {found or f'{shown(float(value))} {why}'}")
