"""Columns without a rule, as they are recognised beside a number."""

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.core.messages import row_name
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.scaling import Standardize

ROWS = 400
NOISE = np.random.default_rng(3).normal(size=ROWS)
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(n)) for n in range(ROWS)]


def place(row: int) -> str:
    return f"new: {row_name(row)}"


def recognized(table: pa.Table, train: Any = None) -> Schema:
    """Return the schema of a table beside a number "noise", all without rules."""
    names = tuple(table.column_names)
    whole = table.append_column("noise", pa.array(NOISE[: len(table)]))
    whole = whole.append_column("y", pa.array(NOISE[: len(table)] * 2))
    every = np.ones(len(table), bool) if train is None else train
    roles = Roles((*names, "noise"), "y")
    return fitted(rows_of(whole), roles, "regression", every, Standardize())


def decision(values: Any, name: str = "x") -> ColumnDecision:
    found = {d.name: d for d in recognized(table_of(**{name: values})).decisions}
    return found[name]


def column(values: Any, name: str = "x") -> Any:
    schema = recognized(table_of(**{name: values}))
    return next(column for column in schema.columns if column.name == name)


def encode(schema: Schema, **columns: Any) -> Any:
    rows = len(next(iter(columns.values())))
    return schema.encode_inputs(batch_of(table_of(**columns, noise=NOISE[:rows])), place)


def cycle(*values: Any) -> list[Any]:
    return [values[row % len(values)] for row in range(ROWS)]
