"""External members, whose predictions come from another program, and the check of these."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self

import numpy as np
import pyarrow as pa
from pydantic import Field

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.rows import Place
from ensemble_pipe.data.tables.arrow_types import is_number, to_plain
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.members.fitted import PROBABILITY_FLOOR
from ensemble_pipe.ensemble.members.member import Member, MemberInputs, MemberRecord, SavedFiles
from ensemble_pipe.ensemble.numbers import own_moments, standardised_moments

# How far from 1 the probabilities of a row may add up, as rounded ones do.
SUM_TOLERANCE = 1e-3
# Of names: they stand in commands, and before a colon in columns.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

# cells(column) names the value of a row in a column, for messages.
Cells = Callable[[str], Place]


@dataclass(frozen=True)
class ExternalMember(Member):
    """A member of which only its predictions are known, which another program makes.

    Attributes:
        learner, number, step: see `Member`; it has a place among the learners of the run, one
            member and no steps.
        noise: see `Member`; () also where a standard deviation comes with each mean.
        name: that its predictions are supplied by.
    """

    is_trained: ClassVar[bool] = False
    is_bounded: ClassVar[bool] = False

    name: str

    @property
    def kind(self) -> str:
        """See `Member`."""
        return f"predictions {self.name}"

    def columns(self, schema: Schema) -> tuple[str, ...]:
        """Return the columns of its predictions."""
        return external_columns(schema, deviations=not self.noise)

    def input_columns(self, schema: Schema) -> tuple[str, ...]:
        """Return the names of these where they stand beside the columns of the input."""
        return tuple(input_column(self.name, column) for column in self.columns(schema))

    @classmethod
    def predict(cls, members: Sequence[Self], inputs: MemberInputs) -> list[Floats]:
        """See `Member`: the predictions that came with the rows, of whatever version."""
        return [inputs.external[member.name] for member in members]

    def to_dict(self) -> dict[str, Any]:
        """See `Member`."""
        return {"kind": "given", **self.identity(), "name": self.name}


class ExternalRecord(MemberRecord):
    """Of a member whose predictions are supplied with the rows, by its name."""

    kind: Literal["given"]
    name: Annotated[str, Field(pattern=NAME_PATTERN)]

    def _member(self, schema: Schema, saved: SavedFiles) -> ExternalMember:
        return ExternalMember(self.learner, self.number, self.step, self.name, noise=self.noise)


def external_members(members: Iterable[Member]) -> dict[str, ExternalMember]:
    """Return the members whose predictions come from other programs, by name."""
    return {member.name: member for member in members if isinstance(member, ExternalMember)}


def input_column(name: str, column: str) -> str:
    """Return the name of a column of predictions where it stands beside the input's columns."""
    return f"{name}:{column}"


def external_columns(schema: Schema, deviations: bool) -> tuple[str, ...]:
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


def external_outputs(
    columns: Sequence[pa.Array], names: Sequence[str], schema: Schema, cells: Cells
) -> Floats:
    """Return predictions as outputs of a member, float32, as `Member.predict` returns them.

    They are log-probabilities (R, O); or standardised means (R, D), and where there are standard
    deviations their squares behind them.

    Args:
        columns: (R,) each, of `external_columns`.
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


def external_values(outputs: Floats, schema: Schema) -> Floats:
    """Return predictions (R, C) float64 from outputs (R, O), the inverse of `external_outputs`."""
    exact = outputs.astype(np.float64)
    if schema.task == "classification":
        return softmax(exact)
    count = schema.target_count
    columns = exact[:, :count].copy(), exact[:, count:].copy()
    for place, one in enumerate(schema.fitted_targets):
        if exact.shape[1] > count:
            own = own_moments(exact[:, place], exact[:, count + place], one)
            columns[0][:, place], columns[1][:, place] = own
        else:
            columns[0][:, place] = one.decode(exact[:, place])
    return np.concatenate(columns, axis=1)


def _numbers(column: pa.Array, cell: Place) -> Floats:
    """Return (R,) float64; a missing value is NaN."""
    column = to_plain(column)
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
    for place, one in enumerate(schema.fitted_targets):
        if not one.transform.is_identity:
            good[:, place] = values[:, place] > 0
    if not good.all():
        _refuse(values, good, names, cells, "is not above 0, as all targets of the training part")
    with np.errstate(over="ignore", under="ignore"):
        outputs = _scaled(values, schema).astype(np.float32)
    good = np.isfinite(outputs)
    good[:, count:] &= outputs[:, count:] > 0
    if not good.all():
        _refuse(values, good, names, cells, "is too large or too small for float32")
    return outputs


def _scaled(values: Floats, schema: Schema) -> Floats:
    """Return means (R, D), and their variances where there are deviations, as trained on.

    Of a transformed target, a mean without a deviation is taken as the median.
    """
    count = schema.target_count
    found = np.empty_like(values)
    for place, one in enumerate(schema.fitted_targets):
        mean = values[:, place]
        if values.shape[1] > count:
            pair = standardised_moments(mean, values[:, count + place], one)
            found[:, place], found[:, count + place] = pair
        else:
            found[:, place] = one.encode(mean)
    return found


def _refuse(values: Floats, good: Array, names: Sequence[str], cells: Cells, why: str) -> NoReturn:
    """Raise DataError for the first value, row by row, that is not good."""
    row, place = divmod(int(good.argmin()), len(names))
    value = values[row, place]
    found = "missing, or NaN; predictions are numbers" if np.isnan(value) else ""
    raise DataError(f"{cells(names[place])(row)}: {found or f'{quote(float(value))} {why}'}")
