"""The MLflow signature of a model's input: the type of each column, and which are optional.

Numbers with a rule are doubles; dates, categories, numbers that were true and false, and those that
text may stand for, as for any column without a rule, are strings, for which MLflow takes values of
any type as they are. (Its own booleans and datetimes it cannot read from CSV, and a null would
become false.) `as_signed` makes a frame one that MLflow takes; `as_read` makes what MLflow made of
a request one that the model reads.
"""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.features import CategoryColumn, NumberColumn

if TYPE_CHECKING:
    import pandas as pd

# What MLflow's JSON keys `inputs` and `instances` make of a null among strings.
_NULL = "None"
_TRUTH = {"true": 1.0, "false": 0.0}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def input_schema(schema: Schema, names: Collection[str], truths: Collection[str]) -> Any:
    """Return MLflow's schema of the columns of a table.

    A column is optional where something stands for a missing value, and the training part had some.

    Args:
        schema: of the model.
        names: of the columns that it needs: those of the schema, then of external predictions.
        truths: columns of true and false, which the model takes for numbers.
    """
    from mlflow.types import ColSpec, DataType
    from mlflow.types import Schema as Columns

    columns = {column.name: column for column in schema.columns}
    lacked = {decision.name for decision in schema.decisions if decision.missing}
    texts = not all(_NUMBER.fullmatch(text) for text in schema.missing_values)
    specs = []
    for name in names:
        column = columns.get(name)
        is_number = column is None or column.kind == "number"
        refused = column is None or column.fill is None
        required = refused or (bool(schema.decisions) and name not in lacked)
        strays = isinstance(column, NumberColumn) and column.strays
        double = is_number and name not in truths and not strays and (refused or not texts)
        specs.append(ColSpec(DataType.double if double else DataType.string, name, required))
    return Columns(specs)


def as_signed(frame: "pd.DataFrame", columns: Any) -> "pd.DataFrame":
    """Return a frame whose columns have types that MLflow takes for its schema `columns`.

    MLflow would refuse whole numbers for doubles, numbers, dates, true and false for strings, and
    names of columns that are numbers.
    """
    frame = frame.rename(columns=lambda name: str(name).strip())
    if not frame.columns.is_unique:
        return frame  # which is refused
    types = {spec.name: spec.type.name for spec in columns.inputs if spec.name in frame}
    changed: dict[str, Any] = {}
    for name, kind in types.items():
        values = frame[name]
        if kind == "string":
            changed[name] = values.astype(object)
        elif kind == "double" and _is_whole(values):
            changed[name] = values.astype("float64")
    return _with(frame, changed)


def as_text(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return a frame with dates as text, as JSON has them."""
    dates: dict[str, Any] = {name: _texts(frame[name]) for name in frame if _has_dates(frame[name])}
    return _with(frame, dates)


def as_read(frame: "pd.DataFrame", schema: Schema) -> "pd.DataFrame":
    """Return a frame that MLflow made of a request with nulls and types as the model reads them.

    Optional columns that are absent are missing in each row.
    """
    from pandas.api.types import infer_dtype

    changed: dict[str, Any] = {}
    for column in schema.columns:
        if column.name not in frame:
            if column.fill is not None:
                changed[column.name] = [None] * len(frame)
        elif frame[column.name].dtype.kind == "O" or frame[column.name].dtype.name == "str":
            known = column.categories if isinstance(column, CategoryColumn) else ()
            is_number = isinstance(column, NumberColumn) and column.kind == "number"
            given = frame[column.name].astype(object)
            if infer_dtype(given) in ("floating", "integer", "mixed-integer-float"):
                continue
            pairs = zip(given, given.isna(), strict=True)
            read = [None if missing else _read(value, known, is_number) for value, missing in pairs]
            changed[column.name] = _series(read, frame)
    return _with(frame, changed)


def _read(value: Any, known: Collection[str], is_number: bool) -> Any:
    """Return a value without MLflow's text for null; true, false and digits as numbers."""
    if not isinstance(value, str) or value in known:
        return value
    if value == _NULL:
        return None
    if not is_number:
        return value
    if value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    return float(value) if _NUMBER.fullmatch(value) else value


def _series(values: list[Any], frame: "pd.DataFrame") -> "pd.Series[Any]":
    import pandas as pd

    return pd.Series(values, index=frame.index, dtype=object).infer_objects()


def _with(frame: "pd.DataFrame", changed: Mapping[str, Any]) -> "pd.DataFrame":
    """Return a frame with other values in some columns, whatever their names."""
    found = frame.copy(deep=False)
    for name, values in changed.items():
        found[name] = values
    return found


def _is_whole(values: "pd.Series[Any]") -> bool:
    """Return whether values are numbers, or true and false, of another type than floats."""
    if values.dtype.kind == "O":
        return all(value is None or isinstance(value, int | float) for value in values)
    return values.dtype.kind in "iub"


def _has_dates(values: "pd.Series[Any]") -> bool:
    return values.dtype.kind == "M" or any(hasattr(value, "isoformat") for value in values)


def _texts(values: "pd.Series[Any]") -> list[str | None]:
    pairs = zip(values, values.isna(), strict=True)
    return [None if missing else str(value.isoformat()) for value, missing in pairs]
